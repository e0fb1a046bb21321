"""What is printed of an exception that leaves a goroutine: Go's text for an uncaught panic, then Python's traceback.

::

    panic: first [recovered]
            panic: second

    goroutine 7 [running]:
    handler(...)
            server.py:12
    created by main in goroutine 1
            server.py:30

    Traceback (most recent call last): ...

The first paragraph names every panic that was under way, oldest first, as Go does: those that a deferred call recovered before it panicked again are
marked, and one that was raised again with the same value is printed once. Exceptions that Python code caught by itself are in the traceback only.

Values are printed as Go prints those of its types (print, not fmt): strings bare, ``true``, ``42``, ``1.5e+07``. Exceptions of gort have Go's texts; others print like
the last line of a traceback, ``KeyError: 'x'``, as the bare text of many says nothing in Python. A value whose class has a ``__str__`` of its own, Go's Stringer,
prints by it; of a subclass of int, float, complex or str without one the type is named, ``MyInt(93)``; of anything else, type and repr: ``(list) [1, 2]``. Names of
types are those in tracebacks: with their module unless that is builtins or __main__. Every line but the first begins with a tab.
"""

from __future__ import annotations

import sys

from . import _gort
from ._defer import history
from .errors import FatalError, GoExit, GortError, Panic

TYPE_CHECKING = False  # typing.TYPE_CHECKING, without the time to import typing
if TYPE_CHECKING:
    from ._gort import Goroutine

_MOST_FRAMES = 100


def panichook(goroutine: Goroutine, error: BaseException) -> None:
    """Report an exception that left a goroutine outside run(): Go's report on stderr. Replace it to do something else.

    The goroutine still runs. Called on it, so ``gort.current()`` is the same; may park. What it raises is ignored, with a message.
    """
    if not isinstance(goroutine, _gort.Goroutine):
        raise TypeError(f"panichook: goroutine must be a Goroutine, got {type(goroutine).__name__}")
    if not isinstance(error, BaseException):
        raise TypeError(f"panichook: error must be an exception, got {type(error).__name__}")
    if sys.stderr is None:  # a program without a console
        return
    import traceback  # costs more than all of gort; most programs never get here

    text = f"{panic_text(error)}\n\n{_stack_text(goroutine, error)}\n" + "".join(traceback.format_exception(error))
    sys.stderr.write(text)
    sys.stderr.flush()


def panic_text(error: BaseException) -> str:
    """Go's first paragraph about an uncaught panic. Calls ``__str__`` of values; if one raises, the text says so instead."""
    try:
        if isinstance(error, FatalError):
            return _one(error)
        return _all_panics([*history(error), (error, False)])
    except BaseException as raised:
        why = raised.value if isinstance(raised, Panic) else None
        if not isinstance(why, str):
            why = f"type {_type_name(type(raised))}"
        return _indented(f"fatal error: panic while printing panic value: {why}")


def _all_panics(panics: list[tuple[BaseException, bool]]) -> str:
    text = ""
    raised_again = False  # the one before was, so this is the same again
    for i, (error, recovered) in enumerate(panics):
        same_again = i + 1 < len(panics) and _value(panics[i + 1][0]) is _value(error)
        if not raised_again and not isinstance(error, GoExit):
            text += "\n\t" if text else ""
            text += _one(error) + (f" [recovered{', repanicked' if same_again else ''}]" if recovered else "")
        raised_again = same_again
    return text


def _value(error: BaseException) -> object:
    return error.value if isinstance(error, Panic) else error


def _one(error: BaseException) -> str:
    return _indented(("fatal error: " if isinstance(error, FatalError) else "panic: ") + _value_text(_value(error)))


def _value_text(value: object) -> str:
    kind = type(value)
    if isinstance(value, GortError):
        return str(value)
    if isinstance(value, BaseException):
        text = str(value)
        return f"{_type_name(kind)}: {text}" if text else _type_name(kind)
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind.__str__ not in (object.__str__, str.__str__):
        return str(value)
    for base, printed in _PRINTED.items():
        if isinstance(value, base):
            text = printed(value)
            if kind is base:
                return text
            return f'{_type_name(kind)}("{text}")' if base is str else f"{_type_name(kind)}({text.strip('()')})"
    if kind.__repr__ is object.__repr__:
        return f"({_type_name(kind)}) {id(value):#x}"
    import reprlib

    short = reprlib.Repr()
    short.maxother = short.maxstring = 200
    return f"({_type_name(kind)}) {short.repr(value)}"


def _float_text(value: float) -> str:
    """The shortest digits that give the value again, with an exponent below 1e-04 and from 1e+06 on, as Go's print does."""
    digits = repr(float(value))
    if digits in ("inf", "-inf", "nan"):
        return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}[digits]
    mantissa, _, _ = digits.partition("e")
    count = len(mantissa.replace(".", "").strip("-").strip("0")) or 1
    scientific = format(value, f".{count - 1}e")
    exponent = int(scientific.partition("e")[2])
    if -4 <= exponent < 6:
        return format(value, f".{max(0, count - 1 - exponent)}f")
    return scientific


def _complex_text(value: complex) -> str:
    imaginary = _float_text(value.imag)
    return f"({_float_text(value.real)}{'' if imaginary[0] in '+-' else '+'}{imaginary}i)"


_PRINTED = {int: int.__repr__, float: _float_text, complex: _complex_text, str: str.__str__}


def _type_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"


def _indented(text: str) -> str:
    return text.replace("\n", "\n\t")


def _stack_text(goroutine: Goroutine, error: BaseException) -> str:
    """The goroutine where error was raised, as Goroutine.stack() would have said it there."""
    now = goroutine.stack()  # here, in the report
    text = now.partition("\n")[0] or f"goroutine {goroutine.id} [running]:"
    text += "\n"
    frames = []
    traceback = error.__traceback__
    while traceback:
        frames.append(f"{traceback.tb_frame.f_code.co_qualname}(...)\n\t{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}\n")
        traceback = traceback.tb_next
    text += "".join(frames[: -_MOST_FRAMES - 1 : -1])
    if len(frames) > _MOST_FRAMES:
        text += "...additional frames elided...\n"
    created = now.rpartition("\ncreated by ")
    return text + (f"created by {created[2]}" if created[1] else "")
