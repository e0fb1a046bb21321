"""gort.aio.wait: goroutines and threads wait for coroutines that an event loop runs."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

import gort
from async_waiting import NEW_LOOP
from gort import aio

variable = contextvars.ContextVar("variable", default="unset")


@pytest.fixture(params=NEW_LOOP)
def loop(request):
    """An event loop that runs in a thread."""
    loop = request.param()
    started = threading.Event()
    loop.call_soon(started.set)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    started.wait()
    yield loop
    if not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def answer(value=42):
    await asyncio.sleep(0)
    return value


async def for_ever(began=None, ended=None):
    try:
        if began is not None:
            began.close()
        await asyncio.get_running_loop().create_future()
    finally:
        if ended is not None:
            ended.close()


def test_gives_the_result(inside, loop):
    assert inside(lambda: aio.wait(answer(7), loop)) == 7


def test_raises_what_the_coroutine_raises(inside, loop):
    async def fail():
        raise KeyError("no")

    with pytest.raises(KeyError, match="no"):
        inside(lambda: aio.wait(fail(), loop))


def test_takes_other_awaitables(loop):
    class Awaitable:
        def __await__(self):
            return answer().__await__()

    assert aio.wait(Awaitable(), loop) == 42


def test_the_goroutine_parks(loop):
    def main():
        gate = gort.Chan()
        g = gort.go(lambda: gate.send(aio.wait(gate.arecv(), loop)))
        while g.status != "waiting":
            gort.gosched()
        assert g.waiting_on.startswith("chan") and "task of aio.wait" in g.waiting_on
        gate.send("from main")
        return gate.recv()

    assert gort.run(main) == "from main"


def test_the_task_has_the_variables_of_the_caller(loop):
    async def read():
        return variable.get()

    def body():
        variable.set("mine")
        return aio.wait(read(), loop)

    assert gort.run(lambda: contextvars.copy_context().run(body)) == "mine"


def test_many_goroutines_at_once(loop):
    def main():
        group = gort.Group()
        futures = [group.go(aio.wait, answer(n), loop) for n in range(100)]
        group.wait()
        return [f.result() for f in futures]

    assert gort.run(main) == list(range(100))


# --- which loop


def test_the_session_in_which_a_goroutine_was_started():
    async def main():
        results = gort.Chan()
        async with aio.session() as outer:
            assert outer is asyncio.get_running_loop()
            gort.go(lambda: results.send(aio.wait(answer())))
            return await results.arecv()

    assert asyncio.run(main()) == 42


def test_a_goroutine_of_one_session_keeps_to_its_loop_while_another_is_open():
    ready, go_on, results = gort.Chan(), gort.Chan(), gort.Chan()

    async def which():
        return asyncio.get_running_loop()

    def started_early():
        go_on.recv()
        results.send(aio.wait(which()))

    async def first():
        async with aio.session() as mine:
            gort.go(started_early)
            ready.close()
            return (await results.arecv()) is mine

    async def second():
        async with aio.session():
            go_on.close()
            await finished.arecv()

    finished, outcome = gort.Chan(), gort.Chan(1)
    threads = [threading.Thread(target=lambda: (outcome.send(asyncio.run(first())), finished.close()))]
    threads[0].start()
    ready.recv()
    threads.append(threading.Thread(target=lambda: asyncio.run(second())))
    threads[1].start()
    for thread in threads:
        thread.join()
    assert outcome.recv() is True


def test_others_use_the_newest_session_that_is_open():
    asked, results, over = gort.Chan(), gort.Chan(), gort.Chan()

    def stranger():
        asked.recv()
        results.send(aio.wait(answer()))

    async def main():
        async with aio.session():
            asked.close()
            assert await results.arecv() == 42
        over.close()

    g = gort.go(stranger)
    asyncio.run(main())
    g.join()


def test_the_main_threads_loop_is_known_once_it_has_used_gort():
    asked, results = gort.Chan(), gort.Chan()

    def stranger():
        asked.recv()
        results.send(aio.wait(answer()))

    async def main():
        await aio.sleep(0)
        asked.close()
        return await results.arecv()

    gort.go(stranger)
    assert asyncio.run(main()) == 42


def test_without_a_loop_nothing_begins():
    coroutine = answer()
    with pytest.raises(RuntimeError, match=r"^wait: no event loop is known; pass loop=, or open `async with gort\.aio\.session\(\):`"):
        aio.wait(coroutine)
    stopped = asyncio.new_event_loop()
    with pytest.raises(RuntimeError, match="^wait: loop is not running: "):
        aio.wait(coroutine, stopped)
    stopped.close()
    with pytest.raises(TypeError, match="^wait: loop must be an asyncio event loop or None, got int$"):
        aio.wait(coroutine, 3)
    coroutine.close()
    with pytest.raises(TypeError, match="^wait: coro must be a coroutine or another awaitable, got int$"):
        aio.wait(3)


def test_a_task_cannot_wait_for_its_own_loop():
    async def main():
        coroutine = answer()
        async with aio.session():
            with pytest.raises(RuntimeError, match="^wait: this would stop the event loop that it waits for; in a task use await$"):
                aio.wait(coroutine)
        return await coroutine

    assert asyncio.run(main()) == 42


def test_a_session_is_opened_once_at_a_time():
    async def main():
        session = aio.session()
        async with session:
            with pytest.raises(RuntimeError, match="^session: it is open already"):
                await session.__aenter__()
        with pytest.raises(RuntimeError, match="^session: it is not open"):
            await session.__aexit__(None, None, None)
        async with session, aio.session():
            pass

    asyncio.run(main())


def test_a_session_may_be_closed_by_another_task():
    async def main():
        session = aio.session()
        await asyncio.create_task(session.__aenter__())
        results = gort.Chan()
        gort.go(lambda: results.send(aio.wait(answer())))
        assert await results.arecv() == 42
        await asyncio.create_task(session.__aexit__(None, None, None))

    asyncio.run(main())


# --- ends that are none


def test_a_goroutine_that_is_stopped_cancels_the_task(loop):
    began, ended = gort.Chan(), gort.Chan()

    def main():
        gort.go(aio.wait, for_ever(began, ended), loop)
        began.recv()

    gort.run(main)
    ended.recv()


def test_a_task_that_is_cancelled_raises_in_the_goroutine(loop):
    async def cancel_me():
        asyncio.current_task().cancel()
        await asyncio.sleep(3600)

    with pytest.raises(asyncio.CancelledError):
        aio.wait(cancel_me(), loop)


def test_a_loop_that_is_closed_raises_in_the_goroutine(loop):
    began, results = gort.Chan(), gort.Chan(1)

    def wait():
        try:
            aio.wait(for_ever(began), loop)
        except RuntimeError as error:
            results.send(str(error))

    g = gort.go(wait)
    began.recv()
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False
    loop.call_soon_threadsafe(loop.stop)
    while loop.is_running():
        gort.gosched()
    loop.close()
    assert results.recv() == "wait: the event loop was closed before coro had ended"
    g.join()


def test_a_loop_that_is_closed_before_it_has_begun_raises(loop):
    busy, results = threading.Event(), gort.Chan(1)

    def wait(coroutine):
        try:
            aio.wait(coroutine, loop)
        except RuntimeError as error:
            results.send(str(error))
        coroutine.close()

    def last_callback():
        loop.stop()
        busy.wait()   # whatever is queued now is for the next turn, which does not come

    loop.call_soon_threadsafe(last_callback)
    g = gort.go(wait, answer())
    while g.status != "waiting":
        gort.gosched()
    busy.set()
    while loop.is_running():
        gort.gosched()
    loop.close()
    assert results.recv() == "wait: the event loop was closed before coro had ended"
    g.join()
