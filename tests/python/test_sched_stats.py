"""What sched.stats and sched.measure count: why time slices end, steals, how long the woken wait; as data, table and plot."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import gort
from gort import sched
from gort.sched import Histogram, LaneStats, ProcessorStats, Stats, Steal
from interpreter import WITHOUT_GIL


def processor(number: int, lane: str = "native", **counts) -> ProcessorStats:
    fields = {name: 0 for name in ProcessorStats._fields} | {"reasons": {}, "victims": {}, "steal_time": 0.0}
    return ProcessorStats(**{**fields, **counts, "id": number, "lane": lane})


def stats_of(*processors: ProcessorStats, seconds: float = 1.0, steals: tuple[Steal, ...] = ()) -> Stats:
    return Stats(list(processors), [LaneStats("native", 0, 0, 0, 0, 0, 0)], list(steals), Histogram((0,) * 40), 0, seconds)


def during(body) -> Stats:
    """The stats of the block in which body ran as goroutine 1."""

    def main():
        with sched.measure() as measured:
            body()
        return measured.stats

    return gort.run(main)


# --- why slices end


def test_parks_are_counted_by_wait_reason():
    def body():
        before, main = sched.stats(), gort.current()
        ch, lock, group = gort.Chan(), gort.Mutex(), gort.WaitGroup()
        lock.lock()
        group.add(3)

        def wakes():
            while main.wait_reason != "sync.WaitGroup.Wait":
                gort.gosched()
            ch.close()
            lock.unlock()

        for wait in (ch.recv, lambda: lock.lock() or lock.unlock(), lambda: gort.select(ch, gort.Chan())):
            g = gort.go(lambda wait=wait: (wait(), group.done()))
            while g.status != "waiting":
                gort.gosched()
        gort.go(wakes)
        group.wait()
        while (sched.stats() - before).reasons.get("end", 0) < 4:  # who wakes us may lose its slice before it has ended
            gort.gosched()

    reasons = during(body).reasons
    for name in ("chan receive", "sync.Mutex.Lock", "select", "sync.WaitGroup.Wait"):
        assert reasons[name] == 1, name
    assert reasons["end"] == 4
    assert reasons["yield"] >= 3


def test_a_goroutine_knows_why_its_slices_ended():
    def main():
        def body():
            for _ in range(5):
                gort.gosched()
            gort.sleep(0.001)
            gort.sleep(0.001)
            rows.extend(g for g in sched.state(stacks=False).goroutines if g.id == gort.current().id)

        rows = []
        gort.go(body).join()
        return rows[0].switches

    switches = gort.run(main)
    assert switches["yield"] == 5
    assert switches["sleep"] == 2
    assert set(switches) <= {"yield", "sleep", "preempt_handoff", "preempt_call", "preempt_signal", "foreign_call"}


@pytest.mark.skipif(WITHOUT_GIL, reason="a processor that nobody else needs is not taken")
def test_a_goroutine_whose_processor_is_taken_in_foreign_code_counts_a_foreign_call():
    import time

    def main():
        def blocks():
            time.sleep(0.3)
            rows.extend(g for g in sched.state(stacks=False).goroutines if g.id == gort.current().id)

        rows = []
        before = sched.stats()
        g = gort.go(blocks)
        while g.status != "dead":
            gort.gosched()
        return rows[0].switches, (sched.stats() - before).totals

    for _ in range(10):
        switches, totals = gort.run(main)
        if "foreign_call" in switches:  # else it was held up before its call, and lost its processor as one that computes
            break
    assert switches["foreign_call"] == 1
    assert totals["foreign_calls"] >= 1
    assert totals["takeovers"] >= 1


def test_reasons_name_each_cause_once():
    reasons = stats_of(processor(0, yields=3, ends=1, reasons={"sleep": 5}), processor(1, reasons={"sleep": 2})).reasons
    assert reasons == {"sleep": 7, "yield": 3, "end": 1}
    assert list(reasons) == ["sleep", "yield", "end"]


# --- metrics


def test_balance_is_the_coefficient_of_variation_of_the_runs():
    assert stats_of(processor(0, runs=50), processor(1, runs=50)).metrics["balance"] == 0
    assert stats_of(processor(0, runs=100), processor(1, runs=0)).metrics["balance"] == 1
    assert stats_of(processor(0, runs=30), processor(1, runs=10)).metrics["balance"] == pytest.approx(0.5)


def test_metrics_of_a_lane_with_one_processor_are_none():
    python = processor(0, lane="python", runs=100)
    assert set(stats_of(python).metrics.values()) == {None}
    alone = stats_of(processor(0, runs=5), processor(1, runs=5), python).metrics
    assert alone["balance"] == 0
    assert alone["steal_success_rate"] is None and alone["steal_frequency"] == 0


def test_the_metrics_of_stealing():
    ps = processor(0, steals=3, steal_searches=12, steal_time=0.1), processor(1, steals=1, steal_searches=4, steal_time=0.3)
    metrics = stats_of(*ps, seconds=2.0).metrics
    assert metrics["steal_frequency"] == 2.0
    assert metrics["steal_success_rate"] == 0.25
    assert metrics["steal_overhead"] == pytest.approx(0.1)


def test_a_difference_keeps_what_happened_between():
    steal = Steal("native", 0, 1, 1, 4, 17, 100)
    earlier = stats_of(processor(0, runs=10, steals=1, reasons={"sleep": 2, "select": 1}, victims={1: (1, 4)}), seconds=1.0, steals=(steal,))
    later_steal = steal._replace(number=2)
    later = stats_of(
        processor(0, runs=15, steals=2, reasons={"sleep": 5, "select": 1, "join": 1}, victims={1: (2, 9)}), seconds=3.5, steals=(steal, later_steal)
    )
    between = later - earlier
    assert between.processors[0].runs == 5
    assert between.processors[0].reasons == {"sleep": 3, "join": 1}
    assert between.processors[0].victims == {1: (1, 5)}
    assert between.recent_steals == [later_steal]
    assert between.seconds == 2.5


# --- latency


def test_wake_to_run_latency_is_measured_inside_the_block_only():
    def exchange():
        ch = gort.Chan()
        g = gort.go(lambda: [ch.send(i) for i in range(100)])
        for _ in range(100):
            ch.recv()
        g.join()

    assert during(exchange).latency.count >= 100

    def unmeasured():
        before = sched.stats()
        exchange()
        return (sched.stats() - before).latency.count

    assert gort.run(unmeasured) == 0


def test_the_environment_measures_latency_all_the_time():
    code = "import gort\ngort.run(lambda: [gort.go(int).join() for _ in range(9)])\nprint(gort.sched.stats().latency.count)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, env={**os.environ, "GORT_DEBUG": "latency=1", "PYTHONPATH": ":".join(sys.path)})
    assert done.stderr == "" and int(done.stdout) >= 2


def test_a_quantile_is_the_end_of_the_bucket_that_it_falls_into():
    histogram = Histogram((1, 0, 98, 1))
    assert histogram.count == 100
    assert histogram.quantile(0) == 2e-9
    assert histogram.quantile(0.5) == 8e-9
    assert histogram.quantile(0.99) == 8e-9
    assert histogram.quantile(1) == 16e-9
    assert Histogram((0, 0)).quantile(0.5) is None
    with pytest.raises(ValueError, match=r"^quantile: q must be from 0 to 1, got 1.5$"):
        histogram.quantile(1.5)
    assert repr(histogram) == "<Histogram of 100: half < 8 ns, 99 % < 8 ns>"
    assert repr(Histogram((0,))) == "<Histogram of nothing>"


def test_measured_stats_stand_still_after_the_block():
    def main():
        with sched.measure() as measured:
            gort.go(int).join()
            inside = measured.stats.totals["spawns"]
        gort.go(int).join()
        return inside, measured.stats.totals["spawns"]

    assert gort.run(main) == (1, 1)


# --- showing


def test_the_table_has_a_row_for_each_processor_and_names_the_metrics():
    stats = stats_of(processor(0, runs=7, steals=1, stolen=4, steal_searches=2, victims={1: (1, 4)}), processor(1))
    first, second, *rest = stats.text().splitlines()[1:]
    assert first.split() == ["native", "0", "7", "0", "0", "0", "0", "2", "1", "4", "P1:", "4"]
    assert second.startswith("native 1")
    assert [line.split()[0] for line in rest if line][:4] == list(stats.metrics)
    table = stats.table()
    assert table.row_count == 2 and "steal_success_rate  0.5" in table.caption


def test_html_has_the_metrics_and_every_processor():
    html = stats_of(processor(0, reasons={"<b>": 1}), processor(1))._repr_html_()
    assert "steal_success_rate" in html and html.count("<table>") == 3
    assert "<b>" not in html


def test_stats_are_json():
    data = json.loads(json.dumps(gort.run(sched.stats).to_dict()))
    assert set(data["metrics"]) == {"balance", "steal_frequency", "steal_success_rate", "steal_overhead"}
    assert data["processors"][0]["lane"] == "native"


def test_a_plot_has_four_parts():
    pytest.importorskip("matplotlib", reason="the extra gort[plot]")
    stats = stats_of(processor(0, runs=7, victims={1: (1, 4)}), processor(1, runs=2), processor(0, lane="python", reasons={"sleep": 3}))
    figure = stats._replace(latency=Histogram((0, 5, 0, 3))).plot()
    titles = [axes.get_title() for axes in figure.axes[:4]]
    assert titles[0].startswith("time slices per P (variation 0.56")
    assert titles[1:] == ["why they ended", "goroutines stolen", "from wake to run"]
    runs, causes, _, latency = figure.axes[:4]
    assert [bar.get_height() for bar in runs.patches] == [7, 2, 0]
    assert [bar.get_width() for bar in causes.patches] == [3]
    assert [bar.get_height() for bar in latency.patches] == [5, 0, 3]


def test_a_plot_without_matplotlib_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"^sched.Stats.plot needs matplotlib, which is not installed: pip install 'gort\[plot\]'$"):
        stats_of(processor(0)).plot()


def test_importing_sched_does_not_import_matplotlib():
    code = "import gort.sched, sys; print([m for m in sys.modules if m.split('.')[0] == 'matplotlib'])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50).stdout == "[]\n"
