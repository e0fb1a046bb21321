"""Go's defer, panic and recover: runtime/panic.go, with exceptions for panics.

The frames are the only record, there is no stack of our own beside them: ``defer`` finds its function, and ``recover`` the panic, by looking at who called
it. So nothing has to be put right when a goroutine is stopped between two bytecodes, and every goroutine and thread has its own for nothing. That costs
``defer`` about twice what a threading.local would; functions that defer nothing do not pay.

A panic that is being carried through deferred calls is a _Panicking. Once it has left its function only the exception is there, and what was
under way when it was raised travels with it, in a _History: for the report, and so that a Goexit below goes on when it has been recovered. Whoever
catches the exception takes the history off it.
"""

from __future__ import annotations

import sys

from .errors import PANIC_NIL, FatalError, Panic, PanicError

TYPE_CHECKING = False  # typing.TYPE_CHECKING, without the time to import typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, NoReturn, ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")
    Call = tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]
    Earlier = tuple[tuple[BaseException, bool], ...]

_NO_PLAIN_FUNCTION = 0x20 | 0x80 | 0x100 | 0x200  # inspect's CO_GENERATOR, CO_COROUTINE, CO_ITERABLE_COROUTINE, CO_ASYNC_GENERATOR
_COROUTINE = 0x80
_COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>")  # frames of their own before 3.12
_HISTORY = "_gort_history"
_set = BaseException.__setattr__  # an exception's class may refuse attributes, as a frozen dataclass does


class _History(tuple):  # type: ignore[type-arg]
    """The panics that were under way when an exception was raised, as pairs of _Panicking's. Lost when pickled: they may not be picklable."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type[tuple[()]], tuple[()]]:
        return tuple, ()


def history(error: BaseException) -> Earlier:
    """The panics that were under way when error was raised, oldest first, each with whether it had been recovered: Go's chain, without error."""
    found = error.__dict__.get(_HISTORY)
    if not isinstance(found, _History):
        return ()
    return tuple((error if earlier is None else earlier, recovered) for earlier, recovered in found)


def _take_history(error: BaseException) -> Earlier:
    taken = history(error)
    error.__dict__.pop(_HISTORY, None)
    return taken


def _give_history(error: BaseException, earlier: Earlier) -> None:
    # None stands for error itself, which may have been raised again: a cycle would keep it, its frames and all that they hold until a collection.
    error.__dict__[_HISTORY] = _History((None if each is error else each, recovered) for each, recovered in earlier)


class _Panicking:
    """A panic, or another exception, while deferred calls run: Go's _panic."""

    __slots__ = ("error", "earlier", "recovered")

    def __init__(self, error: BaseException, earlier: Earlier) -> None:
        self.error = error
        self.earlier = earlier
        self.recovered = False

    def recover(self) -> Any:
        if self.recovered or not _can_recover(self.error):
            return None
        self.recovered = True
        return self.error.value if isinstance(self.error, Panic) else self.error

    def superseded_by(self, newer: BaseException) -> _Panicking:
        return _Panicking(newer, (*self.earlier, (self.error, self.recovered), *_take_history(newer)))

    def below(self) -> _Panicking | None:
        """What goes on once this has been recovered: the latest before it that cannot be, such as a Goexit."""
        for i in range(len(self.earlier) - 1, -1, -1):
            if not _can_recover(self.earlier[i][0]):
                return _Panicking(self.earlier[i][0], self.earlier[:i])
        return None


def _can_recover(error: BaseException) -> bool:
    return isinstance(error, Exception) and not isinstance(error, FatalError)


def func(fn: Callable[P, R], /) -> Callable[P, R]:
    """A decorator that gives a function Go's ``defer``: what it defers runs when it returns or an exception leaves it, last in first out.

    A deferred call that raises does not keep the others from running; its exception takes the place of the one before. If a deferred call recovers the
    exception, the function returns what its ``return`` has given, and None if it came to none. Other decorators go above this one: it must see the
    function itself. TypeError for what is no plain Python function, such as a generator or a coroutine function.

    >>> @func
    ... def divide(a, b):
    ...     defer(lambda: print("caught:", recover()))
    ...     return a / b
    >>> divide(1, 0)
    caught: division by zero
    """
    code = getattr(fn, "__code__", None)
    if code is None:
        raise TypeError(f"func: fn must be a Python function, got {type(fn).__name__}; decorate the function itself, below other decorators")
    if code.co_flags & _NO_PLAIN_FUNCTION:
        raise TypeError(f"func: fn must be a plain function, got {fn!r}, which is a generator or a coroutine function")
    import functools  # costs more than most of gort

    return functools.wraps(fn)(_with_deferred(fn))


def _with_deferred(fn: Callable[P, R]) -> Callable[P, R]:
    def call(*args: P.args, **kwargs: P.kwargs) -> R | None:
        deferred: list[Call] = []
        result = None
        try:
            result = fn(*args, **kwargs)
            if deferred:
                _returning(deferred)  # in here: Ctrl-C may come between the two
        except BaseException as error:
            if not _recovered(deferred, error):
                raise
        while deferred:
            try:
                _returning(deferred)
            except BaseException as error:
                if not _recovered(deferred, error):
                    raise
        return result

    return call  # type: ignore[return-value]  # None only after a recover


def defer(fn: Callable[..., object] | None, /, *args: Any, **kwargs: Any) -> None:
    """Call ``fn(*args, **kwargs)`` when the function that defers it ends, as Go's ``defer``; the arguments are those of now. Its result is dropped.

    RuntimeError unless the caller is decorated with ``@gort.func``; TypeError if fn cannot be called, or is a coroutine function. As in Go None
    panics when its turn comes. Does not park.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_name in _COMPREHENSIONS:
        frame = frame.f_back
    caller = frame and frame.f_back
    if caller is None or caller.f_code is not _FUNCTION:
        name = sys._getframe(1).f_code.co_qualname
        raise RuntimeError(f"defer: only a function decorated with @gort.func can defer; decorate {name}")
    if fn is None:
        fn = _call_nil
    elif not callable(fn):
        raise TypeError(f"defer: fn must be callable, got {type(fn).__name__}")
    elif getattr(getattr(fn, "__code__", None), "co_flags", 0) & _COROUTINE:
        raise TypeError(f"defer: fn must be a plain function, got the coroutine function {fn!r}")
    _local(caller, "deferred").append((fn, args, kwargs))


def panic(value: Any, /) -> NoReturn:
    """Raise ``Panic(value)``; of an exception, with that as its ``__cause__`` too. ``panic(None)`` is a PanicError with Go's text."""
    if value is None:
        raise PanicError(PANIC_NIL)
    if isinstance(value, BaseException):
        raise Panic(value) from value
    raise Panic(value)


def recover() -> Any:
    """In a deferred function: stop the panic, or other exception, that is going on, and return its value; None when there is none.

    The value is what ``panic`` was given, or the exception if it was raised otherwise. As in Go None also when not called by the deferred function itself
    but further down, or by ``defer`` directly, or a second time, or while the goroutine exits. FatalError and what is no Exception (GoExit, SystemExit,
    KeyboardInterrupt) cannot be recovered: None. Does not park.
    """
    frame: FrameType | None = sys._getframe(1)
    functions = 0  # between here and the deferred call
    while frame is not None:
        code = frame.f_code
        if code is _CALL:
            return _local(frame, "panic").recover() if functions == 1 else None
        if code is not _FUNCTION:  # _returning stands for its function, which has returned
            functions += 1
            if functions > 1:
                return None
        frame = frame.f_back
    return None


def _local(frame: FrameType, name: str) -> Any:
    values = frame.f_locals
    value = values[name]
    if isinstance(values, dict):  # before 3.13: a copy that the frame keeps, and with it the exception whose traceback has the frame
        values.clear()
    return value


def _returning(deferred: list[Call]) -> None:
    """Run the deferred calls of a function that returns, up to one that raises."""
    while deferred:
        fn, args, kwargs = deferred.pop()
        fn(*args, **kwargs)


def _recovered(deferred: list[Call], error: BaseException) -> bool:
    """Run deferred calls in the panic of error, which is being handled, until one has recovered it: True. False: error goes on.

    Raises what goes on instead of error: the exception of a deferred call, or a Goexit below a recovered one.
    """
    panic: _Panicking | None = _Panicking(error, _take_history(error))
    try:
        while deferred:
            try:
                _call(deferred.pop(), panic)
            except BaseException as newer:
                _forget_our_frames(newer)
                panic = panic.superseded_by(newer)
            if panic.recovered:
                panic = panic.below()
                if panic is None:
                    return True
        if panic.earlier:
            _give_history(panic.error, panic.earlier)
        if panic.error is error:
            return False
        _raise(panic.error)
    finally:
        del panic, error  # frames of the exception's traceback lead to this one


def _raise(error: BaseException) -> NoReturn:
    """Raise error with the context that it has, while another one is being handled."""
    context = error.__context__
    try:
        raise error
    finally:
        _set(error, "__context__", context)
        del error, context


def _forget_our_frames(error: BaseException) -> None:
    """Of a deferred call's exception: they refer to it, if it is one that was raised again, and nobody wants to see them."""
    traceback = error.__traceback__
    while traceback and traceback.tb_frame.f_code in (_RECOVERED, _CALL):
        traceback = traceback.tb_next
    error.with_traceback(traceback)


def _call(call: Call, panic: _Panicking) -> None:
    """A deferred call, with the panic as the exception that is being handled there: for tracebacks, logging and ``__context__``."""
    fn, args, kwargs = call
    traceback, context = panic.error.__traceback__, panic.error.__context__
    try:
        raise panic.error
    except BaseException as error:
        _set(error.with_traceback(traceback), "__context__", context)
        fn(*args, **kwargs)
    finally:
        del panic, traceback, context, call, fn, args, kwargs  # as in _recovered


def _call_nil() -> NoReturn:
    raise PanicError("runtime error: invalid memory address or nil pointer dereference")


_FUNCTION = _with_deferred(_call_nil).__code__  # of every function that func makes
_CALL = _call.__code__
_RECOVERED = _recovered.__code__
