"""gort.atomic.Pointer: a reference, compared by identity."""

from __future__ import annotations

import copy
import gc
import threading
import weakref
from typing import Any, Callable

import pytest

import gort
from gort.atomic import Pointer


class Thing:
    pass


@pytest.mark.go("sync/atomic/atomic_test.go TestSwapPointerMethod")
def test_swap_sets_the_object_and_returns_the_one_before() -> None:
    a, b, x = Thing(), Thing(), Pointer[Thing]()
    assert x.swap(a) is None
    assert x.swap(b) is a
    assert x.swap(None) is b
    assert x.load() is None


@pytest.mark.go("sync/atomic/atomic_test.go TestCompareAndSwapPointerMethod")
def test_compare_and_swap_wants_the_same_object() -> None:
    a, b, x = Thing(), Thing(), Pointer[Thing]()
    assert x.compare_and_swap(None, a) and x.load() is a
    assert not x.compare_and_swap(b, None) and not x.compare_and_swap(None, b) and x.load() is a
    assert x.compare_and_swap(a, b) and x.load() is b
    assert x.compare_and_swap(b, None) and x.load() is None


def test_objects_that_are_equal_are_not_the_same() -> None:
    one: list[int] = []
    x = Pointer(one)
    assert not x.compare_and_swap([], [1])
    assert x.compare_and_swap(one, [1])


@pytest.mark.go("sync/atomic/atomic_test.go TestLoadPointerMethod")
def test_load_returns_the_object() -> None:
    a = Thing()
    assert Pointer(a).load() is a
    assert Pointer().load() is None and Pointer(None).load() is None


@pytest.mark.go("sync/atomic/atomic_test.go TestStorePointerMethod")
def test_store_sets_the_object_and_gives_up_the_one_before() -> None:
    x = Pointer(Thing())
    first = weakref.ref(x.load())
    x.store(second := Thing())
    gc.collect()
    assert first() is None and x.load() is second
    x.store(None)
    assert x.load() is None


def test_a_destructor_may_use_the_pointer_that_gives_it_up() -> None:
    x: Pointer[Any] = Pointer()
    seen: list[Any] = []

    class Last:
        def __del__(self) -> None:
            seen.append(x.load())
            x.store(3)

    x.store(Last())
    x.store(2)
    gc.collect()
    assert (seen, x.load()) == ([2], 3)
    x.store(Last())
    assert x.compare_and_swap(x.load(), 4)
    gc.collect()
    assert (seen, x.load()) == ([2, 4], 3)


def test_a_cycle_through_a_pointer_is_collected(collected: Callable[[], None]) -> None:
    thing = Thing()
    thing.next = Pointer(thing)  # type: ignore[attr-defined]
    gone = weakref.ref(thing)
    del thing
    collected()
    assert gone() is None


def test_a_long_chain_of_pointers_ends_without_deep_recursion() -> None:
    chain: Pointer[Any] = Pointer()
    for _ in range(100_000):
        chain = Pointer(chain)
    gort.run(lambda: gort.go(chain.swap, None).join())
    del chain


def test_a_stack_of_many_loses_nothing_and_doubles_nothing() -> None:
    """Treiber's stack. A reference is held over the exchange, so no address comes back meanwhile: no ABA."""
    head: Pointer[Any] = Pointer()
    popped: list[list[int]] = []

    def push(value: int) -> None:
        while not head.compare_and_swap(top := head.load(), (value, top)):
            pass

    def pop() -> int | None:
        while (top := head.load()) is not None:
            if head.compare_and_swap(top, top[1]):
                return int(top[0])
        return None

    def work(me: int) -> None:
        mine = []
        for n in range(500):
            push(me * 1000 + n)
            if (value := pop()) is not None:
                mine.append(value)
        popped.append(mine)

    def body() -> None:
        goroutines = [gort.go(work, n) for n in range(4)]
        for thread in threads:
            thread.join()
        for goroutine in goroutines:
            goroutine.join()

    threads = [threading.Thread(target=work, args=(4 + n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    gort.run(body)
    left = []
    while (value := pop()) is not None:
        left.append(value)
    assert sorted(sum(popped, left)) == [me * 1000 + n for me in range(8) for n in range(500)]


def test_it_is_an_object_with_identity() -> None:
    x = Pointer([1])
    assert x != Pointer([1]) and weakref.ref(x)() is x
    assert repr(x) == "<Pointer of list>" and repr(Pointer()) == "<Pointer None>"
    assert Pointer.__module__ == "gort.atomic"
    with pytest.raises(TypeError, match="cannot pickle or copy gort.atomic.Pointer objects"):
        copy.copy(x)
    with pytest.raises(TypeError, match=r"^compare_and_swap: takes 2 arguments \(old, new\), got 0$"):
        x.compare_and_swap()  # type: ignore[call-arg]
