"""Semaphore: weighted, in the order of coming, bounded by contexts."""

from __future__ import annotations

import copy
import random
import threading

import pytest

import gort
from gort import Semaphore, WaitGroup, context
from gort.errors import Canceled, DeadlineExceeded

BACKGROUND = context.background()


@pytest.mark.go("x/sync/semaphore/semaphore_test.go TestWeightedTryAcquire")
def test_try_acquire_takes_what_is_free_and_no_more(inside):
    def body():
        semaphore = Semaphore(2)
        semaphore.acquire()
        tries = [semaphore.try_acquire(), semaphore.try_acquire()]
        semaphore.release(2)
        tries.append(semaphore.try_acquire())
        semaphore.acquire(ctx=BACKGROUND)
        return [*tries, semaphore.try_acquire()], repr(semaphore)

    assert inside(body) == ([True, False, True, False], "<Semaphore 2 of 2 held, 0 waiting>")


@pytest.mark.go("x/sync/semaphore/semaphore_test.go TestWeightedAcquire")
def test_acquire_gives_up_at_the_deadline_of_its_context(inside):
    def body():
        semaphore = Semaphore(2)

        def acquired():
            with context.with_timeout(BACKGROUND, 0.001) as ctx:
                try:
                    semaphore.acquire(ctx=ctx)
                except DeadlineExceeded as error:
                    return str(error)

        semaphore.acquire(2)
        tries = [acquired(), acquired()]
        semaphore.release(2)
        assert semaphore.try_acquire(2)
        return tries, repr(semaphore)

    assert inside(body) == (["context deadline exceeded"] * 2, "<Semaphore 2 of 2 held, 0 waiting>")


@pytest.mark.go("x/sync/semaphore/semaphore_test.go TestWeightedPanic")
def test_more_cannot_be_released_than_was_taken():
    semaphore = Semaphore(3)
    semaphore.acquire()
    with pytest.raises(gort.PanicError, match="^semaphore: released more than held$"):
        semaphore.release(2)
    assert repr(semaphore) == "<Semaphore 1 of 3 held, 0 waiting>"


@pytest.mark.go("x/sync/semaphore/semaphore_test.go TestWeightedZeroSize")
def test_a_semaphore_without_tokens_gives_none_of_them():
    semaphore = Semaphore(0)
    assert semaphore.try_acquire(0)
    assert not semaphore.try_acquire(1)


@pytest.mark.go("x/sync/semaphore/semaphore_test.go TestWeightedNegativeSizePanic, TestWeightedNegativeWeightPanic")
@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Semaphore(-1), ValueError, "Semaphore: n must be at least 0, got -1"),
        (lambda: Semaphore(1).acquire(-1), ValueError, "acquire: n must be at least 0, got -1"),
        (lambda: Semaphore(1).try_acquire(-1), ValueError, "try_acquire: n must be at least 0, got -1"),
        (lambda: Semaphore(1).release(-1), ValueError, "release: n must be at least 0, got -1"),
        (lambda: Semaphore(1 << 63), ValueError, f"Semaphore: n must be at most {(1 << 63) - 1}, got {1 << 63}"),
        (lambda: Semaphore(1.5), TypeError, "Semaphore: n must be an int, got float"),
        (lambda: Semaphore(1).acquire(1, 3), TypeError, "acquire: ctx must be a Context, got int"),
        (lambda: copy.copy(Semaphore(1)), TypeError, "cannot pickle or copy gort.Semaphore objects"),
        (lambda: type("Mine", (Semaphore,), {}), TypeError, "type 'gort.Semaphore' is not an acceptable base type"),
    ],
)
def test_misuse_is_an_exact_error(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    assert str(caught.value) == text


@pytest.mark.go("x/sync/semaphore/semaphore_test.go TestWeightedDoesntBlockIfTooBig")
def test_who_wants_more_than_there_is_waits_for_its_context_and_blocks_nobody(until_waiting):
    def body():
        semaphore, ended = Semaphore(2), []
        ctx, cancel = context.with_cancel(BACKGROUND)

        def too_much():
            with pytest.raises(Canceled):
                semaphore.acquire(3, ctx)
            ended.append(True)

        g = gort.go(too_much)
        until_waiting(g)
        for _ in range(6):
            semaphore.acquire()
            semaphore.release()
        cancel()
        g.join()
        return ended

    assert gort.run(body) == [True]


def test_who_wants_more_than_there_is_without_a_context_waits_for_ever():
    with pytest.raises(gort.Deadlock):
        gort.run(Semaphore(1).acquire, 2)


@pytest.mark.go("x/sync/semaphore/semaphore_test.go TestLargeAcquireDoesntStarve")
def test_a_large_request_is_not_overtaken_by_small_ones(until_waiting):
    def body():
        semaphore, order, waiting = Semaphore(3), [], []
        semaphore.acquire()
        for n in (3, 1, 1):

            def one(n=n):
                semaphore.acquire(n)
                order.append(n)
                semaphore.release(n)

            waiting.append(gort.go(one))
            until_waiting(waiting[-1])
        assert not semaphore.try_acquire()
        state = repr(semaphore)
        semaphore.release()
        for g in waiting:
            g.join()
        return state, order, repr(semaphore)

    state, order, after = gort.run(body)
    assert (state, after) == ("<Semaphore 1 of 3 held, 3 waiting>", "<Semaphore 0 of 3 held, 0 waiting>")
    assert order[0] == 3


@pytest.mark.go("x/sync/semaphore/semaphore_test.go TestAllocCancelDoesntStarve")
def test_when_the_first_of_the_queue_gives_up_the_next_is_looked_at(until_waiting):
    def body():
        semaphore = Semaphore(10)
        semaphore.acquire()
        ctx, cancel = context.with_cancel(BACKGROUND)

        def large():
            with pytest.raises(Canceled):
                semaphore.acquire(10, ctx)

        first = gort.go(large)
        until_waiting(first)
        second = gort.go(semaphore.acquire)
        until_waiting(second)
        cancel()
        first.join()
        second.join()
        return repr(semaphore)

    assert gort.run(body) == "<Semaphore 2 of 10 held, 0 waiting>"


@pytest.mark.go("x/sync/semaphore/semaphore_test.go TestWeightedAcquireCanceled")
def test_a_context_that_is_done_first_wins_over_free_tokens(until_waiting):
    def body():
        semaphore, errors = Semaphore(2), []
        semaphore.acquire()
        ctx, cancel = context.with_cancel(BACKGROUND)

        def waiter():
            try:
                semaphore.acquire(2, ctx)
            except Canceled as error:
                errors.append(str(error))

        g = gort.go(waiter)
        until_waiting(g)
        cancel()
        semaphore.release()
        g.join()
        assert semaphore.try_acquire(2)
        semaphore.release(2)
        with pytest.raises(Canceled):
            semaphore.acquire(1, ctx)
        return errors, repr(semaphore)

    assert gort.run(body) == (["context canceled"], "<Semaphore 0 of 2 held, 0 waiting>")


@pytest.mark.go("x/sync/semaphore/semaphore_test.go TestWeighted")
def test_goroutines_and_threads_hold_never_more_than_there_is():
    size, held, most = 5, 0, 0
    lock, semaphore, wg = gort.Mutex(), Semaphore(size), WaitGroup()

    def hammer(seed):
        nonlocal held, most
        choose = random.Random(seed)
        for _ in range(60):
            n = choose.randint(0, size)
            ctx = None
            if choose.random() < 0.3:
                ctx = context.with_timeout(BACKGROUND, choose.choice([0, 0.0005])).ctx
            try:
                semaphore.acquire(n, ctx)
            except DeadlineExceeded:
                continue
            with lock:
                held += n
                most = max(most, held)
            gort.gosched()
            with lock:
                held -= n
            semaphore.release(n)

    threads = [threading.Thread(target=hammer, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for n in range(6):
        wg.go(hammer, 10 + n)
    wg.wait()
    for thread in threads:
        thread.join()
    assert most <= size
    assert repr(semaphore) == f"<Semaphore 0 of {size} held, 0 waiting>"


class Custom:
    def __init__(self, done, error):
        self.done = lambda: done
        self.err = lambda: error

    def deadline(self):
        return None


@pytest.mark.parametrize("wait", [lambda ctx: Semaphore(1).acquire(1, ctx), lambda ctx: gort.Limiter(1, 1).wait(1, ctx)], ids=["semaphore", "limiter"])
def test_custom_contexts_are_taken_and_checked(wait):
    over = gort.Chan()
    over.close()
    wait(Custom(None, None))
    wait(Custom(gort.Chan(), None))
    with pytest.raises(Canceled, match="^mine$"):
        wait(Custom(over, Canceled("mine")))
    with pytest.raises(TypeError, match=r"^Custom.done: must return a Chan or None, got int$"):
        wait(Custom(3, None))
    with pytest.raises(TypeError, match=r"^Custom.err: must return an exception or None, got int$"):
        wait(Custom(over, 3))
    with pytest.raises(RuntimeError, match=r"^Custom.err: must return an exception when done\(\) is closed, got None$"):
        wait(Custom(over, None))


def test_it_is_a_context_manager_for_one_token(inside):
    def body():
        semaphore = Semaphore(2)
        with semaphore as same:
            return same is semaphore, repr(semaphore), semaphore

    same, within, semaphore = inside(body)
    assert (same, within, repr(semaphore)) == (True, "<Semaphore 1 of 2 held, 0 waiting>", "<Semaphore 0 of 2 held, 0 waiting>")


def test_the_end_of_a_run_takes_its_waiters_out():
    semaphore = Semaphore(1)

    def body():
        semaphore.acquire()
        waiters = [gort.go(semaphore.acquire), gort.go(semaphore.acquire, 1, context.with_cancel(BACKGROUND).ctx)]
        while any(g.status != "waiting" for g in waiters):
            gort.gosched()

    gort.run(body)
    assert repr(semaphore) == "<Semaphore 1 of 1 held, 0 waiting>"


@pytest.mark.parametrize("seed", range(20))
def test_under_every_schedule_a_cancelled_wait_loses_no_token(seed):
    def body():
        semaphore, wg = Semaphore(2), WaitGroup()
        ctx, cancel = context.with_cancel(BACKGROUND)

        def worker(n, ctx):
            try:
                semaphore.acquire(n, ctx)
            except Canceled:
                return
            semaphore.release(n)

        semaphore.acquire(2)
        for n, bound in ((2, ctx), (1, None), (2, ctx), (1, ctx), (2, None)):
            wg.go(worker, n, bound)
        wg.go(cancel)
        wg.go(semaphore.release)
        wg.go(semaphore.release)
        wg.wait()
        return repr(semaphore)

    assert gort.run(body, seed=seed) == "<Semaphore 0 of 2 held, 0 waiting>"
