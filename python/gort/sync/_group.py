"""Group: goroutines that work on parts of one task, Go's x/sync/errgroup.

What differs from Go: an error is an exception, of any kind, and all of them are raised, the first one first. ``go`` gives a Future. A slot is given back to
the limit it was taken from, so a limit may be lifted while goroutines are active.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar, overload

from .._checks import function_of, whole
from .._final import Final
from .._future import Future
from .._gort import Cond, Mutex, WaitGroup, _finish_coroutine
from ..errors import GoExit, PanicError

if TYPE_CHECKING:
    from ..context import Context

P = ParamSpec("P")
T = TypeVar("T")


class GroupPair(NamedTuple):
    """A group and the context that its first error cancels. As a context manager it gives both, and waits at the end."""

    group: Group
    ctx: Context

    def __enter__(self) -> GroupPair:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.group.__exit__(kind, error, traceback)


class Group(Final):
    """Goroutines that work on parts of one task: x/sync's errgroup.Group.

    >>> from gort.sync import Group
    >>> with Group() as group:
    ...     parts = [group.go(pow, n, 2) for n in range(4)]
    >>> [part.result() for part in parts]
    [0, 1, 4, 9]

    As a context manager it waits at the end, as ``wait`` does. An Exception that leaves the body is one more error of the group; any other BaseException
    passes through when all have ended. Either cancels the group's context first.

    Every method may be called from goroutines and plain threads. A goroutine that ends by goexit() counts as done, without an error.
    """

    __slots__ = ("_cancel", "_errors", "_limit", "_wait_group")

    def __init__(self) -> None:
        self._wait_group = WaitGroup()
        self._errors: list[BaseException] = []
        self._limit: _Limit | None = None
        self._cancel: Callable[[BaseException | None], None] | None = None

    @classmethod
    def with_context(cls, ctx: Context) -> GroupPair:
        """A group and a child of ctx, as a pair. The first error cancels that context with itself as the cause, the end of ``wait`` cancels it too."""
        from ..context import with_cancel_cause

        group = cls()
        child, group._cancel = with_cancel_cause(ctx)
        return GroupPair(group, child)

    @overload
    def go(self, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]: ...
    @overload
    def go(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]: ...
    def go(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call fn, which may be async, in a goroutine of its own; returns the Future of its result. Parks while as many as the limit are active."""
        function_of("go", fn)
        part = _Part(self, self._limit, fn, args, kwargs)
        if part.limit is not None:
            part.limit.take(part)
        self._wait_group.go(part.run)
        return part.future

    @overload
    def try_go(self, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> Future[T] | None: ...
    @overload
    def try_go(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T] | None: ...
    def try_go(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any] | None:
        """Like go, but does not park: None, with nothing started, while as many as the limit are active. Go's TryGo says it by a bool."""
        function_of("try_go", fn)
        part = _Part(self, self._limit, fn, args, kwargs)
        if part.limit is not None and not part.limit.try_take(part):
            return None
        self._wait_group.go(part.run)
        return part.future

    def set_limit(self, n: int) -> None:
        """Allow n active goroutines at most, none with 0, any number with n < 0.

        PanicError, with nothing changed, while goroutines that count for a limit are active, unless n < 0.
        """
        n = whole("set_limit", "n", n)
        if n < 0:
            self._limit = None
            return
        active = 0 if self._limit is None else len(self._limit.active)
        if active:
            raise PanicError(f"errgroup: modify limit while {active} goroutines in the group are still active")
        self._limit = _Limit(n)

    def wait(self) -> None:
        """Wait until all have ended; parks. Then cancels the context of with_context.

        Raises an ExceptionGroup of all errors so far, the first one first; a BaseExceptionGroup if one of them is SystemExit or the like. As in Go the
        group may be used on, and keeps its errors.
        """
        self._wait_group.wait()
        errors = list(self._errors)
        if self._cancel is not None:
            self._cancel(errors[0] if errors else None)
        if errors:
            raise BaseExceptionGroup("unhandled errors in a gort.Group", errors)

    def _failed(self, error: BaseException) -> None:
        self._errors.append(error)
        if self._cancel is not None:
            self._cancel(error)  # the first one counts

    def __enter__(self) -> Group:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if error is None:
            self.wait()
        elif isinstance(error, Exception):
            self._failed(error)
            self.wait()
        else:
            if self._cancel is not None:
                self._cancel(error)
            self._wait_group.wait()

    def __repr__(self) -> str:
        return f"<Group, errors: {len(self._errors)}>"


class _Limit:
    """How many goroutines may be active, and which are: a set and no number, so that taking one out twice does no harm."""

    __slots__ = ("active", "lock", "room", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.active: set[int] = set()  # the id() of their parts
        self.lock = Mutex()
        self.room = Cond(self.lock)

    def take(self, part: _Part) -> None:
        with self.lock:
            try:
                while len(self.active) >= self.size:
                    self.room.wait()
            except BaseException:
                self.room.signal()  # this wake-up may have been the only one
                raise
            self.active.add(id(part))

    def try_take(self, part: _Part) -> bool:
        with self.lock:
            if len(self.active) >= self.size:
                return False
            self.active.add(id(part))
            return True

    def give_back(self, part: _Part) -> None:
        with self.lock:
            if id(part) in self.active:
                self.room.signal()
                self.active.discard(id(part))


class _Part:
    """One call of a group, and what is owed when it ends: its future, its slot.

    A goroutine that a run stops before it has begun never calls ``run``, and GoExit may come at any point of it; the end of this object settles what is left.
    """

    __slots__ = ("args", "fn", "future", "group", "kwargs", "limit", "owing")

    def __init__(self, group: Group, limit: _Limit | None, fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.owing = True
        self.group = group
        self.limit = limit
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.future: Future[Any] = Future()
        self.future.set_running_or_notify_cancel()

    def run(self) -> None:
        try:
            value = _finish_coroutine(self.fn(*self.args, **self.kwargs))
        except GoExit:
            raise
        except BaseException as error:
            self.group._failed(error)
            self.future.set_exception(error)
        else:
            self.future.set_result(value)
        finally:
            try:
                self._settle()
            finally:
                self._settle()  # GoExit may have come into the first
            del self  # an error's traceback leads to this frame, and the future to the error

    def _settle(self) -> None:
        if self.owing:
            self.future._end()
            if self.limit is not None:
                self.limit.give_back(self)
            self.owing = False

    def __del__(self) -> None:
        self._settle()
