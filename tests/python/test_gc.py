"""gort.gc: collections, their records, and tuning."""

import io
import threading
import time

import gort
import pytest
from gort import gc, heap

Leaf = heap.struct("Leaf", a=heap.i64, b=heap.i64, c=heap.i64, d=heap.i64)


def allocate(megabytes):
    for _ in range(megabytes * 32768):
        heap.new(Leaf)


def test_collect_makes_a_forced_cycle_with_every_phase_in_order():
    before = gc.stats()
    gc.collect()
    after = gc.stats()
    assert after.num_gc >= before.num_gc + 1
    assert after.num_forced == before.num_forced + 1
    c = gc.cycles()[-1]
    assert c.reason == "forced"
    assert 0 < c.start <= c.stop1_begin <= c.mark_begin <= c.stop2_begin <= c.sweep_begin <= c.end
    assert 0 <= c.stop1_wait <= c.stop1_pause and 0 <= c.stop2_wait <= c.stop2_pause
    assert c.line.startswith(f"gc {c.number} @") and c.line.endswith("P (forced)")
    assert c.to_dict()["mark_time"] == c.stop2_begin - c.mark_begin
    assert repr(c) == f"<Cycle {c.line}>"


def test_garbage_starts_the_collector_by_itself():
    before = gc.stats()
    allocate(12)
    deadline = time.monotonic() + 30
    while gc.stats().num_gc == before.num_gc and time.monotonic() < deadline:
        time.sleep(0.001)  # one that has started
    assert gc.stats().num_gc > before.num_gc
    assert gc.stats().num_forced == before.num_forced
    assert any(c.reason == "heap" for c in gc.cycles())


def test_a_negative_percentage_stops_automatic_cycles():
    former = gc.set_percent(-1)
    try:
        gc.collect()
        before = gc.stats().num_gc
        allocate(12)
        assert gc.stats().num_gc == before
    finally:
        assert gc.set_percent(former) == -1
    gc.collect()


@pytest.mark.parametrize("value, error", [("50", TypeError), (1.5, TypeError), (True, TypeError), (10**9, ValueError), (10**30, ValueError)])
def test_set_percent_refuses_bad_values(value, error):
    with pytest.raises(error, match="set_percent: n must be"):
        gc.set_percent(value)
    assert gc.set_percent(100) == 100


def test_phase_is_off_between_cycles():
    gc.collect()
    assert gc.phase() == "off"


def test_collect_parks_only_its_goroutine():
    order = []

    def main():
        g = gort.go(lambda: order.append("other"))
        gc.collect()
        g.join()
        order.append("main")

    gort.run(main)
    assert order == ["other", "main"]


def test_many_collect_at_once():
    def main():
        for g in [gort.go(gc.collect) for _ in range(20)]:
            g.join()

    before = gc.stats().num_gc
    gort.run(main)
    assert gc.stats().num_gc > before
    threads = [threading.Thread(target=gc.collect) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def test_trace_writes_gos_line_for_each_cycle():
    out = io.StringIO()
    with gc.trace(out) as trace:
        gc.collect()
        gc.collect()
    gc.collect()
    lines = out.getvalue().splitlines()
    assert [line for line in lines if line.endswith("(forced)")] == lines[-2:]
    assert [int(line.split()[1]) for line in lines[-2:]] == [c.number for c in gc.cycles()[-3:-1]]
    trace.stop()
    assert repr(trace) == "<Trace stopped>"
    with pytest.raises(TypeError, match="stream must be a text stream, got int"):
        gc.trace(3)


def test_stats_are_consistent():
    gc.collect()
    s = gc.stats()
    assert s.pause_max <= s.pause_total
    assert s.goal >= 4 << 20
    assert s.trigger <= s.goal
