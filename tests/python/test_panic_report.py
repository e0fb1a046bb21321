"""What is printed of an exception that leaves a goroutine outside run(). The first paragraphs are those of Go's runtime/crash_test.go."""

from __future__ import annotations

import enum
import pathlib
import re
import sys
from typing import Any, Callable

import pytest

import gort
from gort import defer, func, panic, recover


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a function in a goroutine of ambient mode and gives what was printed."""

    def of(fn: Callable[..., Any], *args: Any) -> str:
        gort.go(fn, *args).join()
        return capsys.readouterr().err

    return of


@pytest.fixture
def paragraph(report: Callable[..., str]) -> Callable[..., str]:
    """The first paragraph of the report."""
    return lambda fn, *args: report(fn, *args).partition("\n\n")[0]


class Text(Exception):
    pass


class NamedInt(int):
    pass


class NamedFloat(float):
    pass


class NamedComplex(complex):
    pass


class NamedText(str):
    pass


class Stringer:
    def __init__(self, say: Callable[[], str]) -> None:
        self.say = say

    def __str__(self) -> str:
        return self.say()


class Plain:
    pass


class Level(enum.Enum):
    LOW = 1


HERE = __name__


# ---------------------------------------------------------------- the whole


@pytest.mark.go("runtime/crash_test.go TestMainGoroutineID")
def test_the_report_has_gos_text_the_stack_and_pythons_traceback(report: Callable[..., str]) -> None:
    def inner() -> None:
        panic("test")

    def outer() -> None:
        inner()

    ids: list[int] = []

    def start() -> None:
        ids.append(gort.current().id)
        gort.go(lambda: (ids.append(gort.current().id), outer())).join()

    text = report(start)
    line = r"\n\t.*:\d+\n"
    name = r"test_the_report_has_gos_text_the_stack_and_pythons_traceback\.<locals>\."
    assert re.match(
        rf"panic: test\n\ngoroutine {ids[1]} \[running\]:\n"
        rf"panic\(\.\.\.\){line}{name}inner\(\.\.\.\){line}{name}outer\(\.\.\.\){line}{name}start\.<locals>\.<lambda>\(\.\.\.\){line}"
        rf"created by {name}start in goroutine {ids[0]}{line}\nTraceback \(most recent call last\):\n",
        text,
    ), text
    assert text.endswith("gort.errors.Panic: test\n")


def test_the_traceback_shows_causes_and_notes(report: Callable[..., str]) -> None:
    def f() -> None:
        error = ValueError("bad")
        error.add_note("a note")
        raise error from OSError("why")

    text = report(f)
    assert text.startswith("panic: ValueError: bad\n\ngoroutine ")
    assert text.endswith("ValueError: bad\na note\n")
    assert "OSError: why\n\nThe above exception was the direct cause" in text


def test_a_deep_stack_is_cut_in_the_middle_paragraph(report: Callable[..., str]) -> None:
    def down(n: int) -> None:
        down(n - 1) if n else panic("deep")

    text = report(down, 150)
    stack = text.split("\n\n")[1]
    assert stack.count(".down(...)\n") == 99
    assert "\n...additional frames elided...\ncreated by " in stack


def test_a_goroutine_that_is_over_is_named_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    g = gort.go(lambda: None)
    g.join()
    gort.panichook(g, ValueError("x"))
    assert capsys.readouterr().err == f"panic: ValueError: x\n\ngoroutine {g.id} [running]:\n\nValueError: x\n"


def test_without_stderr_nothing_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    gort.go(panic, "unseen").join()


def test_fatal_errors_say_so(paragraph: Callable[..., str]) -> None:
    assert paragraph(gort.Mutex().unlock) == "fatal error: sync: unlock of unlocked mutex"


def test_a_run_raises_the_panic_with_the_note_of_its_goroutine() -> None:
    @func
    def bad() -> None:
        defer(lambda: panic("second"))
        panic("first")

    with pytest.raises(gort.Panic) as caught:
        gort.run(lambda: gort.go(bad).join())
    assert caught.value.value == "second"
    assert re.match(r"goroutine \d+ \[running\], created by ", caught.value.__notes__[0])


# ---------------------------------------------------------------- values


@pytest.mark.go("runtime/panic_test.go TestPanicWithDirectlyPrintableCustomTypes")
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        ("", ""),
        (42, "42"),
        (-(2**70), "-1180591620717411303424"),
        (True, "true"),
        (False, "false"),
        (1.5, "1.5"),
        (100.0, "100"),
        (123456.0, "123456"),
        (1e6, "1e+06"),
        (123456789.125, "1.23456789125e+08"),
        (1e-4, "0.0001"),
        (1e-5, "1e-05"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
        (1 + 2j, "(1+2i)"),
        (complex(-1.5, -1e20), "(-1.5-1e+20i)"),
        (NamedInt(93), f"{HERE}.NamedInt(93)"),
        (NamedFloat(-93.75), f"{HERE}.NamedFloat(-93.75)"),
        (NamedComplex(32.1 + 10j), f"{HERE}.NamedComplex(32.1+10i)"),
        (NamedText("Panic\nline two"), f'{HERE}.NamedText("Panic\n\tline two")'),
        (Stringer(lambda: "I say"), "I say"),
        (pathlib.PurePosixPath("/etc"), "/etc"),
        (Level.LOW, "Level.LOW"),
        ([1, "a"], "(list) [1, 'a']"),
        (print, "(builtin_function_or_method) <built-in function print>"),
        (Text("mine"), f"{HERE}.Text: mine"),
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError(), "ValueError"),
        (gort.PanicError("close of nil channel"), "close of nil channel"),
    ],
)
def test_a_value_prints_as_in_go(paragraph: Callable[..., str], value: Any, text: str) -> None:
    assert paragraph(panic, value) == f"panic: {text}"


def test_an_object_that_says_nothing_of_itself_prints_by_type_and_address(paragraph: Callable[..., str]) -> None:
    value = Plain()
    assert paragraph(panic, value) == f"panic: ({HERE}.Plain) {id(value):#x}"


def test_a_long_value_is_shortened(paragraph: Callable[..., str]) -> None:
    assert len(paragraph(panic, [["x" * 10_000]] * 10_000)) < 5_000


@pytest.mark.parametrize("make", [lambda: ValueError("bad\nline"), lambda: Text("bad\nline")])
def test_an_exception_prints_its_type_and_text_indented(paragraph: Callable[..., str], make: Callable[[], Exception]) -> None:
    def f() -> None:
        raise make()

    kind = "ValueError" if isinstance(make(), ValueError) else f"{HERE}.Text"
    assert paragraph(f) == f"panic: {kind}: bad\n\tline"


def test_a_panic_made_by_hand_of_nothing_is_nil(paragraph: Callable[..., str]) -> None:
    def f() -> None:
        raise gort.Panic()

    assert paragraph(f) == "panic: nil"


@pytest.mark.go("runtime/crash_test.go TestPanicWhilePanicking: NilPanic, StringPanic")
def test_nil_and_text_of_several_lines(paragraph: Callable[..., str]) -> None:
    assert paragraph(panic, None) == "panic: panic called with nil argument"
    assert paragraph(panic, "important multi-line\nstring message") == "panic: important multi-line\n\tstring message"


@pytest.mark.go("runtime/crash_test.go TestPanicWhilePanicking, TestPanicLoop")
def test_a_value_that_panics_while_it_is_printed_is_survived(report: Callable[..., str]) -> None:
    def raises_text() -> str:
        panic("important multi-line\nstringer message")

    def raises_error() -> str:
        raise KeyError("x")

    def raises_itself() -> str:
        panic(value)

    def leaves() -> str:
        gort.goexit()

    value = Stringer(raises_itself)
    for say, text in (
        (raises_text, "important multi-line\n\tstringer message"),
        (raises_error, "type KeyError"),
        (raises_itself, "type gort.errors.Panic"),
        (leaves, "type gort.errors.GoExit"),
    ):
        whole = report(panic, value if say is raises_itself else Stringer(say))
        assert whole.startswith(f"fatal error: panic while printing panic value: {text}\n\ngoroutine ")
        assert whole.endswith("gort.errors.Panic: <exception str() failed>\n")


@pytest.mark.go("runtime/crash_test.go TestPanicDeadlockGosched")
def test_printing_a_value_may_park(paragraph: Callable[..., str]) -> None:
    assert paragraph(panic, Stringer(lambda: gort.gosched() or "errorThatGosched")) == "panic: errorThatGosched"


# ---------------------------------------------------------------- panics one over another


@pytest.mark.go("runtime/crash_test.go TestRecursivePanic4")
def test_a_recovered_panic_before_the_uncaught_one_is_marked(paragraph: Callable[..., str]) -> None:
    def deferred() -> None:
        recover()
        panic("second panic")

    @func
    def f() -> None:
        defer(deferred)
        panic("first panic")

    assert paragraph(f) == "panic: first panic [recovered]\n\tpanic: second panic"


@pytest.mark.go("runtime/crash_test.go TestRecursivePanic3")
def test_a_panic_recovered_by_a_nested_deferred_function_leaves_no_trace(paragraph: Callable[..., str]) -> None:
    @func
    def deferred() -> None:
        defer(lambda: recover() and None)
        panic("second panic")

    @func
    def f() -> None:
        defer(deferred)
        panic("first panic")

    assert paragraph(f) == "panic: first panic"


@pytest.mark.go("runtime/crash_test.go TestRecursivePanic, TestRecursivePanic2, TestRecursivePanic5")
def test_a_panic_after_all_were_recovered_is_alone(paragraph: Callable[..., str]) -> None:
    @func
    def recovered() -> None:
        defer(lambda: recover() and None)
        defer(lambda: panic(f"wrap: {recover()}"))
        panic("bad")

    def f() -> None:
        recovered()
        panic("again")

    assert paragraph(f) == "panic: again"


@pytest.mark.go("runtime/crash_test.go TestRepanickedPanic")
@pytest.mark.parametrize("value", ["message", ValueError("message")])
def test_a_panic_raised_again_is_printed_once(paragraph: Callable[..., str], value: Any) -> None:
    @func
    def f() -> None:
        defer(lambda: panic(recover()))
        panic(value)

    text = "message" if isinstance(value, str) else "ValueError: message"
    assert paragraph(f) == f"panic: {text} [recovered, repanicked]"


def test_an_exception_that_was_recovered_and_raised_again_is_printed_once(paragraph: Callable[..., str]) -> None:
    def again() -> None:
        raise recover()

    @func
    def inner() -> None:
        defer(again)
        raise ValueError("message")

    @func
    def outer() -> None:
        defer(again)
        inner()

    assert paragraph(outer) == "panic: ValueError: message [recovered, repanicked]"


@pytest.mark.go("runtime/crash_test.go TestRepanickedMiddlePanic")
def test_a_panic_raised_again_in_the_middle(paragraph: Callable[..., str]) -> None:
    @func
    def innermost() -> None:
        defer(lambda: (recover(), panic("middle")))
        panic("inner")

    @func
    def middle() -> None:
        defer(lambda: panic(recover()))
        innermost()

    @func
    def f() -> None:
        defer(lambda: (recover(), panic("outer")))
        middle()

    assert paragraph(f) == "panic: inner [recovered]\n\tpanic: middle [recovered, repanicked]\n\tpanic: outer"


@pytest.mark.go("runtime/crash_test.go TestRepanickedPanicSandwich")
def test_a_panic_raised_again_with_another_between(paragraph: Callable[..., str]) -> None:
    outer: list[Any] = []

    @func
    def inner() -> None:
        defer(lambda: (outer.append(recover()), panic("inner")))
        panic("outer")

    @func
    def f() -> None:
        defer(lambda: (recover(), panic(outer[0])))
        inner()

    assert paragraph(f) == "panic: outer [recovered]\n\tpanic: inner [recovered]\n\tpanic: outer"


@pytest.mark.go("runtime/crash_test.go TestDoublePanicWithSameValue, TestDoublePanic")
def test_a_second_panic_with_the_same_value_is_printed_once_and_with_another_below(paragraph: Callable[..., str]) -> None:
    @func
    def f(first: str, second: str) -> None:
        defer(panic, second)
        panic(first)

    same = "message"
    assert paragraph(f, same, same) == "panic: message"
    assert paragraph(f, "XXX", "YYY") == "panic: XXX\n\tpanic: YYY"


@pytest.mark.go("runtime/crash_test.go TestPanicTraceback")
def test_panics_of_several_functions_are_listed_oldest_first(paragraph: Callable[..., str]) -> None:
    @func
    def second() -> None:
        defer(panic, "panic pt2")
        panic("hello")

    @func
    def first() -> None:
        defer(panic, "panic pt1")
        second()

    assert paragraph(first) == "panic: hello\n\tpanic: panic pt2\n\tpanic: panic pt1"


@pytest.mark.go("runtime/crash_test.go TestPanicAfterGoexit")
def test_a_panic_after_a_goexit_is_reported_without_the_goexit(paragraph: Callable[..., str]) -> None:
    @func
    def f(fn: Callable[[], None]) -> None:
        defer(panic, "hello")
        fn()

    @func
    def aborted() -> None:
        defer(gort.goexit)
        panic("aborted")

    assert paragraph(f, gort.goexit) == "panic: hello"
    assert paragraph(f, aborted) == "panic: aborted\n\tpanic: hello"


def test_what_python_code_caught_by_itself_is_in_the_traceback_only(report: Callable[..., str]) -> None:
    def f() -> None:
        try:
            raise ValueError("caught")
        except ValueError:
            panic("second")

    text = report(f)
    assert text.startswith("panic: second\n\ngoroutine ")
    assert "ValueError: caught\n\nDuring handling of the above exception" in text


def test_the_history_is_forgotten_once_the_panic_was_recovered(paragraph: Callable[..., str]) -> None:
    kept: list[Any] = []

    @func
    def inner() -> None:
        defer(lambda: (recover(), (_ for _ in ()).throw(ValueError("second"))))
        panic("first")

    @func
    def outer() -> None:
        defer(lambda: kept.append(recover()))
        inner()

    def f() -> None:
        outer()
        raise kept[0]

    assert paragraph(f) == "panic: ValueError: second"
