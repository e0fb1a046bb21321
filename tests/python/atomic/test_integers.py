"""gort.atomic's integers and Bool: each operation's result, wrap-around, what is refused, and nothing lost between goroutines and threads."""

from __future__ import annotations

import copy
import pickle
import random
import threading
import weakref
from typing import Any

import pytest

import gort
from gort.atomic import Bool, Int32, Int64, Uint32, Uint64, Uintptr

Integer = type[Int32] | type[Int64] | type[Uint32] | type[Uint64] | type[Uintptr]
BITS = {Int32: 32, Int64: 64, Uint32: 32, Uint64: 64, Uintptr: 64}


def bounds(kind: Any) -> tuple[int, int]:
    signed, bits = kind in (Int32, Int64), BITS[kind]
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def wrapped(kind: Any, n: int) -> int:
    low, high = bounds(kind)
    return (n - low) % (high - low + 1) + low


def powers(kind: Any) -> list[int]:
    return [1 << n for n in range(BITS[kind]) if 1 << n <= bounds(kind)[1]]


def named(kind: Any, test: str) -> Any:
    return pytest.param(kind, id=kind.__name__, marks=pytest.mark.go(f"sync/atomic/atomic_test.go {test}"))


def ported(operation: str) -> pytest.MarkDecorator:
    """One case a type, each named after Go's test of that type's method."""
    return pytest.mark.parametrize("kind", [named(kind, f"Test{operation}{kind.__name__}Method") for kind in BITS])


every = pytest.mark.parametrize("kind", list(BITS))


@ported("Swap")
def test_swap_sets_the_value_and_returns_the_one_before(kind: Integer) -> None:
    x, before = kind(), 0
    for n in powers(kind):
        assert x.swap(n) == before
        assert x.load() == n
        before = n


@ported("Add")
def test_add_returns_the_new_value(kind: Integer) -> None:
    x, total = kind(), 0
    for n in powers(kind):
        total = wrapped(kind, total + n)
        assert x.add(n) == total == x.load()


@ported("And")
def test_and_keeps_the_bits_of_the_mask_and_returns_the_old_value(kind: Integer) -> None:
    low, high = bounds(kind)
    x = kind(-1 if low else high)
    for n in powers(kind):
        before = x.load()
        assert x.and_(~n) == before
        assert x.load() == before & ~n


@ported("Or")
def test_or_sets_the_bits_of_the_mask_and_returns_the_old_value(kind: Integer) -> None:
    x = kind()
    for n in powers(kind):
        before = x.load()
        assert x.or_(n) == before
        assert x.load() == before | n


@ported("CompareAndSwap")
def test_compare_and_swap_changes_only_what_is_as_expected(kind: Integer) -> None:
    for n in powers(kind):
        x = kind(n)
        assert x.compare_and_swap(n, n - 1) and x.load() == n - 1
        assert not x.compare_and_swap(n, 0) and x.load() == n - 1


@ported("Load")
def test_load_returns_the_value(kind: Integer) -> None:
    for n in [*powers(kind), *bounds(kind)]:
        assert kind(n).load() == n


@ported("Store")
def test_store_sets_the_value(kind: Integer) -> None:
    x = kind()
    for n in [*powers(kind), *bounds(kind)]:
        assert x.store(n) is None
        assert x.load() == n


@every
def test_adding_wraps_around_at_both_ends(kind: Integer) -> None:
    low, high = bounds(kind)
    x = kind(high)
    assert (x.add(1), x.add(-1)) == (low, high)


@every
def test_a_pattern_may_be_written_signed_or_unsigned(kind: Integer) -> None:
    every_bit = (1 << BITS[kind]) - 1
    assert kind(5).add(every_bit) == kind(5).add(-1) == 4
    for mask in (every_bit - 1, -2):
        x = kind(5)
        x.and_(mask)
        assert x.load() == 4
    x.and_(~every_bit)
    assert x.load() == 0
    a, b = kind(), kind()
    a.or_(every_bit)
    b.or_(-1)
    assert a.load() == b.load() == (bounds(kind)[1] if bounds(kind)[0] == 0 else -1)


@every
def test_what_the_type_does_not_hold_is_refused_and_changes_nothing(kind: Integer) -> None:
    (low, high), bits = bounds(kind), BITS[kind]
    x = kind(7)
    for n in (low - 1, high + 1, 1 << 200, -(1 << 200)):
        calls = {
            f"{kind.__name__}: value": lambda n=n: kind(n),
            "store: v": lambda n=n: x.store(n),
            "swap: v": lambda n=n: x.swap(n),
            "compare_and_swap: old": lambda n=n: x.compare_and_swap(n, 1),
            "compare_and_swap: new": lambda n=n: x.compare_and_swap(7, n),
        }
        for where, call in calls.items():
            with pytest.raises(ValueError) as error:
                call()
            assert str(error.value) == f"{where} must be from {low} to {high}, got {n}"
    for n in (-(1 << bits) - 1, 1 << bits, 1 << 200, -(1 << 200)):
        for name, argument in (("add", "delta"), ("and_", "mask"), ("or_", "mask")):
            with pytest.raises(ValueError) as error:
                getattr(x, name)(n)
            assert str(error.value) == f"{name}: {argument} must be from {-(1 << bits)} to {(1 << bits) - 1}, got {n}"
    assert x.load() == 7


@every
def test_another_type_is_refused(kind: Integer) -> None:
    x: Any = kind(7)
    for bad in (1.0, "1", None):
        for where, call in {"store: v": x.store, "add: delta": x.add, f"{kind.__name__}: value": kind}.items():
            with pytest.raises(TypeError) as error:
                call(bad)
            assert str(error.value) == f"{where} must be an int, got {type(bad).__name__}"
    with pytest.raises(TypeError, match=r"^compare_and_swap: takes 2 arguments \(old, new\), got 1$"):
        x.compare_and_swap(7)
    assert x.load() == 7


def test_what_counts_as_an_int_is_taken_and_its_error_passed_on() -> None:
    class Five:
        def __index__(self) -> int:
            return 5

    class Broken:
        def __index__(self) -> int:
            raise KeyError("broken")

    x = Int32()
    x.store(Five())  # type: ignore[arg-type]
    assert x.add(True) == 6
    with pytest.raises(KeyError):
        x.add(Broken())  # type: ignore[arg-type]
    assert x.load() == 6


def test_a_bool_is_loaded_stored_swapped_and_compared() -> None:
    x = Bool()
    assert x.load() is False
    assert x.swap(True) is False and x.load() is True
    assert not x.compare_and_swap(False, True) and x.compare_and_swap(True, False) and x.load() is False
    x.store(True)
    assert x.load() is True and Bool(True).load() is True
    for call in (x.store, x.swap, Bool):
        with pytest.raises(TypeError, match="must be a bool, got int$"):
            call(1)  # type: ignore[arg-type]
    assert not hasattr(x, "add") and not hasattr(x, "and_") and not hasattr(x, "or_")


@pytest.mark.parametrize("kind", [*BITS, Bool])
def test_they_are_objects_with_identity(kind: Any) -> None:
    x = kind()
    assert x != kind() and hash(x) != hash(kind())
    assert weakref.ref(x)() is x
    assert kind.__module__ == "gort.atomic"
    assert repr(x) == f"<{kind.__name__} {x.load()}>"
    for copied in (copy.copy, pickle.dumps):
        with pytest.raises(TypeError, match=f"cannot pickle or copy gort.atomic.{kind.__name__} objects"):
            copied(x)


# --- many at once

CALLERS, ROUNDS = 4, 2000


def at_once(work: Any) -> None:
    """CALLERS goroutines and as many plain threads in work(number)."""

    def body() -> None:
        goroutines = [gort.go(work, n) for n in range(CALLERS)]
        for thread in threads:
            thread.join()
        for goroutine in goroutines:
            goroutine.join()

    threads = [threading.Thread(target=work, args=(CALLERS + n,)) for n in range(CALLERS)]
    for thread in threads:
        thread.start()
    gort.run(body)


@pytest.mark.parametrize("kind", [named(kind, f"TestHammer{bits}/{kind.__name__}") for kind, bits in BITS.items()])
def test_nothing_that_many_add_is_lost(kind: Integer) -> None:
    added, swapped = kind(), kind()

    def work(_: int) -> None:
        for _ in range(ROUNDS):
            added.add(1)
            while not swapped.compare_and_swap(n := swapped.load(), n + 1):
                pass

    at_once(work)
    assert added.load() == swapped.load() == 2 * CALLERS * ROUNDS


@pytest.mark.parametrize("kind", [named(kind, f"TestHammerStoreLoad/{kind.__name__}") for kind in (Int64, Uint64, Uintptr)])
def test_a_value_is_never_seen_half_stored(kind: Integer) -> None:
    x, torn = kind(), []

    def work(_: int) -> None:
        for _ in range(ROUNDS):
            value = x.load()
            if value & 0xFFFFFFFF != value >> 32:
                torn.append(value)
            x.store(random.getrandbits(31) * 0x100000001)

    at_once(work)
    assert torn == []


@pytest.mark.parametrize("kind", [named(Int32, "TestStoreLoadSeqCst32"), named(Int64, "TestStoreLoadSeqCst64")])
def test_of_two_that_store_and_then_load_one_sees_the_other(kind: Integer) -> None:
    mine, seen, turn = [kind(), kind()], [[0] * ROUNDS, [0] * ROUNDS], [kind(), kind()]

    def work(me: int) -> None:
        for n in range(1, ROUNDS):
            mine[me].store(n)
            seen[me][n] = mine[1 - me].load()
            turn[me].store(n)
            while turn[1 - me].load() < n:
                gort.gosched()

    def body() -> None:
        for goroutine in [gort.go(work, 0), gort.go(work, 1)]:
            goroutine.join()

    gort.run(body)
    assert all(seen[0][n] >= n or seen[1][n] >= n for n in range(1, ROUNDS))


@pytest.mark.parametrize("kind", [named(Int32, "TestStoreLoadRelAcq32"), named(Int64, "TestStoreLoadRelAcq64")])
def test_who_sees_a_flag_sees_what_was_stored_before_it(kind: Integer) -> None:
    flag, data, wrong = kind(), [0, 0.0], []

    def work(me: int) -> None:
        for n in range(1, ROUNDS):
            if n % 2 == me:
                data[0], data[1] = n, float(n)
                flag.store(n)
            else:
                while flag.load() < n:
                    gort.gosched()
                if data != [n, float(n)]:
                    wrong.append(n)
                while n + 1 < ROUNDS and flag.load() < n:
                    gort.gosched()

    def body() -> None:
        for goroutine in [gort.go(work, 0), gort.go(work, 1)]:
            goroutine.join()

    gort.run(body)
    assert wrong == []


def test_an_explored_run_gets_out_of_a_loop_that_waits_for_another() -> None:
    def body() -> int:
        x = Int32()
        gort.go(x.store, 1)
        turns = 0
        while not x.compare_and_swap(1, 2):
            turns += 1
        return turns

    took = [gort.run(body, seed=seed) for seed in (1, 1, 2, 3, 4, 5)]
    assert took[0] == took[1] and len(set(took)) > 1
