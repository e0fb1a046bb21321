"""gort.heap: structs, handles, and what wrong values give."""

import copy
import pickle
import random
import weakref

import gort
import pytest
from gort import gc, heap

Node = heap.struct("Node", value=heap.i64, next=heap.ptr("Node"))
Other = heap.struct("Other", x=heap.u8)
Everything = heap.struct(
    "Everything",
    a=heap.i8, b=heap.i16, c=heap.i32, d=heap.i64, e=heap.u8, f=heap.u16, g=heap.u32, h=heap.u64,
    x=heap.f32, y=heap.f64, flag=heap.bool, node=heap.ptr(Node),
)  # fmt: skip


def test_a_new_object_is_zero():
    o = heap.new(Everything)
    assert [getattr(o, name) for name in "abcdefgh"] == [0] * 8
    assert (o.x, o.y, o.flag, o.node) == (0.0, 0.0, False, None)


@pytest.mark.parametrize("bits, signed, name", [(8, 1, "a"), (16, 1, "b"), (32, 1, "c"), (64, 1, "d"), (8, 0, "e"), (16, 0, "f"), (32, 0, "g"), (64, 0, "h")])
def test_integer_fields_hold_exactly_their_range(bits, signed, name):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    o = heap.new(Everything)
    for value in (low, high, 1):
        setattr(o, name, value)
        assert getattr(o, name) == value
    for value in (low - 1, high + 1, 10**40, -(10**40)):
        with pytest.raises(ValueError, match=f"Everything.{name} .* cannot hold {value}"):
            setattr(o, name, value)
    assert getattr(o, name) == 1


def test_float_and_bool_fields():
    o = heap.new(Everything, x=1.5, y=0.1, flag=True)
    assert (o.x, o.y, o.flag) == (1.5, 0.1, True)
    o.y = 3
    assert o.y == 3.0
    o.x = float("inf")
    assert o.x == float("inf")
    with pytest.raises(ValueError, match=r"Everything.x \(f32\) cannot hold 1e\+300"):
        o.x = 1e300
    with pytest.raises(TypeError, match=r"Everything.flag \(bool\) must be a bool, got int"):
        o.flag = 1
    with pytest.raises(TypeError, match=r"Everything.y \(f64\) must be a float, got str"):
        o.y = "1"


def test_a_wrong_type_names_field_and_value():
    o = heap.new(Node)
    with pytest.raises(TypeError, match=r"Node.value \(i64\) must be an int, got str"):
        o.value = "x"
    with pytest.raises(TypeError, match=r"Node.value \(i64\) must be an int, got bool"):
        o.value = True
    with pytest.raises(TypeError, match=r"Node.next \(ptr\(Node\)\) must be Node or None, got int"):
        o.next = 5
    with pytest.raises(TypeError, match=r"Node.next \(ptr\(Node\)\) must be Node or None, got Other"):
        o.next = heap.new(Other)
    with pytest.raises(AttributeError, match="Node has no field 'nope'; its fields: value, next"):
        o.nope = 1
    with pytest.raises(AttributeError, match="Node has no field 'nope'"):
        o.nope  # noqa: B018
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del o.value


def test_new_with_wrong_arguments_changes_nothing():
    with pytest.raises(TypeError, match="Node has no field 'zz'"):
        heap.new(Node, zz=1)
    with pytest.raises(TypeError, match="new: T must be a type made by gort.heap.struct, got int"):
        heap.new(3)
    with pytest.raises(TypeError, match="takes a type"):
        heap.new()
    with pytest.raises(TypeError, match="takes a type"):
        heap.new(Node, 1)


def test_struct_refuses_what_is_no_type():
    with pytest.raises(TypeError, match="struct: x must be a type of gort.heap .*, got type"):
        heap.struct("A", x=int)
    with pytest.raises(ValueError, match='ptr\\("B"\\) names no type'):
        heap.struct("A", x=heap.ptr("B"))
    with pytest.raises(TypeError, match="ptr: T must be"):
        heap.ptr(3)
    with pytest.raises(ValueError, match="name must be not empty"):
        heap.struct("")
    with pytest.raises(TypeError, match="name must be str, got int"):
        heap.struct(5)


def test_types_know_their_layout():
    assert Everything.name == "Everything"
    assert Everything.fields["c"] == (4, "i32")
    assert Node.fields["next"] == (8, "ptr(Node)")
    assert Node.size == 16
    assert repr(Node) == "struct Node {value: i64, next: ptr(Node)}"


def test_handles_of_one_object_are_equal_and_hash_alike():
    a = heap.new(Node)
    a.next = b = heap.new(Node)
    assert a.next == b and a.next is not b and hash(a.next) == hash(b)
    assert a != b and a != 1
    assert len({a, b, a.next}) == 2


def test_a_handle_can_be_referenced_weakly_but_not_pickled_or_copied():
    a = heap.new(Node)
    assert weakref.ref(a)() is a
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot pickle or copy gort.heap.Handle objects"):
            attempt(a)


def test_dir_and_repr_show_the_fields():
    a = heap.new(Node, value=7)
    assert dir(a) == ["next", "value"]
    assert repr(a) == "<Node value=7 next=None>"


def test_handles_keep_what_they_reach_and_the_rest_is_freed():
    gc.collect()
    before = heap.stats().heap_objects
    head = None
    for i in range(5000):
        node = heap.new(Node, value=i, next=head)
        head = node
    del node
    gc.collect()
    assert heap.stats().heap_objects >= 5000
    count, node = 0, head
    while node is not None:
        assert node.value == 4999 - count
        count, node = count + 1, node.next
    assert count == 5000
    head = node = None
    gc.collect()
    assert heap.stats().heap_objects <= before + 10


def test_a_graph_survives_collections_that_run_beside_its_changes():
    """Random rewiring while cycles mark: the write barrier keeps what is reachable."""
    rng = random.Random(5)
    Pair = heap.struct("Pair", a=heap.ptr("Pair"), b=heap.ptr("Pair"), id=heap.u32)
    roots = [heap.new(Pair, id=0) for _ in range(50)]
    model = [[None, None, 0] for _ in roots]

    def check(handle, node, depth):
        assert handle.id == node[2]
        for name, child in (("a", node[0]), ("b", node[1])):
            below = getattr(handle, name)
            assert (below is None) == (child is None)
            if child is not None and depth:
                check(below, child, depth - 1)

    for step in range(1, 6000):
        i, j = rng.randrange(50), rng.randrange(50)
        fresh, node = heap.new(Pair, id=step), [None, None, step]
        fresh.a, node[0] = roots[j].a, model[j][0]
        fresh.b, node[1] = roots[i], model[i]
        roots[i], model[i] = fresh, node
        if rng.random() < 0.2:
            roots[j].b, model[j][1] = None, None
        if step % 1000 == 0:
            gort.go(gc.collect)
            gort.gosched()
    for handle, node in zip(roots, model):
        check(handle, node, 6)


def test_goroutines_share_objects():
    counter = heap.new(Node)

    def main():
        mutex = gort.Mutex()

        def add():
            for _ in range(100):
                with mutex:
                    counter.value += 1

        for g in [gort.go(add) for _ in range(10)]:
            g.join()

    gort.run(main)
    assert counter.value == 1000


def test_size_classes_are_those_of_go():
    assert heap.size_class(1).size == 8
    assert heap.size_class(33).size == 48
    assert heap.size_class(1024) == heap.size_class(1017)
    assert heap.size_class(32760).size == 32768
    assert heap.size_class(40000) == (0, 40960, 5, 1)
    with pytest.raises(ValueError, match="got -1"):
        heap.size_class(-1)
    with pytest.raises(TypeError, match="must be an int, got str"):
        heap.size_class("1")


def test_of_tells_where_an_object_lies():
    info = heap.of(heap.new(Node))
    assert (info.size, info.slot_size, info.noscan, info.layout) == (16, 16, False, "bits")
    assert info.type == Node
    with pytest.raises(TypeError, match="of: h must be a handle"):
        heap.of(3)


def test_stats_add_up():
    s = heap.stats()
    assert s.sys == s.heap_sys + s.mspan_sys + s.mcache_sys + s.gc_sys + s.other_sys
    assert s.heap_sys == s.heap_inuse + s.heap_idle
    assert s.heap_objects == s.mallocs - s.frees
    assert s.heap_alloc == s.alloc
    assert s.enable_gc is True
    assert len(s.by_size) == 68
