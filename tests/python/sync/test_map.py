"""Map, ShardedMap and OrderedMap: a dict's answers in one step each, whatever keys and values do when they are compared; nothing lost, nothing doubled,
nothing kept."""

from __future__ import annotations

import copy
import doctest
import gc
import math
import random
import sys
import threading
import weakref
from typing import Any, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gort
from gort import Map, PanicError
from gort.sync import OrderedMap, ShardedMap

Kind = Callable[[], Any]
Inside = Callable[[Callable[[], Any]], Any]


@pytest.fixture(params=[Map, ShardedMap, OrderedMap])
def kind(request: pytest.FixtureRequest) -> Kind:
    made: Kind = request.param
    return made


class Thing:
    pass


class Key:
    """A key with a hash of its own choice; what happens when it is compared is the test's."""

    def __init__(self, name: Any, hash_: int = 0, compared: Callable[[], object] = lambda: None) -> None:
        self.name, self.hash, self.compared = name, hash_, compared

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        self.compared()
        return isinstance(other, Key) and self.name == other.name

    def __repr__(self) -> str:
        return f"Key({self.name!r})"


def pairs(m: Map[Any, Any]) -> dict[Any, Any]:
    """What is in it; no key came twice."""
    seen = list(m.range())
    assert len(dict(seen)) == len(seen)
    return dict(seen)


def everybody(*bodies: Callable[[], object]) -> None:
    """Runs them at once, half of them on threads, half on goroutines; a failure of any is the test's."""
    errors: list[BaseException] = []

    def guarded(body: Callable[[], object]) -> None:
        try:
            body()
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=guarded, args=(body,)) for body in bodies[::2]]

    def main() -> None:
        for thread in threads:
            thread.start()
        goroutines = [gort.go(guarded, body) for body in bodies[1::2]]
        for goroutine in goroutines:
            goroutine.join()
        for thread in threads:
            thread.join()

    gort.run(main)
    assert errors == []


def test_every_method_says_what_was_there(kind: Kind, inside: Inside) -> None:
    def body() -> None:
        m = kind()
        assert m.load("a") == (None, False)
        assert m.store("a", 1) is None
        assert m.load("a") == (1, True)
        assert m.load_or_store("a", 2) == (1, True)
        assert m.load_or_store("b", 2) == (2, False)
        assert m.swap("a", 3) == (1, True)
        assert m.swap("c", 4) == (None, False)
        assert [m.compare_and_swap("a", 1, 5), m.compare_and_swap("a", 3, 5), m.compare_and_swap("z", None, 5)] == [False, True, False]
        assert pairs(m) == {"a": 5, "b": 2, "c": 4}
        assert m.load_and_delete("b") == (2, True)
        assert m.load_and_delete("b") == (None, False)
        assert [m.compare_and_delete("c", 5), m.compare_and_delete("c", 4), m.compare_and_delete("c", 4)] == [False, True, False]
        assert m.delete("nobody") is None and m.delete("a") is None
        assert pairs(m) == {}
        m.store(None, None)
        assert m.load(None) == (None, True)
        assert m.clear() is None and pairs(m) == {}

    inside(body)


KEYS = st.one_of(
    st.integers(-3, 3), st.sampled_from([0.0, -0.0, 1.0, True, "a", "b", None, (1, 2), math.nan]), st.builds(Key, st.sampled_from("xyz"), st.just(0))
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["load", "store", "load_or_store", "load_and_delete", "delete", "swap", "compare_and_swap", "compare_and_delete", "clear"]
        ),
        KEYS,
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    max_size=80,
)


class Model:
    """The same methods over a dict."""

    def __init__(self) -> None:
        self.d: dict[Any, Any] = {}

    def load(self, k: Any) -> Any:
        return (self.d[k], True) if k in self.d else (None, False)

    def store(self, k: Any, v: Any) -> None:
        self.d[k] = v

    def load_or_store(self, k: Any, v: Any) -> Any:
        found = k in self.d
        return self.d.setdefault(k, v), found

    def load_and_delete(self, k: Any) -> Any:
        return (self.d.pop(k), True) if k in self.d else (None, False)

    def delete(self, k: Any) -> None:
        self.d.pop(k, None)

    def swap(self, k: Any, v: Any) -> Any:
        before = self.load(k)
        self.d[k] = v
        return before

    def compare_and_swap(self, k: Any, old: Any, new: Any) -> bool:
        if k not in self.d or self.d[k] != old:
            return False
        self.d[k] = new
        return True

    def compare_and_delete(self, k: Any, old: Any) -> bool:
        if k not in self.d or self.d[k] != old:
            return False
        del self.d[k]
        return True

    def clear(self) -> None:
        self.d.clear()


ARGUMENTS = {"clear": 0, "load": 1, "load_and_delete": 1, "delete": 1, "store": 2, "load_or_store": 2, "swap": 2, "compare_and_delete": 2,
             "compare_and_swap": 3}  # fmt: skip


@pytest.mark.go("sync/map_test.go TestMapMatchesRWMutex")
@given(STEPS)
def test_it_does_what_a_dict_does(kind: Kind, steps: list[tuple[str, Any, int, int]]) -> None:
    m, model = kind(), Model()
    for operation, *arguments in steps:
        mine = arguments[: ARGUMENTS[operation]]
        assert getattr(m, operation)(*mine) == getattr(model, operation)(*mine)
    assert sorted(map(repr, m.range())) == sorted(map(repr, model.d.items()))  # also the keys that were kept: 1, True or 1.0


def test_a_nan_is_found_as_the_same_object_only(kind: Kind) -> None:
    m, nan = kind(), float("nan")
    m.store(nan, "here")
    assert m.load(nan) == ("here", True)
    assert m.load(float("nan")) == (None, False)
    assert m.load_and_delete(nan) == ("here", True)


def test_a_value_that_is_set_anew_keeps_its_key_as_in_a_dict(kind: Kind) -> None:
    m = kind()
    m.store(1, 1)
    m.store(True, 2)
    assert [type(k) for k, _ in m.range()] == [int]


@pytest.mark.parametrize("hash_", [lambda n: 0, lambda n: n % 4, lambda n: n << 40], ids=["one hash", "four hashes", "far apart"])
def test_bad_hashes_cost_time_and_nothing_else(kind: Kind, hash_: Callable[[int], int]) -> None:
    m = kind()
    keys = [Key(n, hash_(n)) for n in range(100)]
    for n, key in enumerate(keys):
        assert m.load(key) == (None, False)
        assert m.load_or_store(key, n) == (n, False)
        assert m.load(Key(n, hash_(n))) == (n, True)
    assert sorted(v for _, v in m.range()) == [*range(100)]
    for n in random.Random(7).sample(range(100), 100):
        assert m.load_and_delete(Key(n, hash_(n))) == (n, True)
        assert m.load_and_delete(keys[n]) == (None, False)
    assert pairs(m) == {}


@pytest.mark.go("sync/map_test.go TestMapRangeNestedCall")
def test_range_may_be_nested_and_everything_done_meanwhile(kind: Kind) -> None:
    m = kind()
    for i, v in enumerate(["hello", "world", "Go"]):
        m.store(i, v)
    for key, _ in m.range():
        for k, v in m.range():
            assert m.load(k) == (v, True)
            assert m.load_or_store(42, "dummy") == ("dummy", False)
            m.store(42, "sync.Map")
            assert m.load_and_delete(42) == ("sync.Map", True)
        m.delete(key)
    assert pairs(m) == {}


def test_a_range_goes_on_after_a_clear_with_what_came_then(kind: Kind) -> None:
    m = kind()
    for n in range(20):
        m.store(n, n)
    r = m.range()
    first = next(r)
    m.clear()
    assert list(r) == [] and list(r) == []
    m.store(*first)
    assert pairs(m) == dict([first])


@pytest.mark.go("sync/map_test.go TestConcurrentRange")
def test_range_beside_stores_sees_every_key_once_with_one_of_its_values(kind: Kind) -> None:
    m, size, done = kind(), 256, gort.atomic.Bool()
    for n in range(1, size + 1):
        m.store(n, n)

    def change(g: int) -> Callable[[], None]:
        def body() -> None:
            r = random.Random(g)
            for i in range(1, 1_000_000):
                for n in range(1, size + 1):
                    if r.randrange(8) == 0:
                        m.store(n, n * i * g)
                    else:
                        m.load(n)
                if done.load():
                    return

        return body

    def look() -> None:
        try:
            for _ in range(20):
                seen = pairs(m)
                assert len(seen) == size
                assert all(v % k == 0 for k, v in seen.items())
        finally:
            done.store(True)

    everybody(change(1), change(2), change(3), look)


@pytest.mark.go("sync/map_test.go TestConcurrentClear")
def test_clear_beside_loads_and_stores(kind: Kind) -> None:
    m = kind()

    def load(k: int) -> None:
        value, ok = m.load(k)
        assert value == (k * 10 if ok else None)

    everybody(*[lambda k=k: f(k) for k in range(10) for f in (lambda k: m.store(k, k * 10), load, lambda k: m.clear())])  # type: ignore[misc]
    m.clear()
    assert pairs(m) == {}


@pytest.mark.go("sync/map_test.go TestCompareAndSwap_NonExistingKey")
def test_compare_and_swap_makes_no_key(kind: Kind) -> None:
    m = kind()
    assert m.compare_and_swap(m, None, 42) is False
    assert pairs(m) == {}


@pytest.mark.go("sync/map_test.go TestIssue40999")
def test_keys_that_were_deleted_are_given_up_at_once(kind: Kind) -> None:
    m = kind()
    m.store(None, None)
    for _ in range(100):
        thing = Thing()
        gone = weakref.ref(thing)
        m.store(thing, None)
        m.delete(thing)
        del thing
        assert gone() is None


@pytest.mark.go("internal/sync/hashtriemap_test.go TestHashTrieMap/LoadAndDelete/ConcurrentSharedKeys")
@pytest.mark.parametrize("hash_", [lambda n: n, lambda n: 0], ids=["good hashes", "one hash"])
def test_of_those_who_compete_for_a_key_one_gets_it(kind: Kind, hash_: Callable[[int], int]) -> None:
    size = 40
    m, won = kind(), gort.sync.LockFreeQueue[Any]()
    keys = [Key(n, hash_(n)) for n in range(size)]
    barrier = gort.sync.WaitGroup()
    barrier.add(4)

    def meet() -> None:
        barrier.done()
        barrier.wait()

    def compete() -> None:
        meet()
        for n in range(size):
            key = Key(n, hash_(n))
            if not m.load_or_store(key, 0)[1]:
                won.push(("store", n))
            for step in range(3):
                if m.compare_and_swap(key, step, step + 1):
                    won.push((step, n))
            if n % 2 and m.compare_and_delete(key, 3):
                won.push(("delete", n))

    everybody(compete, compete, compete, compete)
    taken = []
    while (one := won.try_pop()) is not None:
        taken.append(one[0])
    for what in (0, 1, 2):
        assert sorted(n for w, n in taken if w == what and n % 2 == 0) == [*range(0, size, 2)]
    stores = [n for w, n in taken if w == "store"]
    deletes = [n for w, n in taken if w == "delete"]
    there = [n for n in range(size) if m.load(keys[n])[1]]
    assert sorted(stores) == sorted(deletes + there)


def test_every_value_that_is_swapped_in_comes_out_once(kind: Kind) -> None:
    m, each, out = kind(), 2000, [[] for _ in range(4)]  # type: list[list[int]]

    def body(me: int) -> Callable[[], None]:
        def swap() -> None:
            for n in range(each):
                old, loaded = m.swap(n % 3, me * each + n)
                if loaded:
                    out[me].append(old)  # type: ignore[arg-type]
                if n % 7 == 0:
                    old, loaded = m.load_and_delete(n % 3)
                    if loaded:
                        out[me].append(old)  # type: ignore[arg-type]

        return swap

    everybody(*[body(me) for me in range(4)])
    assert sorted(sum(out, []) + [v for _, v in m.range()]) == [*range(4 * each)]


def test_a_key_that_stays_is_always_found_while_others_come_and_go(kind: Kind) -> None:
    m, done = kind(), gort.atomic.Bool()
    m.store(0, 0)

    def churn(me: int) -> Callable[[], None]:
        def body() -> None:
            try:
                for _ in range(30):
                    for n in range(me, 400, 2):
                        m.store(n, n)
                    for n in range(me, 400, 2):
                        assert m.load_and_delete(n) == (n, True)
            finally:
                done.store(True)

        return body

    def look() -> None:
        while not done.load():
            assert m.load(0) == (0, True)
            assert pairs(m)[0] == 0

    everybody(churn(2), churn(1), look, look)
    assert pairs(m) == {0: 0}


def test_equality_may_park_and_the_map_goes_on_meanwhile(kind: Kind) -> None:
    asked, answered = gort.Chan[int](), gort.Chan[int]()
    m = kind()
    m.store(Key("slow", compared=lambda: (asked.send(0), answered.recv())), "slow")
    said: list[Any] = []

    def body() -> None:
        g = gort.go(lambda: said.append(m.load_or_store(Key("other"), "new")))
        asked.recv()
        assert m.load(1) == (None, False)  # another hash
        m.store(1, "one")
        m.clear()
        answered.send(0)
        g.join()

    gort.run(body)
    assert said == [("new", False)]
    assert [v for _, v in m.range()] == ["new"]


def test_what_changed_while_keys_were_compared_is_looked_at_again(kind: Kind) -> None:
    m, turns = kind(), []

    def meddle() -> None:
        if not turns:
            turns.append(1)
            m.store(Key("b"), 7)  # compares with "a" once more, which does nothing then

    m.store(Key("a", compared=meddle), 1)
    turns.clear()
    assert m.load_or_store(Key("b"), 2) == (7, True)
    turns.clear()
    assert sorted((k.name, v) for k, v in m.range()) == [("a", 1), ("b", 7)]


def test_equality_of_a_value_may_change_the_value(kind: Kind) -> None:
    m = kind()

    class Restless:
        def __eq__(self, other: object) -> bool:
            m.store("k", 5)
            return True

        __hash__ = object.__hash__

    m.store("k", Restless())
    assert m.compare_and_swap("k", 4, 6) is False  # it is 5 by then
    assert m.load("k") == (5, True)
    m.store("k", Restless())
    assert m.compare_and_delete("k", 5) is True
    assert m.load("k") == (None, False)


def test_what_hash_and_equality_raise_is_raised_and_nothing_changes(kind: Kind) -> None:
    def fail() -> None:
        raise LookupError("compared")

    class NoHash:
        def __hash__(self) -> int:
            raise LookupError("hashed")

    m = kind()
    bad = Key("bad", compared=fail)
    m.store(bad, 1)
    for call in (
        lambda: m.load(Key("x")),
        lambda: m.store(Key("x"), 1),
        lambda: m.load_or_store(Key("x"), 1),
        lambda: m.swap(Key("x"), 1),
        lambda: m.load_and_delete(Key("x")),
        lambda: m.delete(Key("x")),
        lambda: m.compare_and_swap(Key("x"), 1, 2),
        lambda: m.compare_and_delete(Key("x"), 1),
        lambda: m.compare_and_swap(bad, bad, 2) or m.store("v", bad) or m.compare_and_swap("v", 1, 2),
    ):
        with pytest.raises(LookupError, match="compared"):
            call()
    with pytest.raises(LookupError, match="hashed"):
        m.load(NoHash())
    m.delete("v")
    assert m.load(bad) == (1, True)  # the same object is not compared
    assert [v for _, v in m.range()] == [1]


def test_unhashable_keys_and_uncomparable_values_panic_as_in_go(kind: Kind) -> None:
    m = kind()
    for call in (
        lambda: m.load([]),
        lambda: m.store([], 1),
        lambda: m.load_or_store([], 1),
        lambda: m.swap([], 1),
        lambda: m.load_and_delete([]),
        lambda: m.delete([]),
        lambda: m.compare_and_swap([], 1, 2),
        lambda: m.compare_and_delete([], 1),
    ):
        with pytest.raises(PanicError) as panic:
            call()
        assert str(panic.value) == "runtime error: hash of unhashable type list"
    m.store("k", [1])
    for call in (lambda: m.compare_and_swap("k", [1], 2), lambda: m.compare_and_delete("k", [1])):
        with pytest.raises(PanicError) as panic:
            call()
        assert str(panic.value) == "runtime error: comparing uncomparable type list"
    assert m.compare_and_swap("k", 1, 2) is False  # of another type: not equal, as in Go
    assert m.load("k") == ([1], True)


def test_misuse_is_an_exact_error() -> None:
    m = Map[Any, Any]()
    for call, text in (
        (lambda: m.store(1), "store: takes 2 arguments, got 1"),
        (lambda: m.swap(1, 2, 3), "swap: takes 2 arguments, got 3"),
        (lambda: m.compare_and_swap(1, 2), "compare_and_swap: takes 3 arguments, got 2"),
        (lambda: m.compare_and_delete(), "compare_and_delete: takes 2 arguments, got 0"),
    ):
        with pytest.raises(TypeError) as error:
            call()  # type: ignore[no-untyped-call]
        assert str(error.value) == text
    with pytest.raises(TypeError):
        Map(1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        type(m.range())()


def test_it_holds_one_reference_to_each_key_and_value(kind: Kind) -> None:
    m = kind()
    key, value = Thing(), Thing()
    counts = sys.getrefcount(key), sys.getrefcount(value)
    m.store(key, value)
    assert (sys.getrefcount(key), sys.getrefcount(value)) == (counts[0] + 1, counts[1] + 1)
    for _ in range(10):
        m.load(key), m.load_or_store(key, 1), m.compare_and_swap(key, 1, 2), m.compare_and_swap(key, value, value), m.swap(key, value)
        assert len(list(m.range())) == 1
    assert (sys.getrefcount(key), sys.getrefcount(value)) == (counts[0] + 1, counts[1] + 1)
    m.store(key, None)
    assert sys.getrefcount(value) == counts[1]
    m.clear()
    assert sys.getrefcount(key) == counts[0]
    m.store(key, value)
    del m
    assert (sys.getrefcount(key), sys.getrefcount(value)) == counts


def test_cycles_through_it_are_collected(kind: Kind, collected: Callable[[], None]) -> None:
    thing = Thing()
    thing.map = m = kind()  # type: ignore[attr-defined]
    m.store(thing, 1)
    m.store("v", thing)
    m.store("m", m)
    r = m.range()
    next(r)
    m.store("r", r)
    gone = weakref.ref(thing), weakref.ref(m)
    del thing, m, r
    collected()
    assert [ref() for ref in gone] == [None, None]


def test_collections_beside_changes_lose_nothing(kind: Kind) -> None:
    m, done = kind(), gort.atomic.Bool()

    def change(me: int) -> Callable[[], None]:
        def body() -> None:
            try:
                for _ in range(5):
                    for n in range(me, 200, 2):
                        m.store(n, [n])
                    for n in range(me, 200, 2):
                        assert m.load_and_delete(n) == ([n], True)
            finally:
                done.store(True)

        return body

    def collect() -> None:
        while not done.load():
            gc.collect(0)

    everybody(change(0), change(1), collect)
    assert pairs(m) == {}


def test_a_destructor_may_use_the_map_it_was_in(kind: Kind) -> None:
    m, said = kind(), []

    class Last:
        def __del__(self) -> None:
            said.append(m.swap("k", "from the end"))

    m.store("k", Last())
    m.store("k", 2)
    gc.collect()
    assert (said, m.load("k")) == ([(2, True)], ("from the end", True))
    m.store("k", Last())
    m.clear()
    gc.collect()
    assert said[1:] == [(None, False)]


def test_maps_in_maps_end_without_deep_recursion() -> None:
    chain = Map[int, Any]()
    for _ in range(20_000):
        outer = Map[int, Any]()
        outer.store(0, chain)
        chain = outer
    del outer, chain


def test_a_range_keeps_the_map_alive_and_is_its_own_iterator(kind: Kind) -> None:
    m = kind()
    for n in range(5):
        m.store(n, n)
    r = m.range()
    del m
    gc.collect()
    assert iter(r) is r
    assert sorted(r) == [(n, n) for n in range(5)]
    assert next(r, "over") == "over"


def test_several_may_draw_from_one_range_and_none_gets_what_another_got() -> None:
    m, out = Map[Key, int](), gort.sync.LockFreeQueue[int]()
    for n in range(500):
        m.store(Key(n, n % 100), n)
    r = m.range()

    def draw() -> None:
        for _, v in r:
            out.push(v)

    everybody(draw, draw, draw, draw)
    got = []
    while (one := out.try_pop()) is not None:
        got.append(one[0])
    assert sorted(got) == [*range(500)]


def test_a_seeded_run_repeats_its_interleaving(kind: Kind) -> None:
    def body() -> list[Any]:
        m, order = kind(), []

        def compete(me: int) -> None:
            for n in range(10):
                if not m.load_or_store(n, me)[1]:
                    order.append((n, me))

        goroutines = [gort.go(compete, me) for me in range(3)]
        for g in goroutines:
            g.join()
        return order

    took = [gort.run(body, seed=seed) for seed in (1, 1, 2, 3, 4, 5)]
    assert took[0] == took[1] and len(set(map(tuple, took))) > 1


def test_it_is_an_object_with_identity() -> None:
    m = Map[int, int]()
    assert bool(m) and m != Map() and weakref.ref(m)() is m
    assert (repr(m), repr(m.range())) == ("<Map>", "<range of a Map>")
    assert gort.sync.Map is gort.Map
    for one in (m, m.range()):
        with pytest.raises(TypeError, match="cannot pickle or copy gort.Map"):
            copy.copy(one)


def test_the_example_in_its_documentation_runs() -> None:
    examples = doctest.DocTestParser().get_doctest(Map.__doc__ or "", {}, "Map", None, None)
    assert examples.examples
    assert doctest.DocTestRunner().run(examples).failed == 0
