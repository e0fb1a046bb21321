"""go(async def), run(async def): coroutines that goroutines run."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import subprocess
import sys
import textwrap

import pytest

import gort
from gort import aio


async def doubled(n):
    await aio.sleep(0)
    return 2 * n


class HasOne:
    async def method(self, n):
        return await doubled(n)


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(doubled, id="function"),
        pytest.param(HasOne().method, id="method"),
        pytest.param(functools.partial(doubled), id="partial"),
        pytest.param(lambda n: doubled(n), id="plain function that returns a coroutine"),
    ],
)
def test_run_and_go_run_coroutines(function):
    results = gort.Chan()

    async def sends(n):
        await results.asend(await function(n))

    def main():
        gort.go(sends, 4)
        return results.recv()

    assert gort.run(function, 3) == 6
    assert gort.run(main) == 8


def test_what_a_goroutine_returns_is_not_run_if_it_is_no_coroutine():
    """Other awaitables are results as any other: joining a goroutine that was started last would be a surprise."""

    def main():
        never = gort.go(gort.Chan().recv)
        starter = gort.go(lambda: never)
        starter.join()
        return never.status

    assert gort.run(main) == "waiting"


# --- what may be awaited


@pytest.mark.parametrize("capacity", [0, 2])
def test_channels(capacity):
    ch, results = gort.Chan(capacity), []

    async def produce():
        for n in range(10):
            await ch.asend(n)
        ch.close()

    async def main():
        g = gort.go(produce)
        results.append(await ch.arecv())
        results.extend([n async for n in ch])
        assert await ch.arecv() is None
        await g
        return results

    assert gort.run(main) == list(range(10))


@pytest.mark.parametrize("make", [gort.Mutex, gort.RWMutex])
def test_locks(make):
    lock, inside, entered = make(), 0, 0

    async def goroutine():
        nonlocal inside, entered
        for _ in range(20):
            async with lock as got:
                assert got is lock
                inside += 1
                assert inside == 1
                await asyncio.sleep(0)
                inside -= 1
                entered += 1
            await lock.alock()
            gort.gosched()
            lock.unlock()

    async def main():
        wg = gort.WaitGroup()
        for _ in range(5):
            wg.go(goroutine)
        await wg

    gort.run(main)
    assert entered == 100
    assert not lock.state.locked if make is gort.Mutex else lock.try_lock()


def test_readers_share_a_lock():
    async def main():
        rw = gort.RWMutex()
        await rw.arlock()
        await rw.arlock()
        rw.runlock()
        rw.runlock()
        async with rw:
            assert not rw.try_rlock()

    gort.run(main)


def test_the_one_who_waits_is_the_goroutine_itself(until_waiting):
    mu, ch = gort.Mutex(), gort.Chan(name="answers")

    async def receives():
        await ch.arecv()

    async def locks():
        async with mu:
            pass

    def main():
        with mu:
            g = gort.go(receives)
            until_waiting(g)
            assert g.wait_reason == "chan receive" and "answers" in g.waiting_on
            assert "receives" in g.stack()
            g = gort.go(locks)
            until_waiting(g)
            assert g.wait_reason == "sync.Mutex.Lock"
        ch.send(1)

    gort.run(main)


def test_select_and_sleep():
    async def main():
        a, b = gort.Chan(), gort.Chan(1)
        assert (await aio.select(a, b, default=True)).index == -1
        gort.go(a.send, 5)
        chosen = await aio.select(a, gort.nil_chan)
        assert (chosen.index, chosen.value, chosen.ok) == (0, 5, True)
        with pytest.raises(TimeoutError):
            await aio.select(a, timeout=0.001)
        await aio.sleep(0.001)
        with pytest.raises(ValueError, match="^sleep: s must be"):
            await aio.sleep(float("nan"))

    gort.run(main)


def test_goroutines_and_groups_of_them():
    async def fails():
        await aio.sleep(0)
        raise OSError("no luck")

    async def main():
        g = gort.go(doubled, 1)
        await g
        assert g.status == "dead"
        with gort.sync.Group() as group:
            parts = [group.go(doubled, n) for n in range(3)]
            assert group.try_go(doubled, 9).result() == 18
        with pytest.raises(ExceptionGroup) as caught, gort.sync.Group() as group:
            group.go(fails)
        assert isinstance(caught.value.exceptions[0], OSError)
        return [part.result() for part in parts]

    assert gort.run(main) == [0, 2, 4]


def test_what_parks_without_await_is_allowed():
    async def produce(ch):
        for n in range(3):
            ch.send(n)
        ch.close()

    async def main():
        ch = gort.Chan()
        gort.go(produce, ch)
        return list(ch)

    assert gort.run(main) == [0, 1, 2]


def test_asyncio_sleep_0_lets_others_run():
    turns = []

    async def turn(name):
        for _ in range(3):
            turns.append(name)
            await asyncio.sleep(0)

    async def main():
        wg = gort.WaitGroup()
        wg.go(turn, "a")
        wg.go(turn, "b")
        await wg

    def in_turns(seed):
        turns.clear()
        gort.run(main, seed=seed)
        assert sorted(turns) == ["a"] * 3 + ["b"] * 3
        return turns not in (["a"] * 3 + ["b"] * 3, ["b"] * 3 + ["a"] * 3)

    assert any(in_turns(seed) for seed in range(1, 30))


# --- what only an event loop can serve


def test_what_needs_an_event_loop_says_so_where_it_is_awaited():
    async def in_a_loop():
        return asyncio.get_running_loop().create_future()

    async def main():
        future = asyncio.run(in_a_loop())
        with pytest.raises(RuntimeError, match="^await: only an event loop can serve <.*Future.*>, and this coroutine is run by a goroutine; call gort.aio.wait"):
            await future
        with pytest.raises(RuntimeError, match="no running event loop"):
            await asyncio.sleep(1)
        with pytest.raises(RuntimeError, match="^session: a goroutine runs this coroutine"):
            async with aio.session():
                pass
        return await doubled(1)   # it goes on

    assert gort.run(main) == 2


def test_a_coroutine_that_goes_on_asking_ends_with_the_error():
    class Wish:
        def __await__(self):
            yield 42

    async def asks():
        await Wish()

    with pytest.raises(RuntimeError, match="only an event loop can serve 42"):
        gort.run(asks)


def test_a_loop_inside_is_one_of_its_own():
    """Awaits in its tasks do not stop it."""

    async def task(ch):
        return await ch.arecv()

    async def loop_inside():
        ch = gort.Chan()
        received = asyncio.create_task(task(ch))
        await asyncio.sleep(0)
        await ch.asend(7)
        return await received

    async def main():
        got = asyncio.run(loop_inside())
        return got + await doubled(1)

    assert gort.run(main) == 9


def test_goroutines_that_are_coroutines_wait_for_tasks():
    async def fetch(n):
        await asyncio.sleep(0.001)
        return n * n

    async def goroutine(results, n):
        await results.asend(aio.wait(fetch(n)))

    async def main():
        results = gort.Chan()
        async with aio.session():
            for n in range(3):
                gort.go(goroutine, results, n)
            return sorted([await results.arecv() for _ in range(3)])

    assert asyncio.run(main()) == [0, 1, 4]


def test_run_inside_of_a_running_loop_does_not_see_it():
    """As in Jupyter, whose cells run in a task."""

    async def inside():
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        ch = gort.Chan()
        gort.go(ch.send, 5)
        return await ch.arecv()

    async def fails():
        raise OSError("no luck")

    async def main():
        loop = asyncio.get_running_loop()
        assert gort.run(inside) == 5
        assert asyncio.get_running_loop() is loop
        with pytest.raises(OSError, match="no luck"):
            gort.run(fails)
        assert asyncio.get_running_loop() is loop

    asyncio.run(main())


def test_driving_an_await_by_hand_is_refused():
    """Also in a thread state in which a coroutine has ended."""

    def by_hand(coroutine):
        with pytest.raises(RuntimeError, match="^arecv: no asyncio event loop is running"):
            coroutine.send(None)

    def main():
        ch = gort.Chan(1)
        gort.go(doubled, 1).join()
        g = gort.go(by_hand, ch.arecv())
        g.join()
        by_hand(ch.arecv())

    gort.run(main)


# --- ends


def test_errors_come_out_as_from_any_goroutine():
    async def inner():
        raise ValueError("wrong")

    async def fails():
        await inner()

    async def main():
        gort.go(fails)
        await gort.Chan().arecv()

    with pytest.raises(ValueError, match="wrong") as caught:
        gort.run(main)
    assert [entry.name for entry in caught.traceback][-2:] == ["fails", "inner"]
    with pytest.raises(ValueError, match="wrong"):
        gort.run(fails)


def test_the_end_of_the_run_ends_its_awaits(until_waiting):
    ended = []

    class Room:
        async def __aenter__(self):
            ended.append("in")

        async def __aexit__(self, *error):
            ended.append(error[0].__name__)

    async def waits():
        async with Room():
            try:
                await gort.Chan().arecv()
            finally:
                ended.append("finally")

    gort.run(lambda: until_waiting(gort.go(waits)))
    assert ended == ["in", "finally", "GoExit"]


def test_the_end_of_the_run_ends_one_that_only_yields():
    turns, ended = [], []

    async def yields():
        try:
            while True:
                turns.append(1)
                await asyncio.sleep(0)
        finally:
            ended.append(1)

    async def main():
        gort.go(yields)
        while len(turns) < 3:   # it has begun: else it would not at all
            await asyncio.sleep(0)

    gort.run(main)
    assert ended == [1]


def test_goexit_ends_a_coroutine_and_runs_what_is_deferred():
    steps = []

    async def exits():
        try:
            gort.goexit()
        finally:
            steps.append("finally")

    def main():
        gort.go(exits).join()
        steps.append("main goes on")

    gort.run(main)
    assert steps == ["finally", "main goes on"]


def test_a_deadlock_of_coroutines_is_one():
    async def main():
        await gort.Chan().arecv()

    with pytest.raises(gort.Deadlock, match="chan receive"):
        gort.run(main)


def test_ctrl_c_comes_out_of_an_await():
    program = """
        import os, signal, gort

        async def main():
            def interrupt():
                while gort.runtime.goroutines()[0].status != "waiting":
                    gort.gosched()
                os.kill(os.getpid(), signal.SIGINT)
            gort.go(interrupt)
            try:
                await gort.Chan().arecv()
            except KeyboardInterrupt:
                print("caught")
                raise

        gort.run(main)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60)
    assert done.stdout == "caught\n" and "KeyboardInterrupt" in done.stderr and done.returncode != 0


def test_a_coroutine_that_has_ended_cannot_be_run_again():
    coroutine = doubled(1)
    assert gort.run(lambda: coroutine) == 2
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        gort.run(lambda: coroutine)


# --- what belongs to the coroutine


def test_its_context_is_a_copy():
    variable = contextvars.ContextVar("variable", default="default")

    async def goroutine(seen):
        await aio.sleep(0)
        before = variable.get()
        variable.set("goroutine's")
        await aio.sleep(0)
        await seen.asend((before, variable.get()))

    async def main():
        seen = gort.Chan()
        variable.set("main's")
        gort.go(goroutine, seen)
        return await seen.arecv(), variable.get()

    assert gort.run(main) == (("main's", "goroutine's"), "main's")


def test_an_async_generator_that_is_left_early_ends_with_its_awaits():
    ended = []

    async def numbers(ch):
        try:
            async for n in ch:
                yield n
        finally:
            ended.append(await ch.arecv())

    async def main():
        ch = gort.Chan(3)
        for n in range(3):
            ch.send(n)
        generator = numbers(ch)
        async for _ in generator:
            break
        await generator.aclose()

    gort.run(main)
    assert ended == [1]


def test_many_at_once():
    gate, results = gort.Chan(), gort.Chan(100)

    async def waits(n):
        await gate.arecv()
        await results.asend(n)

    async def main():
        for n in range(5_000):
            gort.go(waits, n)
        gate.close()
        return sum([await results.arecv() for _ in range(5_000)])

    assert gort.run(main) == 5_000 * 4_999 // 2


def test_tasks_threads_and_both_kinds_of_goroutines_on_one_channel():
    """Every value once, and those of one producer in order."""
    ch, each = gort.Chan(2), 300
    received = []

    async def produce(name):
        for n in range(each):
            await ch.asend((name, n))

    def produces(name):
        for n in range(each):
            ch.send((name, n))

    async def consume(got):
        while (value := await ch.arecv()) is not None:
            got.append(value)

    def consumes(got):
        got.extend(ch)

    async def main():
        lists = [[] for _ in range(4)]
        consumers = [gort.go(consume, lists[0]), gort.go(consumes, lists[1]), gort.go(consume, lists[2])]
        task = asyncio.create_task(consume(lists[3]))
        producers = [gort.go(produce, "async"), gort.go(produces, "plain")]
        await asyncio.create_task(produce("task"))
        for g in producers:
            await g
        ch.close()
        for g in consumers:
            await g
        await task
        for got in lists:
            for name in ("async", "plain", "task"):
                own = [n for who, n in got if who == name]
                assert own == sorted(own)
            received.extend(got)

    asyncio.run(main())
    assert sorted(received) == sorted((name, n) for name in ("async", "plain", "task") for n in range(each))
