"""ReadDirtyMap: a dict's answers in one step each, and Go's rules for when which dict is looked at."""

from __future__ import annotations

import doctest
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gort
from gort.lab import ReadDirtyMap, ReadDirtyStats, read_dirty_map


def test_examples():
    assert doctest.testmod(read_dirty_map).failed == 0


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["load", "store", "swap", "load_or_store", "load_and_delete", "delete", "compare_and_swap", "compare_and_delete", "clear", "range"]
        ),
        st.integers(0, 5),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    max_size=60,
)


def answer(model: dict[int, int], operation: str, k: int, v: int, old: int) -> object:
    """What the operation gives, and does to a dict."""
    before = (model[k], True) if k in model else (None, False)
    match operation:
        case "load":
            return before
        case "store" | "swap":
            model[k] = v
            return before if operation == "swap" else None
        case "load_or_store":
            return (model.setdefault(k, v), before[1])
        case "load_and_delete" | "delete":
            model.pop(k, None)
            return before if operation == "load_and_delete" else None
        case "compare_and_swap" | "compare_and_delete":
            if before != (old, True):
                return False
            if operation == "compare_and_swap":
                model[k] = v
            else:
                del model[k]
            return True
        case "clear":
            return model.clear()
    return dict(model)


@given(OPERATIONS)
def test_it_gives_a_dicts_answers(operations):
    m, model = ReadDirtyMap(), {}
    for operation, k, v, old in operations:
        arguments = {
            "load": (k,), "store": (k, v), "swap": (k, v), "load_or_store": (k, v), "load_and_delete": (k,), "delete": (k,),
            "compare_and_swap": (k, old, v), "compare_and_delete": (k, old), "clear": (), "range": (),
        }[operation]  # fmt: skip
        got = getattr(m, operation)(*arguments)
        if operation == "range":
            pairs = list(got)
            got = dict(pairs)
            assert len(got) == len(pairs)
        assert got == answer(model, operation, k, v, old)
    assert dict(m.range()) == model


def test_the_dirty_dict_is_promoted_after_as_many_misses_as_it_has_keys():
    m = ReadDirtyMap()
    for k in range(3):
        m.store(k, k)
    assert m.stats() == ReadDirtyStats(read=0, dirty=3, misses=0, promotions=0)
    m.load(0)
    m.load("none such")
    assert m.stats() == ReadDirtyStats(read=0, dirty=3, misses=2, promotions=0)
    m.load(1)
    assert m.stats() == ReadDirtyStats(read=3, dirty=0, misses=0, promotions=1)
    m.load("none such")
    assert m.stats().misses == 0   # it is not amended: the read-only dict knows


def test_what_is_deleted_is_left_out_of_the_next_dirty_dict():
    m = ReadDirtyMap()
    for k in range(3):
        m.store(k, k)
    assert dict(m.range()) == {0: 0, 1: 1, 2: 2}   # promotes
    m.delete(1)
    assert m.stats() == ReadDirtyStats(read=3, dirty=0, misses=0, promotions=1)
    m.store("new", 3)
    assert m.stats() == ReadDirtyStats(read=3, dirty=3, misses=0, promotions=1)
    m.store(1, "again")   # expunged, so it must come into the dirty dict
    assert m.stats().dirty == 4
    assert dict(m.range()) == {0: 0, 1: "again", 2: 2, "new": 3}
    assert m.load(1) == ("again", True)


def test_none_is_a_value():
    m = ReadDirtyMap()
    assert m.load_or_store("k", None) == (None, False)
    assert m.load("k") == (None, True) and m.load_or_store("k", 1) == (None, True)
    assert m.compare_and_delete("k", None)
    assert m.load("k") == (None, False)


def test_keys_without_a_hash_panic_as_in_go():
    m = ReadDirtyMap()
    for call in (lambda: m.load([]), lambda: m.store([], 1), lambda: m.delete([]), lambda: m.load_or_store([], 1), lambda: m.compare_and_swap([], 1, 2)):
        with pytest.raises(gort.PanicError, match="^runtime error: hash of unhashable type list$"):
            call()


def counted(m):
    """Six who each count a key of their own and a common one up, half of them goroutines, half threads."""

    def count(own):
        for _ in range(50):
            for k in (own, "common"):
                while True:
                    old, ok = m.load_or_store(k, 0)
                    if m.compare_and_swap(k, old, old + 1):
                        break
                    gort.gosched()

    threads = [threading.Thread(target=count, args=(f"thread {n}",)) for n in range(3)]

    def main():
        group = gort.WaitGroup()
        for n in range(3):
            group.go(count, f"goroutine {n}")
        group.wait()

    for thread in threads:
        thread.start()
    gort.run(main)
    for thread in threads:
        thread.join()
    return dict(m.range())


def test_nothing_is_lost_or_doubled():
    got = counted(ReadDirtyMap())
    assert got.pop("common") == 300
    assert len(got) == 6 and set(got.values()) == {50}


@pytest.mark.parametrize("seed", range(1, 41))
def test_one_of_many_who_store_first_is_the_one_all_see(seed):
    """In explored schedules, with deletions between."""

    def main():
        m, winners, group = ReadDirtyMap(), [], gort.WaitGroup()

        def contend(n):
            for k in range(4):
                gort.gosched()
                value, loaded = m.load_or_store(k, n)
                if not loaded:
                    winners.append((k, n))
                gort.gosched()
                if n == 0 and k % 2:
                    m.load(f"none such {k}")

        for n in range(4):
            group.go(contend, n)
        group.wait()
        assert sorted(winners) == sorted(m.range())

    gort.run(main, seed=seed)
