"""How an asyncio task waits for what goroutines wait for; a coroutine that a goroutine runs (``_loops.running`` is None) makes the ordinary call.

What needs no waiting is done at once, in the task. Else a goroutine makes the ordinary call (``ch.recv()``, ``mutex.lock()``), parks as any does,
and tells the task's loop when it is over: one ``call_soon_threadsafe``. So a task has its place in every queue, in ``select`` and in dumps, and nothing
that can be waited for knows of asyncio. Nothing is polled and nobody's loop is owned.

A task that is cancelled ends the wait of its goroutine, as the end of a run would: by a claim, which fails if the wait was won. Only the goroutine knows
which of the two it was, so the task waits for its word (a turn of the scheduler). If it was won, the value is the task's, and the cancellation comes at its
next await instead. ``Task.cancelling()`` says whether it is still wanted then: ``asyncio.timeout`` may have been left meanwhile.

Invariants of a ``_Wait``:
- ``value`` and ``error`` are the goroutine's until it is over, the task's after that; ``over`` and ``future`` are the loop's thread's.
- ``_told`` is called when the goroutine is over however it ended, also if it never began. ``over`` is set by the loop after that.
- Until then the wait is in ``waiting_on(loop)``: whoever closes the loop ends the wait.
- ``fate`` goes from PENDING to WON (call returned) or to ABANDONED (the coroutine or the loop was closed, nobody will take what call gets), and from WON
  to ABANDONED. Whoever makes it the second of the two has the lock given back; a value is lost, as with a goroutine that ends.

Rejected: a waiter without a goroutine (a G with no stack that is on a loop's list when it is ready). It saves the goroutine's start, some 10 us of an await
that must wait, but every primitive then needs a second form of each wait, one that returns before it is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from . import _gort, _loops
from ._gort import Chan, Goroutine, Int32, Mutex, RWMutex, WaitGroup
from .errors import GoExit

T = TypeVar("T")
PENDING, WON, ABANDONED = range(3)


class _Wait:
    """One await that must wait."""

    __slots__ = ("call", "error", "fate", "future", "goroutine", "loop", "over", "undo", "value")

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], Any], undo: Callable[[], object] | None) -> None:
        self.loop = loop
        self.call = call
        self.undo = undo
        self.fate = Int32(PENDING)
        self.over = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.future: asyncio.Future[None] | None = None
        self.goroutine = _gort._go_told(self._told, self._run)

    # --- the goroutine's

    def _run(self) -> None:
        try:
            self.value = self.call()
            if not self.fate.compare_and_swap(PENDING, WON) and self.undo is not None:
                self.undo()
        except GoExit:
            pass
        except BaseException as error:
            self.error = error

    def _told(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            pass  # the loop is closed, and with it the task is gone

    # --- the loop's thread's

    def _wake(self) -> None:
        self.over = True
        if self.future is not None and not self.future.done():
            self.future.set_result(None)

    def loop_closed(self) -> None:
        self.abandon()

    def abandon(self) -> None:
        before = self.fate.swap(ABANDONED)
        if before == PENDING:
            _gort._withdraw(self.goroutine)
        elif before == WON and self.undo is not None:
            self.undo()

    async def result(self) -> Any:
        cancelled: asyncio.CancelledError | None = None
        waiting = _loops.waiting_on(self.loop)
        waiting.add(self)
        try:
            while not self.over:
                self.future = self.loop.create_future()
                try:
                    await self.future
                except asyncio.CancelledError as error:
                    cancelled = cancelled or error
                    _gort._withdraw(self.goroutine)
        except BaseException:  # the coroutine is closed, or something was thrown into it
            self.abandon()
            raise
        finally:
            waiting.discard(self)
        try:
            if cancelled is not None:
                if self.fate.load() != WON:
                    raise cancelled
                _cancel_later(cancelled)
            if self.error is not None:
                raise self.error
            if self.fate.load() != WON:
                raise asyncio.CancelledError("the run in which the task waited has ended")
            return self.value
        finally:
            del cancelled
            self.error = self.value = None


def _cancel_later(cancelled: asyncio.CancelledError) -> None:
    """Cancels the calling task again, as soon as it waits, unless whoever cancelled it wants it no more."""
    task = asyncio.current_task()
    if task is None:
        return
    wanted = task.cancelling()

    def cancel(task: asyncio.Task[Any] = task) -> None:
        if task.done() or task.cancelling() < wanted:
            return
        if wanted:
            task.uncancel()  # else it would count twice
        task.cancel(*cancelled.args)

    task.get_loop().call_soon(cancel)


async def parked(loop: asyncio.AbstractEventLoop, call: Callable[[], T], undo: Callable[[], object] | None = None) -> T:
    """What call() returns, which parks: for tasks of loop. Raises what it raises. undo() takes call() back, if nobody is there any more to know of it."""
    wait = _Wait(loop, call, undo)
    task = asyncio.current_task(loop)
    if task is not None:
        wait.goroutine.name = f"await in {task.get_name()}"
    del task
    value: T = await wait.result()
    return value


# --- what the types of the extension call


async def _send(ch: Chan[T], v: T) -> None:
    loop = _loops.running("asend")
    if loop is None:
        ch.send(v)
    elif not ch.try_send(v):
        await parked(loop, lambda: ch.send(v))


async def _recv_ok(ch: Chan[T]) -> tuple[T, bool]:
    loop = _loops.running("arecv")
    if loop is None:
        return ch.recv_ok()
    got = ch.try_recv()
    return await parked(loop, ch.recv_ok) if got is None else got


async def _recv(ch: Chan[T]) -> T:
    return (await _recv_ok(ch))[0]


async def _next(ch: Chan[T]) -> T:
    value, ok = await _recv_ok(ch)
    if not ok:
        raise StopAsyncIteration
    return value


async def _lock(lock: Mutex | RWMutex) -> None:
    loop = _loops.running("alock")
    if loop is None:
        lock.lock()
    elif not lock.try_lock():
        await parked(loop, lock.lock, lock.unlock)
        _gort._note_holder(lock)


async def _rlock(lock: RWMutex) -> None:
    loop = _loops.running("arlock")
    if loop is None:
        lock.rlock()
    elif not lock.try_rlock():
        await parked(loop, lock.rlock, lock.runlock)


async def _enter(lock: Mutex | RWMutex) -> Mutex | RWMutex:
    await _lock(lock)
    return lock


async def _unlock(lock: Mutex | RWMutex) -> None:
    lock.unlock()


async def _finish(awaited: WaitGroup | Goroutine) -> None:
    loop = _loops.running("await")
    finish = awaited.wait if isinstance(awaited, WaitGroup) else awaited.join
    if loop is None:
        return finish()
    try:
        finish(0)
    except TimeoutError:
        pass
    else:
        return
    await parked(loop, finish)
