"""Once and the once_ functions: one call, whoever comes first, and what becomes of its exception."""

from __future__ import annotations

import weakref

import pytest

import gort
from gort import Chan, Once, WaitGroup, sync


@pytest.mark.go("sync/once_test.go TestOnce")
def test_many_callers_call_once_and_all_see_it_done(inside):
    def body():
        once, calls, wrong, wg = Once(), [], [], WaitGroup()

        def work():
            once.do(lambda: (gort.gosched(), calls.append(1)))
            if calls != [1]:
                wrong.append(list(calls))

        for _ in range(10):
            wg.go(work)
        wg.wait()
        return calls, wrong

    assert inside(body) == ([1], [])


def test_the_first_call_only(inside):
    def body():
        once, calls = Once(), []
        for n in range(3):
            assert once.do(lambda n=n: calls.append(n)) is None
        return calls, repr(once)

    assert inside(body) == ([0], "<Once done>")


def test_others_wait_until_the_first_call_is_over(until_waiting):
    def body():
        once, go_on, order = Once(), Chan(), []
        first = gort.go(once.do, lambda: (go_on.recv(), order.append("first")))
        until_waiting(first)
        others = [gort.go(lambda: (once.do(lambda: order.append("wrong")), order.append("after"))) for _ in range(3)]
        for g in others:
            until_waiting(g)
        go_on.send(None)
        for g in [first, *others]:
            g.join()
        return order

    assert gort.run(body) == ["first", "after", "after", "after"]


@pytest.mark.go("sync/once_test.go TestOncePanic")
def test_a_call_that_raises_counts_as_done_and_only_its_caller_sees_it(inside):
    def body():
        once = Once()
        with pytest.raises(ZeroDivisionError):
            once.do(lambda: 1 / 0)
        return once.do(lambda: 1 / 0)

    assert inside(body) is None


def test_a_call_that_exits_counts_as_done():
    def body():
        once = Once()
        gort.go(once.do, gort.goexit).join()
        return once.do(lambda: 1 / 0)

    assert gort.run(body) is None


def test_a_do_inside_do_waits_for_itself():
    once = Once()
    with pytest.raises(gort.Deadlock):
        gort.run(once.do, lambda: once.do(lambda: None))


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError) as error:
        Once().do(3)
    assert str(error.value) == "do: fn must be callable, got int"


@pytest.mark.go("sync/oncefunc_test.go TestOnceValue")
def test_once_value_calls_once_and_gives_the_value_every_time(inside):
    def body():
        calls = []
        value = sync.once_value(lambda: calls.append(1) or "v")
        return [value(), value(), value()], len(calls)

    assert inside(body) == (["v", "v", "v"], 1)


@pytest.mark.go("sync/oncefunc_test.go TestOnceValues")
def test_once_values_calls_once_and_gives_the_tuple_every_time():
    calls = []
    values = sync.once_values(lambda: (calls.append(1) or len(calls), len(calls) + 1))
    assert [values(), values()] == [(1, 2), (1, 2)]
    assert calls == [1]


@pytest.mark.go("sync/oncefunc_test.go TestOnceFunc")
def test_once_func_calls_once_and_gives_nothing():
    calls = []
    fn = sync.once_func(lambda: calls.append(1) or 3)
    assert [fn(), fn(), fn()] == [None, None, None]
    assert calls == [1]


@pytest.mark.parametrize("make", [sync.once_func, sync.once_value, sync.once_values])
def test_callers_wait_until_the_first_call_is_over(until_waiting, make):
    def main():
        go_on, calls, out = Chan(), [], Chan(5)

        def work():
            calls.append(1)
            go_on.recv_ok()
            calls.append(2)
            return "v"

        fn = make(work)
        goroutines = [gort.go(lambda: (fn(), out.send(list(calls)))) for _ in range(5)]
        for g in goroutines:
            until_waiting(g)
        go_on.close()
        return [out.recv() for _ in goroutines]

    assert gort.run(main) == [[1, 2]] * 5


@pytest.mark.go("sync/oncefunc_test.go TestOnceFuncPanic, TestOnceValuePanic, TestOnceValuesPanic")
@pytest.mark.parametrize("make", [sync.once_func, sync.once_value, sync.once_values])
def test_a_remembered_panic_is_raised_from_every_call(make):
    calls = []

    def fails():
        calls.append(1)
        raise KeyError("k")

    fn = make(fails)
    errors = []
    for _ in range(3):
        with pytest.raises(KeyError) as caught:
            fn()
        errors.append(caught.value)
    assert errors[0] is errors[1] is errors[2]
    assert len(calls) == 1


@pytest.mark.go("sync/oncefunc_test.go TestOnceFuncPanicTraceback")
def test_the_traceback_goes_to_where_it_was_raised_and_does_not_grow():
    def raises_here():
        raise KeyError("x")

    fn = sync.once_func(raises_here)
    names = []
    for _ in range(3):
        with pytest.raises(KeyError) as caught:
            fn()
        names.append([entry.name for entry in caught.traceback])
    assert names[0][-1] == names[2][-1] == "raises_here"
    assert len(names[1]) == len(names[2])


@pytest.mark.go("sync/oncefunc_test.go TestOnceFuncGoexit")
@pytest.mark.parametrize("make", [sync.once_func, sync.once_value, sync.once_values])
def test_a_call_that_exits_is_not_made_again(make):
    def main():
        calls = []
        fn = make(lambda: (calls.append(1), gort.goexit()))
        for _ in range(2):
            g = gort.go(lambda: pytest.raises(gort.PanicError, fn))
            g.join()
        return calls

    assert gort.run(main) == [1]


@pytest.mark.go("sync/oncefunc_test.go TestOnceXGC")
@pytest.mark.parametrize("make", [sync.once_func, sync.once_value, sync.once_values])
def test_the_function_is_dropped_after_its_call(make):
    class Callable_:
        def __call__(self):
            return 1

    fn = Callable_()
    seen = weakref.ref(fn)
    value = make(fn)
    del fn
    assert seen() is not None
    value()
    assert seen() is None
