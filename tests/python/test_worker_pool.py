"""WorkerPool: how many work, who waits, and that every task has an end."""

from __future__ import annotations

import concurrent.futures
import copy
import threading

import pytest

import gort
from gort import Chan, Group, WorkerPool
from resting import rest


class Broken(Exception):
    pass


def breaks():
    raise Broken


def test_tasks_are_done_and_their_results_are_in_futures(inside):
    def body():
        pool = WorkerPool(3)
        futures = [pool.submit(pow, n, exp=2) for n in range(20)]
        results = [f.result() for f in futures]
        pool.wait()
        return results, pool.stats()[:6], repr(pool)

    assert inside(body) == ([n * n for n in range(20)], (3, 0, 0, 20, 0, 0), "<WorkerPool 0 of 3 busy, 0 queued>")


def test_no_more_than_n_work_at_a_time(inside):
    def body():
        active, most, lock = 0, 0, gort.Mutex()

        def work():
            nonlocal active, most
            with lock:
                active += 1
                most = max(most, active)
            gort.gosched()
            with lock:
                active -= 1

        with WorkerPool(4) as pool:
            for _ in range(200):
                pool.submit(work)
        return most <= 4, pool.stats().done

    assert inside(body) == (True, 200)


def test_what_a_task_raises_is_in_its_future_and_the_worker_goes_on(inside):
    def body():
        with WorkerPool(1) as pool:
            futures = [pool.submit(fn) for fn in (breaks, int, breaks, lambda: (_ for _ in ()).throw(SystemExit(3)), int)]
        return [type(f.exception()) for f in futures], pool.stats()[3:6]

    assert inside(body) == ([Broken, type(None), Broken, SystemExit, type(None)], (2, 3, 0))


def test_a_task_that_exits_is_cancelled_and_its_worker_goes_on(inside):
    def body():
        with WorkerPool(1) as pool:
            futures = [pool.submit(gort.goexit), pool.submit(int), pool.submit(gort.goexit)]
        return [f.cancelled() for f in futures], futures[1].result(), pool.stats()[3:6]

    assert inside(body) == ([True, False, True], 0, (1, 0, 2))


def test_submit_parks_while_the_queue_is_full(until_waiting):
    def body():
        go_on, pool = Chan(), WorkerPool(1, queue=1)
        futures = [pool.submit(go_on.recv), pool.submit(go_on.recv)]
        waiter = gort.go(lambda: futures.append(pool.submit(int)))
        until_waiting(waiter)
        state = repr(pool), len(futures)
        go_on.send("a")
        waiter.join()
        go_on.send("b")
        pool.wait()
        return state, [f.result() for f in futures]

    assert gort.run(body) == (("<WorkerPool 1 of 1 busy, 1 queued>", 2), ["a", "b", 0])


def test_without_a_queue_submit_parks_until_a_worker_is_free(inside):
    def body():
        with WorkerPool(2, queue=0) as pool:
            futures = [pool.submit(lambda n=n: (gort.gosched(), n)[1]) for n in range(30)]
            most = pool.stats().queued
        return [f.result() for f in futures], most <= 2

    assert inside(body) == (list(range(30)), True)


def test_more_workers_start_on_what_is_queued():
    def body():
        go_on, pool = Chan(), WorkerPool(1)
        futures = [pool.submit(go_on.recv) for _ in range(5)]
        pool.resize(3)
        rest()
        busy = pool.stats()[:3]
        pool.resize(1)
        go_on.close()
        pool.wait()
        return busy, pool.stats()[:4], all(f.done() for f in futures)

    assert gort.run(body) == ((3, 3, 2), (1, 0, 0, 5), True)


def test_with_fewer_workers_those_beyond_end_after_their_task():
    def body():
        go_on, pool = Chan(), WorkerPool(3)
        for _ in range(6):
            pool.submit(go_on.recv)
        rest()
        pool.resize(1)
        go_on.send(None)
        go_on.send(None)
        while pool.stats().busy > 1:
            gort.gosched()
        stats = pool.stats()
        go_on.close()
        pool.wait()
        return stats[:4]

    assert gort.run(body) == (1, 1, 3, 2)


def test_resize_wakes_those_who_wait_to_submit(until_waiting):
    def body():
        go_on, pool = Chan(), WorkerPool(1, queue=0)
        pool.submit(go_on.recv)
        waiter = gort.go(pool.submit, go_on.recv)
        until_waiting(waiter)
        pool.resize(2)
        waiter.join()
        go_on.close()
        pool.wait()

    gort.run(body)


def test_map_gives_results_in_order_and_cancels_after_an_error(inside):
    def body():
        pool = WorkerPool(1)
        assert list(pool.map(pow, range(5), [2] * 5)) == [0, 1, 4, 9, 16]
        go_on = Chan()
        results = pool.map(lambda n: 1 // n if n < 2 else go_on.recv(), [1, 0, 2, 3, 4])
        assert next(results) == 1
        with pytest.raises(ZeroDivisionError):
            next(results)
        go_on.close()
        pool.wait()
        return pool.stats().cancelled >= 2

    assert inside(body)


def test_a_task_that_waits_can_be_cancelled(inside):
    def body():
        go_on, pool = Chan(), WorkerPool(1)
        first, second, third = pool.submit(go_on.recv), pool.submit(int), pool.submit(int)
        cancelled = second.cancel()
        go_on.close()
        pool.wait()
        return cancelled, first.cancelled(), second.cancelled(), third.result(), pool.stats()[3:6]

    assert inside(body) == (True, False, True, 0, (2, 0, 1))


def test_a_closed_pool_does_what_it_has_and_takes_no_more(until_waiting):
    def body():
        go_on, pool, errors = Chan(), WorkerPool(1, queue=1), []
        futures = [pool.submit(go_on.recv), pool.submit(int)]

        def submits():
            with pytest.raises(RuntimeError, match="^submit: the pool is closed$"):
                pool.submit(int)
            errors.append(True)

        waiter = gort.go(submits)
        until_waiting(waiter)
        pool.close()
        waiter.join()
        submits()
        go_on.close()
        pool.wait()
        pool.close()
        return errors, [f.result() for f in futures], repr(pool)

    assert gort.run(body) == ([True, True], [None, 0], "<WorkerPool 0 of 1 busy, 0 queued, closed>")


def test_close_with_cancel_cancels_what_has_not_begun(inside):
    def body():
        go_on, pool = Chan(), WorkerPool(1)
        futures = [pool.submit(go_on.recv) for _ in range(3)]
        while pool.stats().queued > 2:
            gort.gosched()
        pool.close(cancel=True)
        go_on.close()
        pool.wait()
        return [f.cancelled() for f in futures], concurrent.futures.wait(futures).not_done, pool.stats()[3:6]

    assert inside(body) == ([False, True, True], set(), (1, 0, 2))


def test_the_end_of_a_run_cancels_what_its_workers_do_and_what_is_queued():
    def body():
        pool = WorkerPool(2)
        futures = [pool.submit(gort.nil_chan.recv) for _ in range(6)]
        if begin:
            gort.gosched()
        return pool, futures

    for begin in (False, True) * 10:  # without the GIL GoExit comes at any point of a worker
        pool, futures = gort.run(body)
        pool.wait()
        assert concurrent.futures.wait(futures).not_done == set()
        assert all(f.cancelled() for f in futures)
        assert pool.submit(int).result() == 0
        pool.wait()
        assert pool.stats()[1:5] == (0, 0, 1, 0)


def test_the_end_of_a_run_takes_those_out_who_wait_to_submit():
    go_on, pool = Chan(), WorkerPool(1, queue=0)
    first = pool.submit(go_on.recv)

    def body():
        gort.go(pool.submit, int)
        gort.gosched()

    gort.run(body)
    go_on.close()
    first.result()
    assert pool.submit(int).result() == 0
    pool.wait()


def test_nobody_left_who_could_end_a_task_is_a_deadlock():
    with pytest.raises(gort.Deadlock):
        gort.run(lambda: WorkerPool(1).submit(gort.nil_chan.recv).result())


def test_each_worker_is_initialized_before_its_first_task(inside):
    def body():
        local = threading.local()

        def initialize():
            local.ready = True

        with WorkerPool(3, initializer=initialize) as pool:
            futures = [pool.submit(getattr, local, "ready") for _ in range(20)]
        return all(f.result() for f in futures)

    assert inside(body)


def test_what_the_initializer_raises_is_the_error_of_a_task(inside):
    def body():
        with WorkerPool(1, initializer=breaks) as pool:
            futures = [pool.submit(int) for _ in range(3)]
        return [type(f.exception()) for f in futures]

    assert inside(body) == [Broken] * 3


def test_workers_have_names_and_none_stay(inside):
    def body():
        with WorkerPool(1, name="fetch") as pool:
            names = [pool.submit(lambda: gort.current().name) for _ in range(2)]
            names = [n.result() for n in names]
        return set(names) <= {"fetch-1", "fetch-2"}, repr(pool)

    named, text = inside(body)
    assert text == "<WorkerPool 0 of 1 busy, 0 queued, closed>"
    assert named


def test_threads_and_goroutines_submit_to_the_same_pool():
    with WorkerPool(3, queue=2) as pool:

        def submits(start):
            return [pool.submit(lambda n=n: n).result() for n in range(start, start + 50)]

        group, got = Group(), []
        threads = [threading.Thread(target=lambda s=s: got.append(submits(s))) for s in (0, 100)]
        for thread in threads:
            thread.start()
        parts = [group.go(submits, start) for start in (1000, 2000)]
        for thread in threads:
            thread.join()
        got += [p.result() for p in parts]
    assert sorted(n for part in got for n in part) == [n for s in (0, 100, 1000, 2000) for n in range(s, s + 50)]
    assert pool.stats().done == 200


def test_stats_have_times(inside):
    def body():
        with WorkerPool(1) as pool:
            for _ in range(3):
                pool.submit(gort.sleep, 0.001)
        return pool.stats()

    stats = inside(body)
    assert stats.ran >= 0.003
    assert stats.waited >= 0.003


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: WorkerPool(0), ValueError, "WorkerPool: n must be at least 1, got 0"),
        (lambda: WorkerPool(1.5), TypeError, "WorkerPool: n must be an int, got float"),
        (lambda: WorkerPool(1, queue=-1), ValueError, "WorkerPool: queue must be at least 0, got -1"),
        (lambda: WorkerPool(1, name=3), TypeError, "WorkerPool: name must be a str, got int"),
        (lambda: WorkerPool(1, initializer=3), TypeError, "WorkerPool: initializer must be callable, got int"),
        (lambda: WorkerPool(1).submit(3), TypeError, "submit: fn must be callable, got int"),
        (lambda: WorkerPool(1).resize(0), ValueError, "resize: n must be at least 1, got 0"),
        (lambda: copy.copy(WorkerPool(1)), TypeError, "cannot pickle or copy gort.WorkerPool objects"),
    ],
)
def test_misuse_is_an_exact_error(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


@pytest.mark.parametrize("seed", range(20))
def test_under_every_schedule_every_task_is_done(seed):
    def body():
        pool, group = WorkerPool(2, queue=1), Group()

        def submits(n):
            return pool.submit(lambda: (gort.gosched(), n)[1]).result()

        parts = [group.go(submits, n) for n in range(6)]
        group.go(pool.resize, 1)
        group.go(pool.resize, 3)
        group.wait()
        pool.wait()
        return [p.result() for p in parts], pool.stats()[1:4]

    assert gort.run(body, seed=seed) == (list(range(6)), (0, 0, 6))
