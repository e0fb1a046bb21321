"""Executor: what users of concurrent.futures rely on."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import threading

import pytest

import gort
from gort import Chan, Executor
from interpreter import WITHOUT_GIL


def test_submit_gives_the_result_or_the_error(inside):
    def body():
        executor = Executor()
        with pytest.raises(ZeroDivisionError):
            executor.submit(lambda: 1 // 0).result()
        future = executor.submit(pow, 2, exp=8)
        result = future.result()
        executor.shutdown()
        return result, isinstance(executor, concurrent.futures.Executor), isinstance(future, concurrent.futures.Future)

    assert inside(body) == (256, True, True)


def test_map_gives_results_in_order_and_raises_where_the_error_is(inside):
    def body():
        with Executor(3) as executor:
            assert list(executor.map(pow, range(10), range(10))) == list(map(pow, range(10), range(10)))
            results = executor.map(divmod, [1, 1, 1, 1], [2, 3, 0, 5])
            assert [next(results), next(results)] == [(0, 1), (0, 1)]
            with pytest.raises(ZeroDivisionError):
                next(results)

    inside(body)


def test_map_keeps_its_timeout(inside):
    def body():
        go_on = Chan()
        with Executor(1) as executor:
            results = executor.map(lambda wait: go_on.recv() if wait else 1, [False, True], timeout=0.05)
            try:
                with pytest.raises(TimeoutError):
                    list(results)
            finally:
                go_on.close()

    inside(body)


def test_all_calls_go_on_at_a_time_unless_max_workers_says_less(inside):
    def body():
        with Executor() as executor:
            barrier = gort.WaitGroup()
            barrier.add(50)
            for _ in range(50):
                executor.submit(lambda: (barrier.done(), barrier.wait()))
        with Executor(2) as executor:
            active, most = [], []

            def work():
                active.append(None)
                most.append(len(active))
                gort.gosched()
                active.pop()

            for _ in range(50):
                executor.submit(work)
        return max(most) <= 2

    assert inside(body)


def test_shutdown_waits_refuses_and_cancels(inside):
    def body():
        go_on, executor = Chan(), Executor(1)
        running, waiting = executor.submit(go_on.recv), executor.submit(int)
        while not running.running():
            gort.gosched()
        executor.shutdown(wait=False, cancel_futures=True)
        with pytest.raises(RuntimeError):
            executor.submit(int)
        go_on.send("v")
        executor.shutdown()
        return running.done(), running.result(), waiting.cancelled()

    assert inside(body) == (True, "v", True)


def test_without_cancel_shutdown_does_what_was_submitted(inside):
    def body():
        with Executor(1) as executor:
            futures = [executor.submit(gort.gosched) for _ in range(10)]
        return all(f.done() and not f.cancelled() for f in futures)

    assert inside(body)


def test_wait_and_as_completed_take_its_futures(inside, request):
    if WITHOUT_GIL and request.node.callspec.params["inside"] == "goroutine":
        pytest.skip("they block the goroutine's thread, and with it the workers that have started there (docs/free_threading.md)")

    def body():
        with Executor() as executor:
            futures = [executor.submit(int) for _ in range(5)] + [executor.submit(lambda: 1 // 0)]
            done, not_done = concurrent.futures.wait(futures)
            return len(done), len(not_done), len(list(concurrent.futures.as_completed(futures)))

    assert inside(body) == (6, 0, 6)


def test_asyncio_runs_in_it():
    async def main():
        with Executor(2) as executor:
            loop = asyncio.get_running_loop()
            go_on = Chan()
            waits = loop.run_in_executor(executor, go_on.recv)
            await loop.run_in_executor(executor, go_on.send, "v")
            return await waits, await asyncio.gather(*(loop.run_in_executor(executor, abs, -n) for n in range(10)))

    assert asyncio.run(main()) == ("v", list(range(10)))


def test_initializer_and_names(inside):
    def body():
        local = threading.local()
        with Executor(2, thread_name_prefix="work", initializer=lambda v: setattr(local, "v", v), initargs=(7,)) as executor:
            values = [executor.submit(lambda: (local.v, gort.current().name)).result() for _ in range(5)]
        return {v for v, _ in values}, {n.partition("-")[0] for _, n in values}

    values, names = inside(body)
    assert values == {7}
    assert names == {"work"}


def test_goroutines_and_threads_submit_from_calls():
    with Executor(4) as executor:

        def fibonacci(n):
            return n if n < 2 else Executor().submit(fibonacci, n - 1).result() + fibonacci(n - 2)

        assert executor.submit(fibonacci, 8).result() == 21


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Executor(0), ValueError, "Executor: max_workers must be at least 1, got 0"),
        (lambda: Executor("2"), TypeError, "Executor: max_workers must be an int, got str"),
        (lambda: Executor(initializer=3), TypeError, "Executor: initializer must be callable, got int"),
        (lambda: Executor(thread_name_prefix=3), TypeError, "Executor: thread_name_prefix must be a str, got int"),
        (lambda: Executor().submit(3), TypeError, "submit: fn must be callable, got int"),
        (lambda: copy.copy(Executor()), TypeError, "cannot pickle or copy gort.Executor objects"),
    ],
)
def test_misuse_is_an_exact_error(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
