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
        flight = _Flight(self, "do", key, fn)
        try:
            call, mine = flight.join(None)
            if mine:
                flight.call_function()
            else:
                call.over.wait()
            if call.exited:
                goexit()
            if call.error is not None:
                raise call.error.with_traceback(call.traceback)
            return call.value, call.followers > 0 or not mine
        finally:
            flight.end()  # if GoExit came before the call
            call = None  # type: ignore[assignment]  # an error's traceback leads to this frame, and the call to the error
            del flight

    def do_chan(self, key: Hashable, fn: Callable[[], T]) -> Chan[FlightResult[T]]:
        """Like do, but does not park: fn is called in a goroutine of its own, and the result comes on the channel, once, as a FlightResult.

        What fn raises is its ``error``; after goexit() in fn, and if the run ends before the call has begun, that is a GortError.
        """
        channel: Chan[FlightResult[T]] = Chan(1)
        flight = _Flight(self, "do_chan", key, fn)
        if flight.join(channel)[1]:
            go(flight.run)
        return channel

    def forget(self, key: Hashable) -> None:
        """The next caller for key calls its own function, even if a call goes on. Those who wait for that one still get its result."""
        _check_key("forget", key)
        with self._lock:
            self._calls.pop(key, None)

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
        self.exited = True  # until the function has returned or raised something else
        self.followers = 0
        self.channels: list[Chan[Any]] = []


class _Flight:
    """A caller, who may get to call the function.

    A goroutine that a run stops before it has begun never calls ``run``, and GoExit may come at any point of it; the end of this object ends a call then.
    """

    __slots__ = ("call", "fn", "key", "owner")

    def __init__(self, owner: SingleFlight, function: str, key: Hashable, fn: Callable[[], Any]) -> None:
        self.call: _Call | None = None  # while it is to be ended here
        function_of(function, fn)
        _check_key(function, key)
        self.owner = owner
        self.key = key
        self.fn = fn

    def join(self, channel: Chan[Any] | None) -> tuple[_Call, bool]:
        """The call for the key, and whether it is to be made here."""
        owner = self.owner
        with owner._lock:
            call = owner._calls.get(self.key)
            mine = call is None
            if call is None:
                self.call = call = owner._calls[self.key] = _Call()
            else:
                call.followers += 1
            if channel is not None:
                call.channels.append(channel)
        return call, mine

    def call_function(self) -> None:
        """Make the call and end it. What the function raises is in the call then, GoExit too."""
        call = self.call
        assert call is not None
        try:
            call.value = self.fn()
            call.exited = False
        except GoExit:
            pass
        except BaseException as error:
            call.error = error
            call.traceback = error.__traceback__
            call.exited = False
        finally:
            try:
                self.end()
            finally:
                self.end()  # GoExit may have come into the first
            del call  # the error's traceback leads to this frame

    def run(self) -> None:
        call = self.call
        assert call is not None
        try:
            self.call_function()
            if call.exited:
                goexit()
        finally:
            del self, call  # the error's traceback leads to this frame

    def end(self) -> None:
        call = self.call
        if call is None:
            return
        with self.owner._lock:
            if self.owner._calls.get(self.key) is call:
                del self.owner._calls[self.key]
        error = GortError("runtime.Goexit was called") if call.exited else call.error
        while call.channels:
            call.channels[-1].try_send(FlightResult(call.value, error, call.followers > 0))
            call.channels.pop()
        self.call = None
        call.over.done()

    def __del__(self) -> None:
        self.end()


def _check_key(function: str, key: Any) -> None:
    try:
        hash(key)
    except TypeError:
        raise TypeError(f"{function}: key must be hashable, got {type(key).__name__}") from None
