"""Goroutines that run coroutines wait without their stacks: what they keep, what they show, and when they keep the stack as well."""

from __future__ import annotations

import asyncio
import contextvars
import decimal
import gc
import random
import subprocess
import sys
import textwrap
import threading
import types

import pytest

import gort
from gort import aio, runtime
from interpreter import FREE_THREADED, WITHOUT_GIL

with_gil = pytest.mark.skipif(WITHOUT_GIL, reason="without the GIL thread states belong to machines, and goroutines keep their stacks")


async def receives(ch):
    return await ch.arecv()


def ended(*goroutines):
    for g in goroutines:
        g.join()


def run_program(text, *options):
    result = subprocess.run([sys.executable, *options, "-c", textwrap.dedent(text)], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


# --- what they take

MEMORY = """
    import gort
    from gort import aio

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    started = 0

    async def waits(gate):
        global started
        started += 1
        await {await_}

    async def main():
        gate = gort.Chan()
        for _ in range(300):
            gort.go(waits, gate)
        await aio.sleep(0.01)
        before, n = resident(), 20_000
        for _ in range(n):
            gort.go(waits, gate)
        while started < n + 300:
            await aio.sleep(0)
        assert gort.num_goroutine() == n + 301
        parked = (resident() - before) / n
        gate.close()
        print(parked)

    gort.run(main)
"""


@with_gil
@pytest.mark.parametrize("await_, most", [("gate.arecv()", 1300), ("gate.asend(1)", 1300), ("aio.sleep(1000)", 1900)])
def test_parked_they_take_no_more_than_that_many_bytes(await_, most):
    """1,180 bytes on a channel. aio.sleep has a coroutine of its own, and a timer. One with a stack takes 5,400."""
    [parked] = run_program(MEMORY.replace("{await_}", await_).replace("gate.close()", "None"))
    assert 400 < float(parked) < most


@with_gil
def test_those_that_wake_share_a_few_stacks():
    """They would have had a new one each, as those that have ended kept theirs."""
    program = MEMORY.replace("{await_}", "gate.arecv()").replace(
        "print(parked)", "\n        while gort.num_goroutine() > 1:\n            await aio.sleep(0)\n        print((resident() - before) / n)"
    )
    [after] = run_program(program)
    assert float(after) < 1600


# --- what they keep


def test_values_of_context_variables():
    """Also where there was no context before."""
    variable = contextvars.ContextVar("variable", default=0)
    seen = gort.Chan(10)

    async def counts(ch):
        for n in range(1, 4):
            variable.set(variable.get() + n)
            decimal.getcontext().prec = 10 + n
            await ch.arecv()
        await seen.asend((variable.get(), decimal.getcontext().prec))

    def main():
        ch = gort.Chan()
        both = gort.go(counts, ch), contextvars.Context().run(gort.go, counts, ch)
        for _ in range(6):
            ch.send(None)
        ended(*both)
        return [seen.recv() for _ in both], variable.get()

    assert gort.run(main) == ([(6, 13)] * 2, 0)


def test_the_exception_that_is_handled():
    async def handles(ch):
        try:
            raise KeyError("first")
        except KeyError:
            await ch.arecv()
            assert isinstance(sys.exception(), KeyError)
            try:
                raise
            except KeyError as error:
                await ch.arecv()
                return error.args

    def main():
        ch, results = gort.Chan(), gort.Chan(2)

        async def reports():
            await results.asend(await handles(ch))

        both = gort.go(reports), gort.go(reports)
        for _ in range(4):
            ch.send(None)
        ended(*both)
        return results.recv(), results.recv()

    assert gort.run(main) == (("first",), ("first",))


def test_values_of_threading_local_are_the_goroutines_own():
    """With them it keeps its stack."""
    local = threading.local()

    async def own(ch, n, results):
        local.n = n
        await ch.arecv()
        await results.asend(local.n == n)

    def main():
        ch, results = gort.Chan(), gort.Chan(20)
        goroutines = [gort.go(own, ch, n, results) for n in range(20)]
        gort.sleep(0.001)
        assert not hasattr(local, "n")
        for _ in goroutines:
            ch.send(None)
        ended(*goroutines)
        return all(results.recv() for _ in goroutines)

    assert gort.run(main)


def test_the_next_goroutine_in_a_state_sees_nothing_of_the_last():
    """repr leaves something behind, too: an empty list."""
    variable = contextvars.ContextVar("variable", default=None)

    async def leaves(ch):
        variable.set("left")
        repr([[1], [2]])
        await ch.arecv()

    async def looks(results):
        results.send((variable.get(), sys.exc_info()[0]))

    def main():
        ch, results = gort.Chan(), gort.Chan(50)
        waiting = [gort.go(leaves, ch) for _ in range(10)]
        gort.sleep(0.001)
        ended(*[gort.go(looks, results) for _ in range(50)])
        ch.close()
        ended(*waiting)
        return {results.recv() for _ in range(50)}

    assert gort.run(main) == {(None, None)}


def test_a_tracer_stays():
    lines = []

    def tracer(frame, event, arg):
        if frame.f_code.co_name == "traced" and event == "line":
            lines.append(frame.f_lineno)
        return tracer

    async def traced(ch):
        sys.settrace(tracer)
        sys._getframe().f_trace = tracer
        await ch.arecv()
        await ch.arecv()
        sys.settrace(None)

    def main():
        ch = gort.Chan()
        g = gort.go(traced, ch)
        ch.send(1)
        ch.send(2)
        g.join()

    gort.run(main)
    assert len(set(lines)) >= 3


def test_one_that_has_locked_its_thread_stays_there():
    async def locked(ch, results):
        gort.lock_os_thread()
        before = threading.get_native_id()
        await ch.arecv()
        await results.asend(threading.get_native_id() == before)
        gort.unlock_os_thread()
        await ch.arecv()

    def main():
        ch, results = gort.Chan(), gort.Chan(1)
        g = gort.go(locked, ch, results)
        ch.send(None)
        same = results.recv()
        ch.send(None)
        g.join()
        return same

    assert gort.run(main)


# --- what they wait for


@pytest.mark.parametrize("dtype, value", [(None, "value"), ("i64", 7), ("f32", 0.5), ("bool", True), ("bytes16", b"0123456789abcdef")])
def test_values_of_all_kinds(dtype, value):
    async def echoes(numbers, back):
        async for n in numbers:
            await back.asend(n)
        back.close()

    async def main():
        numbers, back = gort.Chan(dtype=dtype), gort.Chan(dtype=dtype)
        gort.go(echoes, numbers, back)
        got = []
        for _ in range(3):
            await numbers.asend(value)
            got.append(await back.arecv())
        numbers.close()
        return got, [v async for v in back]

    assert gort.run(main) == ([value] * 3, [])


def test_a_close_ends_their_waits():
    async def sends(ch, results):
        with pytest.raises(gort.PanicError, match="^send on closed channel$"):
            await ch.asend(1)
        await results.asend("sender")

    async def iterates(ch, results):
        await results.asend([v async for v in ch])

    def main():
        senders, receivers, results = gort.Chan(), gort.Chan(), gort.Chan(6)
        goroutines = [gort.go(sends, senders, results) for _ in range(3)] + [gort.go(iterates, receivers, results) for _ in range(3)]
        for g in goroutines:
            while g.status != "waiting":
                gort.gosched()
        senders.close()
        receivers.close()
        ended(*goroutines)
        return sorted(str(results.recv()) for _ in goroutines)

    assert gort.run(main) == ["[]"] * 3 + ["sender"] * 3


def test_select_with_a_timeout_a_send_and_a_close():
    async def selects(a, b, results):
        for timeout in (None, None, 0.001, None):
            try:
                await results.asend(tuple(await aio.select(a, gort.send(b, "offered"), timeout=timeout)))
            except TimeoutError:
                await results.asend("timeout")

    def main():
        a, b, results = gort.Chan(), gort.Chan(), gort.Chan()
        g = gort.go(selects, a, b, results)
        a.send(1)
        got = [results.recv(), b.recv(), results.recv(), results.recv()]
        a.close()
        got.append(results.recv())
        g.join()
        return got

    assert gort.run(main) == [(0, 1, True), "offered", (1, None, False), "timeout", (0, None, False)]


def test_timers_and_contexts():
    async def waits(ctx, results):
        timer = gort.Timer(0.002)
        results.send(type(await timer.c.arecv()) is float)
        chosen = await aio.select(ctx.done(), gort.after(10))
        results.send(chosen.index == 0)
        await aio.sleep(0.001)
        results.send(True)

    def main():
        ctx, cancel = gort.context.with_cancel(gort.context.background())
        results = gort.Chan(3)
        g = gort.go(waits, ctx, results)
        assert results.recv()
        cancel()
        g.join()
        return [results.recv(), results.recv()]

    assert gort.run(main) == [True, True]


def test_nil_channels_are_a_deadlock():
    async def main():
        gort.go(receives, gort.nil_chan)
        await aio.select(gort.nil_chan, gort.recv(gort.nil_chan))

    with pytest.raises(gort.Deadlock, match=r"chan receive \(nil chan\)"):
        gort.run(main)


def test_more_at_once_than_there_are_spare_stacks():
    """Half of them wake into waits that keep the stack."""

    async def one(gate, mu, done):
        await gate.arecv()
        async with mu:
            done.append(1)
        await gate.arecv()

    def main():
        gate, mu, done = gort.Chan(), gort.Mutex(), []
        goroutines = [gort.go(one, gate, mu, done) for _ in range(1000)]
        mu.lock()
        for _ in goroutines:
            gate.send(1)
        gort.sleep(0.001)
        mu.unlock()
        gate.close()
        ended(*goroutines)
        return len(done)

    assert gort.run(main) == 1000


def test_the_two_kinds_take_turns_with_the_same_gs():
    """An ordinary goroutine that gets the G of one without a stack, and the other way round."""

    def plain(ch):
        ch.recv()

    def main():
        ch = gort.Chan()
        for n in range(60):
            goroutines = [gort.go(receives if (n + i) % 3 else plain, ch) for i in range(20)]
            for _ in goroutines:
                ch.send(1)
            ended(*goroutines)
            if n % 20 == 0:
                gc.collect()
        return True

    assert gort.run(main)
    assert gort.run(main)   # the first run has given back what was idle


def test_every_seed_gives_the_same_turns():
    async def one(n, ch, turns):
        for _ in range(5):
            turns.append(n)
            await ch.arecv()
            await ch.asend(n)

    def run(seed):
        turns = []

        def main():
            ch = gort.Chan(2)
            goroutines = [gort.go(one, n, ch, turns) for n in range(4)]
            ch.send(0)
            ended(*goroutines)

        gort.run(main, seed=seed)
        return turns

    orders = {seed: run(seed) for seed in range(8)}
    assert all(run(seed) == turns for seed, turns in orders.items())
    assert len(set(map(tuple, orders.values()))) > 1


# --- how they end


def test_the_end_of_the_run_ends_those_that_have_no_stack_yet():
    async def never(ran):
        ran.append(1)
        await gort.Chan().arecv()
        ran.append(2)

    ran = []
    gort.run(lambda: [gort.go(never, ran) for _ in range(10)] and None)
    assert 2 not in ran


def test_the_end_of_the_run_runs_what_is_left_to_do():
    done = []

    async def cleans_up(ch, n):
        try:
            await ch.arecv()
        finally:
            done.append(n)

    def main():
        ch = gort.Chan()
        for g in [gort.go(cleans_up, ch, n) for n in range(500)]:
            while g.status != "waiting":
                gort.gosched()

    gort.run(main)
    assert sorted(done) == list(range(500))


@with_gil   # else it is running, and refuses
def test_a_coroutine_that_somebody_else_closes_meanwhile():
    """It is an error of the goroutine, as it would be of an event loop's task; the value that was sent is lost."""

    class Holder:
        coroutine = None

    @types.coroutine
    def shown(holder, coroutine):
        holder.coroutine = coroutine
        return (yield from coroutine)

    async def main():
        ch, holder = gort.Chan(), Holder()

        async def waits():
            await shown(holder, receives(ch))

        g = gort.go(waits)
        while g.status != "waiting":
            await aio.sleep(0)
        holder.coroutine.close()
        ch.send(1)
        g.join()

    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        gort.run(main)


def test_an_await_is_awaited_once():
    async def main():
        ch = gort.Chan(3)
        ch.send(1)
        await_ = ch.arecv()
        assert await await_ == 1
        with pytest.raises(RuntimeError, match="^arecv: cannot reuse what was awaited already$"):
            await await_
        with pytest.warns(RuntimeWarning, match="^asend was never awaited$"):
            ch.asend(2)
        return len(ch)

    assert gort.run(main) == 0


@with_gil
def test_an_await_that_is_driven_by_hand_tries_again():
    async def by_hand(results):
        ch = gort.Chan(1)
        coroutine = receives(ch)
        first = coroutine.send(None)
        assert first is coroutine.send(None)
        ch.send((1, 2))
        with pytest.raises(StopIteration) as ends:
            coroutine.send(None)
        by_iteration = ch.arecv()
        ch.send((3, 4))
        with pytest.raises(StopIteration) as iterated:
            next(by_iteration)
        given_up = ch.arecv()
        with pytest.raises(KeyError, match="stop"):
            given_up.throw(KeyError("stop"))
        results.send((ends.value.value, iterated.value.value))

    def main():
        results = gort.Chan(1)
        gort.go(by_hand, results)
        return results.recv()

    assert gort.run(main) == ((1, 2), (3, 4))


def test_an_await_is_for_the_goroutine_that_made_it():
    async def main():
        ch = gort.Chan()
        async with aio.session():
            awaited = await receive_in_goroutine(ch)
        return awaited

    async def receive_in_goroutine(ch):
        results = gort.Chan(1)

        async def goroutine():
            with pytest.raises(RuntimeError, match="^arecv: it was called in a coroutine that a goroutine runs; await it there$"):
                aio.wait(ch.arecv())
            results.send(True)

        gort.go(goroutine)
        return await results.arecv()

    assert asyncio.run(main())


# --- what they show


def test_their_dumps_show_the_coroutines():
    async def inner(ch):
        await ch.arecv()

    @types.coroutine
    def between(ch):
        yield from inner(ch)

    async def outer(ch):
        await between(ch)

    def main():
        ch = gort.Chan(name="results")
        g = gort.go(outer, ch)
        while g.status != "waiting":
            gort.gosched()
        dump, stack, waiting_on = runtime.stack(all=True), g.stack(), g.waiting_on
        ch.send(None)
        g.join()
        return dump, stack, waiting_on

    dump, stack, waiting_on = gort.run(main)
    names = [line.split("(")[0].rsplit(".", 1)[-1] for line in stack.splitlines() if line.endswith("(...)")]
    assert names[:3] == ["inner", "between", "outer"]
    assert "[chan receive]" in stack and 'chan 0x' in waiting_on and '"results"' in waiting_on
    assert stack.split("\n", 1)[1] in dump


@pytest.mark.skipif(FREE_THREADED, reason="free-threaded builds do not say how many references an object has: nobody is leaked")
@pytest.mark.parametrize("kind", ["recv", "send", "select", "sleep"])
def test_those_that_nobody_can_wake_are_leaks(kind):
    async def waits(ch, other):
        if kind == "recv":
            await ch.arecv()
        elif kind == "send":
            await ch.asend([ch])
        elif kind == "select":
            await aio.select(ch, gort.send(other, "x"))
        else:
            await aio.sleep(100)

    def main():
        mine = gort.Chan(), gort.Chan()
        lost, held = gort.go(waits, gort.Chan(), gort.Chan()), gort.go(waits, *mine)
        for g in (lost, held):
            while g.status != "waiting":
                gort.gosched()
        leaked = {g.id for g in runtime.goroutines(leaked=True)}
        assert len(mine) == 2
        return lost.id in leaked, held.id in leaked

    assert gort.run(main) == (kind != "sleep", False)


def test_a_fork_leaves_the_parents_as_they_are():
    program = """
        import os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        import gort
        from gort import aio

        async def receives(ch):
            return await ch.arecv()

        async def main():
            ch = gort.Chan()
            waiting = [gort.go(receives, ch) for _ in range(300)]
            await aio.sleep(0.01)
            pid = os.fork()
            if pid == 0:
                gort.go(receives, gort.Chan(1))
                return "child", gort.num_goroutine()
            status = os.waitpid(pid, 0)[1]
            for _ in waiting:
                await ch.asend(1)
            for g in waiting:
                await g
            return "parent", status

        print(*gort.run(main))
    """
    assert run_program(program) == ["child", "2", "parent", "0"]


def test_the_interpreter_ends_with_many_waiting():
    program = """
        import gort

        async def receives(ch):
            return await ch.arecv()

        ch = gort.Chan()
        for _ in range(1000):
            gort.go(receives, ch)
        gort.sleep(0.01)
        print("end")
    """
    assert run_program(program) == ["end"]


def test_a_loop_inside_of_one_has_its_own_awaits():
    async def in_loop(ch):
        return await ch.arecv()

    async def main():
        ch = gort.Chan()
        gort.go(ch.send, 5)
        got = asyncio.run(in_loop(ch))
        gort.go(ch.send, 6)
        return got, await ch.arecv()

    assert gort.run(main) == (5, 6)


def test_an_ordinary_goroutine_in_a_new_g_may_get_a_spare_stack():
    """It crashed: the G had nothing yet to keep the thread state in."""
    program = """
        import gort

        async def receives(ch):
            await ch.arecv()

        def main():
            ch = gort.Chan()
            waiting = [gort.go(receives, ch) for _ in range(3)]
            while any(g.status != "waiting" for g in waiting):
                gort.gosched()
            for g in [gort.go(gort.gosched) for _ in range(50)]:
                g.join()
            ch.close()

        gort.run(main)
        print("end")
    """
    assert run_program(program) == ["end"]


@pytest.mark.parametrize("seed", range(4))
def test_a_random_mix_of_all_waits_ends_well(seed):
    """Coroutines that wait in every way, are ended by their run at any moment, and are looked at meanwhile; each has its own context variables all the time."""
    own, local = contextvars.ContextVar("own", default=None), threading.local()

    async def receives_below(ch, depth):
        return await (receives_below(ch, depth - 1) if depth else ch.arecv())

    async def values(ch):
        for _ in range(2):
            yield await ch.arecv()

    async def joined():
        await aio.sleep(0.0001)

    def plain(ch):
        try:
            ch.recv(timeout=0.001)
        except TimeoutError:
            pass

    async def waits_once(i, draw, chans, mu):
        ch = draw.choice(chans)
        match draw.randrange(12):
            case 0 | 1:
                await ch.asend(i)
            case 2 | 3:
                await receives_below(ch, draw.randrange(4))
            case 4 | 5:
                await aio.select(*[c if draw.random() < 0.5 else gort.send(c, i) for c in chans], timeout=draw.choice([None, 0.0005]))
            case 6:
                await aio.sleep(draw.random() * 0.0003)
            case 7:
                async with mu:
                    gort.gosched()
            case 8:
                ch.send(i, timeout=0.0002)
            case 9:
                await gort.go(joined)
            case 10:
                gort.go(plain, ch)
                repr([[i]])
            case 11:
                async for _ in values(ch):
                    pass

    async def worker(i, draw, chans, mu):
        own.set(i)
        if draw.random() < 0.1:
            local.i = i
        for _ in range(draw.randrange(1, 30)):
            try:
                await waits_once(i, draw, chans, mu)
            except TimeoutError:
                pass
            if draw.random() < 0.01:
                gort.goexit()
            assert own.get() == i

    draw = random.Random(seed)
    for _ in range(15):

        def main():
            chans, mu = [gort.Chan(draw.choice([0, 0, 1, 3])) for _ in range(4)], gort.Mutex()
            for i in range(draw.randrange(1, 120)):
                gort.go(worker, i, random.Random(draw.random()), chans, mu)
            gort.sleep(draw.random() * 0.01)
            if draw.random() < 0.2:
                gc.collect()
                runtime.stack(all=True)
                runtime.goroutines(leaked=True)

        gort.run(main, seed=draw.choice([None, None, draw.randrange(1000)]))
