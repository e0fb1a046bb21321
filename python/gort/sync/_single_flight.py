"""SingleFlight: Go's x/sync/singleflight.

Callers with the same key share one call. What differs from Go, where an error is a value and a panic another thing: what the function raises is raised in
every caller of ``do`` and is the ``error`` of every channel of ``do_chan``; and after goexit() in the function such a channel gets an error, where Go leaves
its receiver waiting for ever.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Callable, Generic, Hashable, NamedTuple, TypeVar

from .._checks import function_of
from .._final import Final
from .._gort import Chan, Mutex, WaitGroup, go, goexit
from ..errors import GoExit, GortError

T = TypeVar("T")


class FlightResult(NamedTuple, Generic[T]):
    """What a channel of ``SingleFlight.do_chan`` carries: the value or the error of the call, and whether others got it too."""

    value: T | None
    error: BaseException | None
    shared: bool


class SingleFlight(Final):
    """Calls with the same key at the same time are one call, and all get its result: x/sync's singleflight.Group.

    >>> from gort.sync import SingleFlight
    >>> pages = SingleFlight()
    >>> pages.do("index.html", lambda: "<html>")
    ('<html>', False)

    Every method may be called from goroutines and plain threads. A key is compared under a lock: its ``__eq__`` must not use the same SingleFlight.
    """

    __slots__ = ("_calls", "_lock")

    def __init__(self) -> None:
        self._lock = Mutex()  # also guards the fields of the calls, until they have ended
        self._calls: dict[Hashable, _Call] = {}

    def do(self, key: Hashable, fn: Callable[[], T]) -> tuple[T, bool]:
        """Call fn(), or wait (parked) for the call that goes on for this key. Returns (value, shared): shared if several callers got the value.

        What fn raises is raised in every caller; goexit() in fn ends every caller's goroutine.
        """
        call, mine = self._join("do", key, fn, None)
        try:
            if mine:
                self._call(call, key, fn)
            else:
                call.over.wait()
            if call.exited:
                goexit()
            if call.error is not None:
                raise call.error.with_traceback(call.traceback)
            return call.value, call.followers > 0 or not mine
        finally:
            del call  # an error's traceback leads to this frame, and the call to the error

    def do_chan(self, key: Hashable, fn: Callable[[], T]) -> Chan[FlightResult[T]]:
        """Like do, but does not park: fn is called in a goroutine of its own, and the result comes on the channel, once, as a FlightResult.

        What fn raises is its ``error``; after goexit() in fn, and if the run ends before the call has begun, that is a GortError.
        """
        channel: Chan[FlightResult[T]] = Chan(1)
        call, mine = self._join("do_chan", key, fn, channel)
        if mine:
            go(_Flight(self, call, key, fn).run)
        return channel

    def forget(self, key: Hashable) -> None:
        """The next caller for key calls its own function, even if a call goes on. Those who wait for that one still get its result."""
        _check_key("forget", key)
        with self._lock:
            self._calls.pop(key, None)

    def _join(self, function: str, key: Hashable, fn: Any, channel: Chan[Any] | None) -> tuple[_Call, bool]:
        function_of(function, fn)
        _check_key(function, key)
        with self._lock:
            call = self._calls.get(key)
            mine = call is None
            if call is None:
                call = self._calls[key] = _Call()
            else:
                call.followers += 1
            if channel is not None:
                call.channels.append(channel)
        return call, mine

    def _call(self, call: _Call, key: Hashable, fn: Callable[[], Any]) -> None:
        try:
            call.value = fn()
        except GoExit:
            call.exited = True
        except BaseException as error:
            call.error = error
            call.traceback = error.__traceback__
        finally:
            self._end(call, key)
            del call  # the error's traceback leads to this frame

    def _end(self, call: _Call, key: Hashable) -> None:
        with self._lock:
            if self._calls.get(key) is call:
                del self._calls[key]
        call.over.done()
        error = GortError("runtime.Goexit was called") if call.exited else call.error
        for channel in call.channels:
            channel.send(FlightResult(call.value, error, call.followers > 0))

    def __repr__(self) -> str:
        return f"<SingleFlight, calls: {len(self._calls)}>"


class _Call:
    """A call that goes on for a key."""

    __slots__ = ("channels", "error", "exited", "followers", "over", "traceback", "value")

    def __init__(self) -> None:
        self.over = WaitGroup()
        self.over.add(1)
        self.value: Any = None
        self.error: BaseException | None = None
        self.traceback: TracebackType | None = None
        self.exited = False
        self.followers = 0
        self.channels: list[Chan[Any]] = []


class _Flight:
    """A call in a goroutine of its own. One that a run stops before it has begun is ended by the end of this object."""

    __slots__ = ("call", "fn", "key", "owing", "owner")

    def __init__(self, owner: SingleFlight, call: _Call, key: Hashable, fn: Callable[[], Any]) -> None:
        self.owner = owner
        self.call = call
        self.key = key
        self.fn = fn
        self.owing = True

    def run(self) -> None:
        self.owing = False
        try:
            self.owner._call(self.call, self.key, self.fn)
            if self.call.exited:
                goexit()
        finally:
            del self  # the error's traceback leads to this frame

    def __del__(self) -> None:
        if self.owing:
            self.call.exited = True
            self.owner._end(self.call, self.key)


def _check_key(function: str, key: Any) -> None:
    try:
        hash(key)
    except TypeError:
        raise TypeError(f"{function}: key must be hashable, got {type(key).__name__}") from None
