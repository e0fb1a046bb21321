"""defer, panic and recover. What the functions of Go's tests do is asserted in our words."""

from __future__ import annotations

import copy
import gc
import logging
import pickle
import sys
import traceback
import weakref
from typing import Any, Callable

import pytest

import gort
from gort import defer, func, panic, recover

NIL_CALL = "^runtime error: invalid memory address or nil pointer dereference$"


def seen(deferred: Callable[[list[Any]], Callable[[], None]], value: Any = 1) -> list[Any]:
    """What a deferred function saw of panic(value)."""
    said: list[Any] = []

    @func
    def f() -> None:
        defer(deferred(said))
        panic(value)

    try:
        f()
    except gort.Panic as error:
        said.append(("uncaught", error.value))
    return said


# ---------------------------------------------------------------- defer


@pytest.mark.go("test/defer.go test1")
def test_deferred_calls_run_last_in_first_out_with_the_arguments_of_then(inside: Callable[..., Any]) -> None:
    result = []

    @func
    def f() -> str:
        for i in range(10):
            defer(result.append, i)
        assert result == []
        return "value"

    assert inside(f) == "value"
    assert result == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.go("test/defer.go test2")
def test_deferred_calls_take_any_arguments() -> None:
    said = []

    def add(*args: Any, **kwargs: Any) -> None:
        said.append((args, kwargs))

    @func
    def f() -> None:
        defer(add, 1, 2, fn=3)
        defer(add)

    f()
    assert said == [((), {}), ((1, 2), {"fn": 3})]


@pytest.mark.go("runtime/defer_test.go TestConditionalDefers")
def test_only_what_was_deferred_runs() -> None:
    result: list[int] = []

    @func
    def f(n: int) -> None:
        defer(result.append, 1)
        if n > 5:
            defer(result.append, 2)
            defer(result.append, 3) if n > 8 else defer(result.append, 4)
        panic("conditional")

    with pytest.raises(gort.Panic):
        f(8)
    assert result == [4, 2, 1]


def test_defer_in_a_comprehension_is_the_functions() -> None:
    said: list[int] = []

    @func
    def f() -> None:
        [defer(said.append, i) for i in range(3)]
        assert said == []

    f()
    assert said == [2, 1, 0]


def test_each_call_has_its_own_deferred_calls() -> None:
    said: list[str] = []

    @func
    def f(n: int) -> None:
        defer(said.append, f"end {n}")
        if n:
            f(n - 1)
        said.append(f"body {n}")

    f(2)
    assert said == ["body 0", "end 0", "body 1", "end 1", "body 2", "end 2"]


def test_goroutines_that_interleave_have_their_own_deferred_calls() -> None:
    said: list[int] = []

    @func
    def f(i: int, ch: gort.Chan[None]) -> None:
        defer(said.append, i)
        ch.recv()
        defer(said.append, i + 100)
        ch.recv()

    def main() -> None:
        channels = [gort.Chan[None]() for _ in range(3)]
        goroutines = [gort.go(f, i, ch) for i, ch in enumerate(channels)]
        for _ in range(2):
            for ch in channels:
                ch.send(None)
        for g in goroutines:
            g.join()

    gort.run(main)
    for i in range(3):
        assert [n for n in said if n % 100 == i] == [i + 100, i]


def test_a_function_keeps_its_name_and_its_result_and_methods_work() -> None:
    class Account:
        @func
        def close(self, amount: int, *, fee: int = 0) -> int:
            """What it does."""
            defer(lambda: 99)
            return amount - fee

        @staticmethod
        @func
        def make() -> str:
            return "made"

    assert Account().close(5, fee=2) == 3
    assert Account.make() == "made"
    assert Account.close.__name__ == "close"
    assert Account.close.__doc__ == "What it does."


@pytest.mark.go("test/defernil.go")
def test_a_deferred_nil_panics_when_its_turn_comes() -> None:
    said: list[str] = []

    @func
    def f() -> None:
        defer(said.append, "later")
        defer(None)
        said.append("body")

    with pytest.raises(gort.PanicError, match=NIL_CALL):
        f()
    assert said == ["body", "later"]


def test_defer_outside_of_a_decorated_function_says_what_to_decorate() -> None:
    def helper() -> None:
        defer(print)

    with pytest.raises(RuntimeError, match=r"^defer: only a function decorated with @gort.func can defer; decorate test_defer.*helper$"):
        func(lambda: helper())()
    with pytest.raises(RuntimeError, match="decorate test_defer_outside_of_a_decorated_function_says_what_to_decorate$"):
        defer(print)

    @func
    def f() -> None:
        defer(helper)  # runs in f's frame's end, not as part of f

    with pytest.raises(RuntimeError, match="decorate .*helper$"):
        f()


def test_defer_refuses_what_cannot_be_called() -> None:
    async def coroutine() -> None: ...

    @func
    def f(fn: Any) -> None:
        defer(fn)

    with pytest.raises(TypeError, match="^defer: fn must be callable, got int$"):
        f(5)
    with pytest.raises(TypeError, match="^defer: fn must be a plain function, got the coroutine function <function"):
        f(coroutine)


def test_func_refuses_what_has_no_frame_of_its_own_that_ends() -> None:
    async def coroutine() -> None: ...

    def generator() -> Any:
        yield

    async def both() -> Any:
        yield

    for fn in (coroutine, generator, both):
        with pytest.raises(TypeError, match="^func: fn must be a plain function, got <function .*, which is a generator or a coroutine"):
            func(fn)
    for value, name in ((print, "builtin_function_or_method"), (staticmethod(print), "staticmethod"), (5, "int"), (dict, "type")):
        with pytest.raises(TypeError, match=f"^func: fn must be a Python function, got {name}; decorate the function itself"):
            func(value)  # type: ignore[arg-type]


# ---------------------------------------------------------------- panic


def test_panic_raises_with_its_value() -> None:
    for value in (0, "", [], "text", False):
        with pytest.raises(gort.Panic) as caught:
            panic(value)
        assert caught.value.value is value
        assert caught.value.__cause__ is None
        assert not caught.value.__suppress_context__


def test_panic_of_an_exception_has_it_as_value_and_cause() -> None:
    error = KeyError("x")
    with pytest.raises(gort.Panic) as caught:
        panic(error)
    assert caught.value.value is error
    assert caught.value.__cause__ is error


@pytest.mark.go("runtime/panicnil_test.go TestPanicNil")
def test_panic_of_nothing_is_a_panic_error() -> None:
    with pytest.raises(gort.PanicError, match="^panic called with nil argument$"):
        panic(None)

    def caught(said: list[Any]) -> Callable[[], None]:
        return lambda: said.append(str(recover()))

    assert seen(caught, None) == ["panic called with nil argument"]


@pytest.mark.go("runtime/defer_test.go TestUnconditionalPanic")
def test_an_uncaught_panic_runs_deferred_calls_in_every_function() -> None:
    said: list[str] = []

    @func
    def inner() -> None:
        defer(said.append, "inner")
        panic("p")

    @func
    def outer() -> None:
        defer(said.append, "outer")
        inner()
        said.append("not reached")

    with pytest.raises(gort.Panic):
        outer()
    assert said == ["inner", "outer"]


# ---------------------------------------------------------------- recover


@pytest.mark.go("test/recover.go test1, test1WithClosures")
def test_recover_stops_the_panic_once_and_only_for_the_deferred_function_itself(inside: Callable[..., Any]) -> None:
    said: list[Any] = []

    def helper() -> Any:
        return recover()

    def recursive(n: int) -> None:
        recursive(n - 1) if n else said.append(recover())

    def recovers() -> None:
        said.append((helper(), recover(), recover()))

    @func
    def f() -> None:
        defer(lambda: said.append(recover()))
        defer(recovers)
        defer(lambda: said.append(helper()))
        defer(recursive, 1)
        panic(1)

    assert inside(f) is None
    assert said == [None, None, (None, 1, None), None]


@pytest.mark.go("test/recover.go test2")
def test_recover_deferred_directly_does_nothing() -> None:
    @func
    def f() -> None:
        defer(recover)
        panic(2)

    with pytest.raises(gort.Panic):
        f()


@pytest.mark.go("test/recover.go test3, test4; test/recover1.go test4, test5")
def test_recover_may_be_what_the_deferred_function_defers() -> None:
    def plainly(said: list[Any]) -> Callable[[], None]:
        return lambda: recover()

    def deferred(said: list[Any]) -> Callable[[], None]:
        return func(lambda: defer(recover))

    assert seen(plainly) == seen(deferred) == []


@pytest.mark.go("test/recover.go test5")
def test_a_value_that_was_returned_stays_when_a_later_panic_is_recovered() -> None:
    @func
    def attempt(then: Callable[[], None], value: str) -> str:
        defer(lambda: recover() and None)
        defer(then)
        return value

    assert attempt(lambda: panic(5), "given") == "given"
    assert attempt(lambda: None, "hi") == "hi"


def test_a_recovered_function_that_had_not_returned_gives_none() -> None:
    @func
    def f() -> str:
        defer(lambda: recover() and None)
        panic("p")
        return "not reached"

    assert f() is None


@pytest.mark.go("test/recover.go test7")
def test_earlier_deferred_calls_run_after_a_recover_and_see_no_panic() -> None:
    said: list[Any] = []

    @func
    def f() -> None:
        defer(lambda: said.append(sys.exception() if hasattr(sys, "exception") else None))
        defer(lambda: said.append(recover()))
        defer(lambda: said.append(recover()))
        panic(7)

    f()
    assert said == [7, None, None]


@pytest.mark.go("test/recover.go test8")
def test_recover_without_a_panic_gives_none() -> None:
    said: list[Any] = []
    func(lambda: defer(lambda: said.append(recover())))()
    assert said == [None]
    assert recover() is None


@pytest.mark.go("test/recover.go test9, test10, test11, test12, test13, test14")
def test_methods_of_every_kind_may_recover() -> None:
    said: list[Any] = []

    class Recovering:
        def plain(self) -> None:
            said.append(recover())

        @staticmethod
        def static() -> None:
            said.append(recover())

        @classmethod
        def of_class(cls) -> None:
            said.append(recover())

        @func
        def decorated(self) -> None:
            said.append(recover())

        def __call__(self) -> None:
            said.append(recover())

    r = Recovering()
    import functools

    for method in (r.plain, r.static, Recovering.static, Recovering.of_class, r.decorated, r, functools.partial(r.plain), functools.partial(r.decorated)):

        @func
        def f() -> None:
            defer(method)
            panic(9)

        f()
    assert said == [9] * 8


@pytest.mark.go("test/recover.go test111")
def test_a_panic_recovered_below_the_deferred_function_leaves_the_outer_one() -> None:
    def below(said: list[Any]) -> Callable[[], None]:
        @func
        def bad_state() -> None:
            defer(lambda: said.append(recover()))
            panic(112)

        def method() -> None:
            bad_state()
            said.append(recover())

        return method

    assert seen(below, 111) == [112, 111]


@pytest.mark.go("test/recover1.go test1")
def test_nested_panics_are_recovered_each_at_its_level() -> None:
    said: list[Any] = []

    @func
    def deferred() -> None:
        defer(lambda: said.append(recover()))
        panic(2)

    @func
    def f() -> None:
        defer(lambda: said.append(recover()))
        defer(deferred)
        panic(1)

    f()
    assert said == [2, 1]


@pytest.mark.go("test/recover1.go test2, test3")
def test_a_panic_after_a_recover_in_the_same_deferred_function() -> None:
    said: list[Any] = []

    @func
    def deferred() -> None:
        said.append(recover())
        defer(lambda: said.append(recover()))
        panic(3)

    @func
    def f() -> None:
        defer(lambda: said.append(recover()))
        defer(deferred)
        panic(2)

    f()
    assert said == [2, 3, None]


@pytest.mark.go("test/recover1.go test6, test7")
def test_a_deferred_recover_counts_as_the_functions_own_unless_that_panics() -> None:
    said: list[Any] = []

    @func
    def recovers_outer() -> None:
        defer(recover)
        defer(lambda: said.append(recover()))
        panic(3)

    @func
    def recovers_nothing() -> None:
        defer(lambda: said.append(recover()))
        defer(recover)
        panic(3)

    @func
    def f(deferred: Callable[[], None]) -> None:
        defer(lambda: said.append(recover()))
        defer(deferred)
        panic(2)

    f(recovers_outer)
    assert said == [3, None]
    said.clear()
    f(recovers_nothing)
    assert said == [3, 2]


@pytest.mark.go("test/recover2.go, test/recover3.go")
def test_exceptions_of_python_are_panics_and_recover_gives_them() -> None:
    errors: list[Any] = []
    for bad in (lambda: [][1], lambda: 1 // 0, lambda: {}[[]], lambda: "".no, lambda: gort.nil_chan.close()):  # type: ignore

        @func
        def f() -> None:
            defer(lambda: errors.append(recover()))
            bad()

        f()
    assert [type(e) for e in errors] == [IndexError, ZeroDivisionError, TypeError, AttributeError, gort.PanicError]
    assert str(errors[-1]) == "close of nil channel"


@pytest.mark.go("runtime/crash_test.go TestRuntimePanicWithRuntimeError")
def test_what_gort_itself_panics_with_is_recovered_as_a_panic_error() -> None:
    closed = gort.Chan[int]()
    closed.close()
    said: list[Any] = []
    for bad in (closed.close, lambda: closed.send(1), gort.nil_chan.close, gort.WaitGroup().done, lambda: gort.Ticker(0)):

        @func
        def f() -> None:
            defer(lambda: said.append(recover()))
            bad()

        f()
    assert all(type(error) is gort.PanicError for error in said)
    assert [str(error) for error in said] == [
        "close of closed channel",
        "send on closed channel",
        "close of nil channel",
        "sync: negative WaitGroup counter",
        "non-positive interval for NewTicker",
    ]


@pytest.mark.go("runtime/defer_test.go TestIssue43941")
def test_the_order_of_steps_through_nested_functions() -> None:
    said: list[Any] = []

    def step(n: int) -> None:
        said.append(n)

    @func
    def deep() -> None:
        @func
        def two_then_three() -> None:
            defer(lambda: said.append(("recovered", recover())))
            defer(panic, 3)
            panic(2)

        defer(two_then_three)
        defer(lambda: said.append(("recovered", recover())))
        defer(panic, 1)

    @func
    def first() -> None:
        deep()
        defer(step, 10)
        defer(step, 9)
        step(8)

    @func
    def innermost() -> None:
        defer(step, 11)
        panic(4)

    @func
    def second() -> None:
        defer(step, 13)
        defer(step, 12)
        innermost()
        defer(panic, -1)

    @func
    def f() -> None:
        defer(lambda: said.append(("recovered", recover())))
        first()
        second()

    f()
    assert said == [("recovered", 1), ("recovered", 3), 8, 9, 10, 11, 12, 13, ("recovered", 4)]


@pytest.mark.go("runtime/defer_test.go TestAbortedPanic")
def test_a_newer_panic_takes_the_place_of_the_older() -> None:
    said: list[Any] = []

    @func
    def f() -> None:
        defer(lambda: said.append(recover()))
        defer(lambda: said.append(recover()))
        defer(lambda: panic("panic2"))
        panic("panic1")

    f()
    assert said == ["panic2", None]


@pytest.mark.go("runtime/defer_test.go TestRecoverMatching")
def test_what_a_deferred_function_defers_does_not_see_the_panic() -> None:
    said: list[Any] = []

    @func
    def f() -> None:
        defer(lambda: said.append(recover()))
        defer(func(lambda: defer(lambda: said.append(recover()))))
        panic("panic1")

    f()
    assert said == [None, "panic1"]


@pytest.mark.go("runtime/defer_test.go TestDeferWithRepeatedRepanics")
def test_repeated_repanics_end_where_they_are_meant_to() -> None:
    said: list[int] = []

    @func
    def interpreter(level: int, most: int, goal: int) -> None:
        @func
        def handler() -> None:
            value = recover()
            if value is None:
                return
            if level != value:
                panic(value)
            said.append(level)

        defer(handler)
        interpreter(level + 1, most, goal) if level + 1 < most else panic(goal)

    for most, goal in ((6, 2), (5, 1), (6, 3)):
        interpreter(0, most, goal)
    assert said == [2, 1, 3]


@pytest.mark.go("runtime/defer_test.go TestIssue43921")
def test_the_outer_panic_goes_on_after_a_nested_one_was_recovered() -> None:
    said: list[Any] = []

    @func
    def nested() -> None:
        defer(lambda: said.append(recover()))
        panic(4)

    @func
    def inner() -> None:
        defer(nested)
        panic(1)

    @func
    def f() -> None:
        defer(lambda: said.append(recover()))
        inner()

    f()
    assert said == [4, 1]


@pytest.mark.go("runtime/defer_test.go TestIssue43920")
def test_panic_itself_may_be_deferred() -> None:
    said: list[Any] = []

    @func
    def third() -> None:
        defer(lambda: said.append(recover()))
        defer(panic, 5)
        panic(4)

    @func
    def second() -> None:
        defer(third)
        defer(lambda: said.append(recover()))
        defer(panic, 3)

    @func
    def first() -> None:
        defer(said.append, "step")
        panic(1)

    @func
    def f() -> None:
        defer(lambda: said.append(recover()))
        defer(second)
        first()

    f()
    assert said == ["step", 3, 5, 1]


def test_deferred_calls_run_when_an_interrupt_comes_just_after_the_body() -> None:
    said: list[str] = []
    before = sys.gettrace()

    def interrupt(frame: Any, event: str, argument: Any) -> Any:
        if event == "call" and frame.f_code.co_name == "_returning":
            sys.settrace(before)
            raise KeyboardInterrupt
        return None

    @func
    def f() -> None:
        defer(said.append, "ran")
        sys.settrace(interrupt)

    with pytest.raises(KeyboardInterrupt):
        f()
    assert said == ["ran"]


@pytest.mark.go("runtime/crash_test.go TestRecursivePanic, TestRecursivePanic2, TestRecursivePanic5")
def test_a_panic_raised_by_a_deferred_function_is_recovered_further_out() -> None:
    said: list[Any] = []

    def wrap() -> None:
        panic("wrap: " + recover())

    @func
    def inner() -> None:
        defer(wrap)
        panic("bad")

    @func
    def two_deferred() -> None:
        defer(lambda: panic("second panic"))
        defer(lambda: said.append(recover()))
        panic("first panic")

    @func
    def f(fn: Callable[[], None]) -> None:
        defer(lambda: said.append(recover()))
        fn()

    f(inner)
    assert said == ["wrap: bad"]
    said.clear()
    f(two_deferred)
    assert said == ["first panic", "second panic"]


def test_a_function_that_deferred_thousands_of_panics_raises_the_last() -> None:
    @func
    def f() -> None:
        for i in range(10_000):
            defer(panic, i)

    with pytest.raises(gort.Panic) as caught:
        f()
    assert caught.value.value == 0


# ---------------------------------------------------------------- what cannot be recovered


@pytest.mark.parametrize("error", [gort.GoExit, SystemExit, KeyboardInterrupt, gort.FatalError("fatal"), gort.Deadlock()])
def test_deferred_calls_run_but_recover_nothing_of_what_ends_goroutine_or_program(error: Any) -> None:
    said: list[Any] = []

    @func
    def f() -> None:
        defer(lambda: said.append(recover()))
        raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        f()
    assert said == [None]


@pytest.mark.go("runtime/crash_test.go TestGoexitDefer, TestGoexitInPanic")
def test_a_goexit_during_a_panic_aborts_the_panic(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[Any] = []

    @func
    def f() -> None:
        defer(lambda: said.append(recover()))
        defer(gort.goexit)
        panic("hello")

    gort.go(f).join()
    assert said == [None]
    assert capsys.readouterr().err == ""


@pytest.mark.go("runtime/crash_test.go TestRecoveredPanicAfterGoexit")
def test_a_panic_recovered_in_a_deferred_function_leaves_the_goexit() -> None:
    said: list[Any] = []

    @func
    def deferred() -> None:
        defer(lambda: said.append(recover()))
        panic("hello")

    @func
    def f() -> None:
        defer(deferred)
        gort.goexit()

    def body() -> None:
        f()
        said.append("not reached")

    gort.go(body).join()
    assert said == ["hello"]


@pytest.mark.go("runtime/crash_test.go TestRecoverBeforePanicAfterGoexit, TestRecoverBeforePanicAfterGoexit2")
def test_a_goexit_goes_on_after_a_panic_over_it_was_recovered() -> None:
    said: list[Any] = []

    @func
    def inner() -> None:
        defer(lambda: panic("hello"))
        gort.goexit()

    @func
    def same_function() -> None:
        defer(lambda: said.append(recover()))
        defer(lambda: said.append(recover()))
        defer(lambda: panic("hello"))
        gort.goexit()

    @func
    def other_function() -> None:
        defer(lambda: said.append(recover()))
        defer(lambda: said.append(recover()))
        inner()

    for fn in (same_function, other_function):
        said.clear()

        def body() -> None:
            fn()
            said.append("not reached")

        gort.go(body).join()
        assert said == ["hello", None]


def test_a_recover_in_a_function_called_during_a_goexit_does_not_end_that_function_early() -> None:
    said: list[Any] = []

    @func
    def safe() -> str:
        defer(lambda: recover() and None)
        panic("inside")
        return "not reached"

    def deferred() -> None:
        safe()
        said.append("after safe")

    @func
    def f() -> None:
        defer(deferred)
        gort.goexit()

    gort.go(f).join()
    assert said == ["after safe"]


def test_a_parked_goroutine_runs_its_deferred_calls_when_the_run_ends() -> None:
    said: list[Any] = []

    @func
    def f() -> None:
        defer(lambda: said.append(recover()))
        gort.Chan[None]().recv()

    def main() -> None:
        g = gort.go(f)
        while g.status != "waiting":
            gort.gosched()

    gort.run(main)
    assert said == [None]


def test_deferred_calls_may_park() -> None:
    said: list[Any] = []

    def main() -> None:
        ch = gort.Chan[int]()

        @func
        def f() -> None:
            defer(lambda: said.append((ch.recv(), recover())))
            panic("while others run")

        g = gort.go(f)
        ch.send(1)
        g.join()

    gort.run(main)
    assert said == [(1, "while others run")]


# ---------------------------------------------------------------- Python's own record stays whole


def test_the_traceback_context_and_cause_are_pythons_own() -> None:
    @func
    def f() -> None:
        defer(second)
        defer(third)
        first()

    def first() -> None:
        raise ValueError("first")

    def second() -> None:
        raise KeyError("second") from OSError("why")

    def third() -> None:
        try:
            raise TypeError("third")
        except TypeError:
            raise IndexError("fourth")  # noqa: B904

    with pytest.raises(KeyError) as caught:
        f()
    error = caught.value
    chain = []
    while error is not None:
        chain.append(type(error))
        error = error.__context__  # type: ignore[assignment]
    assert chain == [KeyError, IndexError, TypeError, ValueError]
    assert isinstance(caught.value.__cause__, OSError)
    names = [entry.name for entry in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "second"
    assert [entry.name for entry in traceback.extract_tb(caught.value.__context__.__context__.__context__.__traceback__)][-2:] == ["f", "first"]  # type: ignore[union-attr]


def test_an_exception_that_passes_is_the_same_with_one_entry_for_each_function() -> None:
    original = ValueError("x")
    original.add_note("a note")

    @func
    def f() -> None:
        defer(lambda: None)
        defer(lambda: None)
        raise original

    with pytest.raises(ValueError) as caught:
        f()
    assert caught.value is original
    assert original.__context__ is None
    assert original.__notes__ == ["a note"]
    names = [entry.name for entry in traceback.extract_tb(original.__traceback__)]
    assert names == ["test_an_exception_that_passes_is_the_same_with_one_entry_for_each_function", "call", "f"]


def test_the_context_of_the_callers_handler_is_not_mixed_in() -> None:
    @func
    def f() -> None:
        defer(lambda: panic("second"))
        panic("first")

    try:
        raise OSError("caller's")
    except OSError as outer:
        with pytest.raises(gort.Panic) as caught:
            f()
        first = caught.value.__context__
        assert isinstance(first, gort.Panic) and first.value == "first"
        assert first.__context__ is outer


def test_logging_in_a_deferred_function_shows_the_exception(caplog: pytest.LogCaptureFixture) -> None:
    @func
    def f() -> None:
        defer(lambda: logging.getLogger("test").exception("caught %r", recover()))
        defer(lambda: panic("the newer one"))
        raise ValueError("the older one")

    f()
    (record,) = caplog.records
    assert record.getMessage() == "caught 'the newer one'"
    assert record.exc_info and isinstance(record.exc_info[1], gort.Panic)


def test_after_a_recover_a_new_exception_has_no_context() -> None:
    @func
    def f() -> None:
        defer(lambda: panic("unrelated"))
        defer(lambda: recover() and None)
        panic("recovered")

    with pytest.raises(gort.Panic) as caught:
        f()
    assert caught.value.value == "unrelated"
    assert caught.value.__context__ is None


@pytest.mark.go("test/deferfin.go")
def test_nothing_is_kept_after_a_panic_was_recovered() -> None:
    class Held:
        pass

    references = []

    def repanic() -> None:
        error = recover()
        try:
            raise error
        finally:
            del error

    @func
    def inner() -> None:
        held = Held()
        references.append(weakref.ref(held))
        defer(repanic)
        defer(lambda held: None, held)
        raise ValueError("x")

    @func
    def f() -> None:
        defer(lambda: recover() and None)
        defer(lambda: panic("over it"))
        inner()

    gc.disable()
    try:
        f()
        assert references[0]() is None
    finally:
        gc.enable()


def test_a_panic_with_a_history_pickles_and_copies() -> None:
    class Local:
        def __reduce__(self) -> Any:
            raise TypeError("not to be pickled")

    @func
    def f() -> None:
        defer(lambda: panic("second"))
        panic(Local())

    with pytest.raises(gort.Panic) as caught:
        f()
    for again in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):
        assert again.value == "second"


def test_exceptions_that_refuse_attributes_are_panics_too() -> None:
    import dataclasses

    @dataclasses.dataclass(frozen=True)
    class Frozen(Exception):
        code: int

    said: list[Any] = []

    @func
    def f() -> None:
        defer(lambda: said.append(recover()))
        defer(lambda: (_ for _ in ()).throw(Frozen(2)))
        raise Frozen(1)

    f()
    assert said == [Frozen(2)]
