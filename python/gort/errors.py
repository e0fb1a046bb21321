"""The exceptions of gort. Texts are Go's, without the "panic: " or "fatal error: " prefix."""

from __future__ import annotations

__all__ = ["GortError", "PanicError", "FatalError", "Deadlock", "GoExit", "Panic", "Canceled", "DeadlineExceeded", "RateError"]

PANIC_NIL = "panic called with nil argument"


class GortError(Exception):
    """Base class of what gort itself raises."""


class PanicError(GortError, RuntimeError):
    """What Go raises as a recoverable run-time panic, such as a send on a closed channel."""


class FatalError(GortError, RuntimeError):
    """What ends a Go program, such as the unlock of an unlocked mutex. Nothing was changed when it is raised."""


class Deadlock(FatalError):
    """Nobody is left who could wake anybody.

    ``goroutines`` is the dump, in Go's format: every goroutine with its state, what it waits for, who holds that if it is a lock and somebody is known
    to hold it, and its Python stack. A traceback of the error shows it too, of many goroutines the first hundred.
    """

    def __init__(self, message: str = "all goroutines are asleep - deadlock!", goroutines: str = "") -> None:
        if not isinstance(goroutines, str):
            raise TypeError(f"Deadlock: goroutines must be a str, got {type(goroutines).__name__}")
        super().__init__(message)
        self.goroutines = goroutines
        shown = goroutines.split("\n\n", 100)
        if len(shown) > 100:
            shown[100] = "...more goroutines elided: they are in the attribute goroutines...\n"
        if goroutines:
            self.add_note("\n" + "\n\n".join(shown))

    def __reduce__(self) -> tuple[type[Deadlock], tuple[str, str]]:
        return (type(self), (str(self), self.goroutines))


class Panic(GortError):
    """Raised by ``panic(value)``; ``value`` is what was given."""

    def __init__(self, value: object = None) -> None:
        super().__init__(value)
        self.value = value


class Canceled(GortError):
    """The error of a context that was cancelled."""

    def __init__(self, message: str = "context canceled") -> None:
        super().__init__(message)


class DeadlineExceeded(GortError, TimeoutError):
    """The error of a context whose deadline has passed."""

    def __init__(self, message: str = "context deadline exceeded") -> None:
        super().__init__(message)


class RateError(GortError):
    """``Limiter.wait`` cannot succeed: more tokens than the burst, or a wait beyond the context's deadline. Nothing was taken."""


class GoExit(BaseException):
    """How ``goexit()`` and the end of a run unwind a goroutine. Not an error: let it pass."""


def _nothing() -> None:
    """Called where a pending asynchronous exception is to be raised and dropped."""
