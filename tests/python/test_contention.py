"""gort.contention: who waited for what and where, and who kept them waiting."""

import builtins
import json
import sys
import threading

import gort
import pytest
from gort import contention
from interpreter import FREE_THREADED


def fight(mutex, n=5):
    """n goroutines that each find the mutex held, once or more often."""

    def main():
        def locker():
            with mutex:
                pass

        with mutex:
            lockers = [gort.go(locker) for _ in range(n)]
            while mutex.state[3] < n:
                gort.gosched()
        for g in lockers:
            g.join()

    gort.run(main)


def row(report, reason):
    found = [r for r in report.rows if r.reason == reason]
    assert len(found) <= 1
    return found[0] if found else None


def test_waits_for_a_mutex_are_counted_with_their_times():
    with contention.measure() as report:
        fight(gort.Mutex())
    wait = row(report, "sync.Mutex.Lock")
    assert wait.count >= 5
    assert 0 < wait.max <= wait.total
    assert wait.mean == pytest.approx(wait.total / wait.count)
    assert wait.object != 0


def test_nothing_is_counted_outside():
    with contention.measure() as report:
        pass
    fight(gort.Mutex())
    assert report.rows == []
    assert repr(report) == "<Report 0 waits, 0 ns>"


def test_waits_for_channels_count_and_sleep_does_not(until_waiting):
    def main():
        ch, me = gort.Chan(), gort.current()
        gort.go(lambda: (until_waiting(me), ch.send(1)))
        ch.recv()
        gort.sleep(0.001)

    with contention.measure() as report:
        gort.run(main)
    assert row(report, "chan receive").count == 1
    assert row(report, "sleep") is None


def test_a_nested_measurement_sees_its_own_part():
    mutex = gort.Mutex()
    with contention.measure() as outer:
        fight(mutex, 5)
        first = row(outer, "sync.Mutex.Lock").count
        with contention.measure() as inner:
            fight(mutex, 3)
        inner_count = row(inner, "sync.Mutex.Lock").count
    assert inner_count >= 3
    assert row(outer, "sync.Mutex.Lock").count == first + inner_count
    assert row(inner, "sync.Mutex.Lock").count == inner_count


def test_a_named_object_has_its_name_in_the_tables():
    with contention.measure() as report:
        fight(gort.Mutex())
    report.name(row(report, "sync.Mutex.Lock").object, "the lock")
    text = report.text()
    assert text.splitlines()[0].split() == ["what", "reason", "waits", "total", "mean", "max"]
    assert "the lock" in text
    assert "the lock" in report._repr_html_()
    assert "the lock" in [r["name"] for r in json.loads(json.dumps(report.to_dict()))]


def test_a_channel_can_be_named():
    ch = gort.Chan()

    def main():
        gort.go(ch.send, 1)
        ch.recv()

    with contention.measure() as report:
        report.name(ch, "numbers")
        gort.run(main)
    assert "numbers" in [r.name for r in report.rows]
    with pytest.raises(TypeError, match="what must be a Chan or an address, got str"):
        report.name("numbers", "x")


def test_table_is_richs_where_rich_is_there_and_text_where_not(monkeypatch):
    with contention.measure() as report:
        fight(gort.Mutex())
    rich_table = pytest.importorskip("rich.table")
    assert isinstance(report.table(), rich_table.Table)
    real = builtins.__import__

    def without_rich(name, *arguments, **keywords):
        if name.partition(".")[0] == "rich":
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_rich)
    assert report.table() == report.text()


def test_an_unknown_table_is_refused():
    with contention.measure() as report:
        pass
    for show in (report.table, report.text):
        with pytest.raises(ValueError, match="by must be 'object', 'stack' or 'release', got 'lock'"):
            show(by="lock")


# --- where


def locks_here(mutex):
    mutex.lock()
    mutex.unlock()


def locks_there(mutex):
    with mutex:
        pass


def unlocks_here(mutex):
    mutex.unlock()


def functions(wait):
    return [frame.function for frame in wait.stack]


def fight_at_two_places(mutex):
    """One waits in locks_here and two in locks_there for what unlocks_here unlocks."""

    def main():
        mutex.lock()
        lockers = [gort.go(locks, mutex) for locks in (locks_here, locks_there, locks_there)]
        while mutex.state[3] < 3:
            gort.gosched()
        unlocks_here(mutex)
        for g in lockers:
            g.join()

    gort.run(main)


def test_waits_for_one_lock_are_told_apart_by_their_stacks():
    with contention.measure() as report:
        fight_at_two_places(gort.Mutex())
    found = {functions(w)[0]: w for w in report.stacks if w.reason == "sync.Mutex.Lock"}
    assert set(found) == {"locks_here", "locks_there"}
    here, there = found["locks_here"], found["locks_there"]
    assert here.count >= 1 and there.count >= 2
    assert 0 < here.max <= here.total and here.mean == pytest.approx(here.total / here.count)
    frame = here.stack[0]
    assert frame.file == __file__
    assert frame.line == locks_here.__code__.co_firstlineno + 1
    assert there.stack[0].line == locks_there.__code__.co_firstlineno + 1
    assert here.where == f"locks_here {__file__}:{frame.line}"
    assert here.text() == f"locks_here(...)\n\t{__file__}:{frame.line}\n"


def test_the_stacks_of_an_object_sum_up_to_its_row():
    with contention.measure() as report:
        fight_at_two_places(gort.Mutex())
    lock = row(report, "sync.Mutex.Lock")
    stacks = [w for w in report.stacks if w.object == lock.object]
    assert len(stacks) == 2
    assert sum(w.count for w in stacks) == lock.count
    assert sum(w.total for w in stacks) == pytest.approx(lock.total)
    assert max(w.max for w in stacks) == lock.max
    assert lock.last_goroutine in {w.last_goroutine for w in stacks}


def test_the_whole_stack_is_there():
    def outer(ch):
        inner(ch)

    def inner(ch):
        ch.recv()

    def main():
        ch = gort.Chan()
        g = gort.go(outer, ch)
        while g.status != "waiting":
            gort.gosched()
        ch.send(1)
        g.join()

    with contention.measure() as report:
        gort.run(main)
    name = "test_the_whole_stack_is_there.<locals>"
    waits = [functions(w) for w in report.stacks if w.reason == "chan receive"]
    assert waits == [[f"{name}.inner", f"{name}.outer"]]


def test_a_deep_stack_is_cut():
    def deep(n, ch):
        return deep(n - 1, ch) if n else ch.recv()

    def main():
        ch = gort.Chan()
        g = gort.go(deep, 100, ch)
        while g.status != "waiting":
            gort.gosched()
        ch.send(1)
        g.join()

    with contention.measure() as report:
        gort.run(main)
    (wait,) = [w for w in report.stacks if w.reason == "chan receive"]
    assert len(wait.stack) == 64


def test_select_and_joins_and_plain_threads_have_stacks(until_waiting):
    objects = []

    def selects(a, b):
        gort.select(a, b)

    def receives(ch):
        objects.append(gort.current())
        ch.recv()

    with contention.measure() as report:
        a, b, c = gort.Chan(), gort.Chan(), gort.Chan()
        g = gort.go(selects, a, b)
        until_waiting(g)
        thread = threading.Thread(target=receives, args=(c,))
        thread.start()
        while not objects:
            gort.gosched()
        until_waiting(objects[0])
        c.close()
        b.close()
        g.join()
        thread.join()
    where = {w.reason: functions(w) for w in report.stacks}
    name = "test_select_and_joins_and_plain_threads_have_stacks.<locals>"
    assert where["select"] == [f"{name}.selects"]
    assert where["chan receive"][0] == f"{name}.receives"
    assert where["chan receive"][-1].startswith("Thread._bootstrap")


def test_who_unlocks_is_charged_with_the_waits_that_it_ends():
    with contention.measure() as report:
        fight_at_two_places(gort.Mutex())
    charged = {functions(w)[0]: w for w in report.releases}
    first = charged["unlocks_here"]
    assert first.reason == "sync.Mutex.Lock" and first.count == 1
    assert first.object == row(report, "sync.Mutex.Lock").object
    assert first.total > 0
    assert set(charged) <= {"unlocks_here", "locks_here", "locks_there"}


def test_an_unlock_that_nobody_waited_for_and_channels_are_charged_with_nothing():
    def main():
        mutex = gort.Mutex()
        locks_here(mutex)
        ch = gort.Chan()
        gort.go(ch.send, 1)
        ch.recv()

    with contention.measure() as report:
        gort.run(main)
    assert report.releases == []


def test_an_outer_report_keeps_its_stacks_when_an_inner_one_ends_and_a_later_one_begins():
    with contention.measure() as outer:
        fight_at_two_places(gort.Mutex())
        with contention.measure() as inner:
            fight_at_two_places(gort.Mutex())
    with contention.measure() as later:
        pass
    for report in (outer, inner):
        assert {functions(w)[0] for w in report.stacks if w.reason == "sync.Mutex.Lock"} == {"locks_here", "locks_there"}
    assert len({w.object for w in outer.stacks if w.reason == "sync.Mutex.Lock"}) >= len({w.object for w in inner.stacks if w.reason == "sync.Mutex.Lock"})
    assert later.stacks == []


def test_functions_that_are_gone_keep_their_names():
    def main(source):
        space = {}
        exec(source, space)
        ch = gort.Chan()
        g = gort.go(space["waits"], ch)
        while g.status != "waiting":
            gort.gosched()
        ch.send(1)
        g.join()

    with contention.measure() as report:
        for i in range(20):
            gort.run(main, f"def waits(ch):\n    {i}; ch.recv()\n")
        found = [w for w in report.stacks if functions(w)[:1] == ["waits"]]
    assert sum(w.count for w in found) == 20
    assert {w.stack[0].line for w in found} == {2}


@pytest.mark.skipif(FREE_THREADED and sys.version_info < (3, 14), reason="3.13t keeps code for good once there was a second thread")
def test_a_new_measurement_lets_go_of_the_functions_of_the_one_before(collected):
    import weakref

    def main():
        space = {}
        exec("def waits(ch):\n    ch.recv()\n", space)
        code = weakref.ref(space["waits"].__code__)
        ch = gort.Chan()
        g = gort.go(space["waits"], ch)
        while g.status != "waiting":
            gort.gosched()
        ch.send(1)
        g.join()
        return code

    with contention.measure():
        code = gort.run(main)
    collected()
    assert code() is not None
    with contention.measure():
        pass
    collected()
    assert code() is None


def test_tables_by_stack_and_by_release():
    with contention.measure() as report:
        fight_at_two_places(gort.Mutex())
    by_stack, by_release = report.text(by="stack"), report.text(by="release")
    assert by_stack.splitlines()[0].split() == ["where", "what", "reason", "waits", "total", "mean", "max"]
    assert f"locks_there {__file__}:" in by_stack
    assert by_release.splitlines()[0].startswith("unlocked at  ")
    assert f"unlocks_here {__file__}:" in by_release
    rich_table = pytest.importorskip("rich.table")
    assert isinstance(report.table(by="stack"), rich_table.Table)


def test_to_dict_has_stacks_and_releases_with_each_object():
    with contention.measure() as report:
        fight_at_two_places(gort.Mutex())
    (lock,) = [d for d in json.loads(json.dumps(report.to_dict())) if d["reason"] == "sync.Mutex.Lock"]
    assert {part["stack"][0]["function"] for part in lock["stacks"]} == {"locks_here", "locks_there"}
    assert "unlocks_here" in {part["stack"][0]["function"] for part in lock["releases"]}
    assert sum(part["count"] for part in lock["stacks"]) == lock["count"]


def test_plot_draws_a_part_for_each_stack():
    pytest.importorskip("matplotlib")
    with contention.measure() as report:
        fight_at_two_places(gort.Mutex())
    waits, releases = report.plot().axes
    assert len(waits.patches) == len(report.stacks)
    assert len(releases.patches) == len(report.releases)


def test_plot_says_what_it_needs(monkeypatch):
    with contention.measure() as report:
        pass
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"contention.Report.plot needs matplotlib, which is not installed: pip install 'gort\[plot\]'"):
        report.plot()
