"""gort.contention: who waited for what."""

import builtins
import json

import gort
import pytest
from gort import contention


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
