"""WorkerPool: at most n goroutines that do tasks, and a queue that may be bounded.

Invariants, whenever the lock is free:
- Each of ``workers`` is about to take a task, does one, or is about to end; only a size that was lowered makes them more than that, until their tasks end.
- If a task is queued, there is a worker: nobody has to look at the queue but workers and who submits.
- While a submit waits there are as many workers as the size, and the queue is full.

A worker that finds no task ends, and the next submit starts one: starting a goroutine is as cheap as waking one, so an idle pool holds nothing, needs no
closing, and cannot hide a deadlock. Rejected: workers that stay and receive from a channel, which makes resizing and the count of who is busy harder.

A task's goexit() ends the task, and its worker goes on. The end of a run ends the workers that were started in it, at any point; the last one cancels what
is queued. Which of the two a GoExit is, the next wait tells: in a goroutine that is being stopped it raises GoExit again.
"""

from __future__ import annotations

import collections
import time
from types import TracebackType
from typing import Any, Callable, Iterable, Iterator, NamedTuple, ParamSpec, TypeVar

from ._checks import function_of, whole
from ._final import Final
from ._future import Future
from ._gort import Cond, Mutex, current, go, sleep
from .errors import GoExit

P = ParamSpec("P")
T = TypeVar("T")


class PoolStats(NamedTuple):
    """What a WorkerPool has done so far.

    ``workers``: how many may work at once; ``busy``: how many do; ``queued``: tasks that wait for one. ``done``: tasks that returned, ``failed``: that
    raised, ``cancelled``: that were cancelled in the queue, or ended by goexit() or with their run. ``waited``: seconds that all tasks which a worker took
    had spent in the queue; ``ran``: seconds that all which returned or raised took.
    """

    workers: int
    busy: int
    queued: int
    done: int
    failed: int
    cancelled: int
    waited: float
    ran: float


class WorkerPool(Final):
    """At most n goroutines at a time that do tasks.

    >>> from gort import WorkerPool
    >>> with WorkerPool(4) as pool:
    ...     squares = list(pool.map(pow, range(5), [2] * 5))
    >>> squares
    [0, 1, 4, 9, 16]

    ``queue``: how many tasks may wait for a worker (None: any number); beyond that ``submit`` parks. ``name``: the workers' goroutines are called name-1,
    name-2, ... ``initializer``: called by each worker before its first task; workers end when there is nothing to do, so that may be often. If it raises,
    that is the error of the tasks which this worker would have done first.

    What a task raises is in its Future, and the worker goes on. As a context manager it closes the pool at the end and waits. Every method may be called
    from goroutines and plain threads.
    """

    __slots__ = (
        "_bound", "_cancelled", "_closed", "_done", "_failed", "_idle", "_initializer", "_lock", "_name", "_queue", "_ran", "_room", "_size",
        "_started", "_waited", "_workers",
    )  # fmt: skip

    def __init__(
        self, n: int, *, queue: int | None = None, name: str | None = None, initializer: Callable[[], Any] | None = None
    ) -> None:
        self._size = whole("WorkerPool", "n", n, 1)
        self._bound = None if queue is None else whole("WorkerPool", "queue", queue, 0)
        if name is not None and not isinstance(name, str):
            raise TypeError(f"WorkerPool: name must be a str, got {type(name).__name__}")
        if initializer is not None and not callable(initializer):
            raise TypeError(f"WorkerPool: initializer must be callable, got {type(initializer).__name__}")
        self._name = name
        self._initializer = initializer
        self._lock = Mutex()
        self._room = Cond(self._lock)  # for those who submit
        self._idle = Cond(self._lock)  # for those who wait
        self._queue: collections.deque[_Task] = collections.deque()
        self._closed = False
        self._workers: set[int] = set()  # their numbers: a worker that nobody has any more must end
        self._started = 0
        self._done = self._failed = self._cancelled = 0
        self._waited = self._ran = 0.0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have fn called by a worker; returns the Future of its result, which can be cancelled until a worker takes it.

        Parks while the queue is full. RuntimeError if the pool is closed, or is closed meanwhile.
        """
        function_of("submit", fn)
        task = _Task(fn, args, kwargs)
        with self._lock:
            try:
                while not self._closed and self._full():
                    self._room.wait()
            except BaseException:
                self._room.signal()  # this wake-up may have been the only one
                raise
            if self._closed:
                raise RuntimeError("submit: the pool is closed")
            self._queue.append(task)
            worker = self._hire()
        if worker is not None:
            worker.start()
        future: Future[T] = task.future
        return future

    def map(self, fn: Callable[..., T], *iterables: Iterable[Any]) -> Iterator[T]:
        """Submit fn for each item, as the built-in map does, and return an iterator over the results in order; its next() parks.

        All are submitted at once (parks while the queue is full). What a task raises is raised by next(), and cancels those that have not begun.
        """
        futures = collections.deque(self.submit(fn, *arguments) for arguments in zip(*iterables))

        def results() -> Iterator[T]:
            try:
                while futures:
                    yield futures.popleft().result()
            finally:
                for future in futures:
                    future.cancel()

        return results()

    def resize(self, n: int) -> None:
        """Let n goroutines work at a time. Does not park: workers beyond that end after their task."""
        n = whole("resize", "n", n, 1)
        hired: list[_Worker] = []
        with self._lock:
            self._size = n
            while len(hired) < len(self._queue) and (worker := self._hire()) is not None:
                hired.append(worker)
            self._room.broadcast()
        for worker in hired:
            worker.start()

    def close(self, *, cancel: bool = False) -> None:
        """Take no more tasks; those taken are done, or with ``cancel`` those not begun are cancelled. Does not park; closing twice is fine."""
        with self._lock:
            self._closed = True
            dropped = list(self._queue) if cancel else []
            if cancel:
                self._queue.clear()
            self._cancelled += len(dropped)
            self._room.broadcast()
        for task in dropped:
            task.future._end()

    def wait(self) -> None:
        """Wait until no task is queued or worked on; parks. The pool may be used on if it is not closed."""
        with self._lock:
            while self._workers or self._queue:
                self._idle.wait()

    def stats(self) -> PoolStats:
        """What the pool has done so far. Does not park."""
        with self._lock:
            return PoolStats(
                self._size, len(self._workers), len(self._queue), self._done, self._failed, self._cancelled, self._waited, self._ran
            )

    def _full(self) -> bool:
        return self._bound is not None and len(self._workers) >= self._size and len(self._queue) >= self._bound

    def _hire(self) -> _Worker | None:
        """A worker to be started when the lock is free; None if there are enough. REQUIRES: the lock is held."""
        if len(self._workers) >= self._size:
            return None
        self._started += 1
        worker = _Worker(self, self._started)
        self._workers.add(worker.number)
        return worker

    def _next(self, worker: _Worker) -> _Task | None:
        """The next task for a worker; None: it has left the pool."""
        with self._lock:
            worker.task = None
            if self._queue and len(self._workers) <= self._size:
                worker.task = self._queue[0]  # before it leaves the queue: GoExit may come in between
                self._queue.popleft()
                self._waited += time.monotonic() - worker.task.since
            else:
                self._leave(worker)
            self._room.signal()
        return worker.task

    def _leave(self, worker: _Worker) -> None:
        """REQUIRES: the lock is held."""
        self._workers.discard(worker.number)
        if not self._workers and not self._queue:
            self._idle.broadcast()

    def _gone(self, worker: _Worker) -> None:
        """A worker has ended. If it has not left by itself, its run has ended. May be said twice, as GoExit may come into the first time."""
        if worker.task is not None and worker.task.future._end():
            self._count(False, True, 0.0)
        while True:
            with self._lock:
                self._leave(worker)
                if self._workers or not self._queue:
                    self._room.broadcast()
                    return
                task = self._queue[0]
            task.future._end()
            with self._lock:
                if self._queue and self._queue[0] is task:
                    self._queue.popleft()
                    self._cancelled += 1

    def _count(self, failed: bool, cancelled: bool, ran: float) -> None:
        with self._lock:
            self._ran += ran
            if cancelled:
                self._cancelled += 1
            elif failed:
                self._failed += 1
            else:
                self._done += 1

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()
        self.wait()

    def __repr__(self) -> str:
        return f"<WorkerPool {len(self._workers)} of {self._size} busy, {len(self._queue)} queued{', closed' * self._closed}>"


class _Task:
    """One call, and the future that somebody has."""

    __slots__ = ("args", "fn", "future", "kwargs", "since")

    def __init__(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.future: Future[Any] = Future()
        self.since = time.monotonic()


class _Worker:
    """A goroutine of a pool, one of ``workers`` from the time it is hired until it leaves.

    A goroutine that a run stops before it has begun never calls ``run``, and GoExit may come at any point of it; the end of this object settles what is left.
    """

    __slots__ = ("number", "pool", "task")

    def __init__(self, pool: WorkerPool, number: int) -> None:
        self.pool = pool
        self.number = number
        self.task: _Task | None = None

    def start(self) -> None:
        go(self.run)

    def run(self) -> None:
        try:
            if self.pool._name is not None:
                current().name = f"{self.pool._name}-{self.number}"
            self._work(self.pool)
        finally:
            try:
                self.pool._gone(self)
            finally:
                self.pool._gone(self)

    def _work(self, pool: WorkerPool) -> None:
        prepare = pool._initializer
        while (task := pool._next(self)) is not None:
            if not task.future._begin():
                pool._count(False, True, 0.0)
                continue
            began = time.monotonic()
            try:
                if prepare is not None:
                    prepare()
                    prepare = None
                value = task.fn(*task.args, **task.kwargs)
            except GoExit:
                task.future._end()
                pool._count(False, True, 0.0)
                sleep(1e-9)
            except BaseException as error:
                pool._count(True, False, time.monotonic() - began)
                task.future.set_exception(error)
            else:
                pool._count(False, False, time.monotonic() - began)
                task.future.set_result(value)
                del value

    def __del__(self) -> None:
        if self.number in self.pool._workers:
            self.pool._gone(self)
