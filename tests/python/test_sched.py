"""gort.sched and gort.runtime: the scheduler as data."""

import json
import re
import subprocess
import sys
import threading

import gort
import pytest
from gort import runtime, sched


def in_a_run(body):
    return gort.run(body)


def until_waiting(*goroutines):
    for g in goroutines:
        while g.status != "waiting":
            gort.gosched()


def test_state_shows_both_lanes_and_their_processors():
    state = in_a_run(sched.state)
    assert [lane.name for lane in state.lanes] == ["native", "python"]
    native, python = state.lanes
    assert native.processors == gort.gomaxprocs()
    assert len([p for p in state.processors if p.lane == "native"]) == native.processors
    assert python.processors >= 1
    assert re.fullmatch(r"<State \d+ G, \d+ M, \d+ P, 2 lanes>", repr(state))


def test_state_shows_who_has_the_processor():
    state = in_a_run(sched.state)
    machine = next(m for m in state.machines if m.goroutine == 1)
    held = [p for p in state.processors if p.machine == machine.id]
    assert [(p.lane, p.id, p.status) for p in held] == [("python", machine.processor, "running")]


def test_state_shows_the_caller_running_and_the_others_waiting():
    def main():
        ch = gort.Chan()
        g = gort.go(ch.recv)
        g.name = "the receiver"
        until_waiting(g)
        state = sched.state()
        ch.close()
        g.join()
        return state, g.id

    state, waiting = in_a_run(main)
    rows = {row.id: row for row in state.goroutines}
    assert rows[1].status == "running" and rows[1].thread and rows[1].lane == "python"
    assert rows[waiting].status == "waiting"
    assert rows[waiting].wait_reason == "chan receive"
    assert rows[waiting].waiting_on != 0
    assert rows[waiting].name == "the receiver"
    assert rows[waiting].parent_id == 1
    machine = [m for m in state.machines if m.goroutine == 1]
    assert len(machine) == 1 and machine[0].plain_thread


def test_state_is_plain_data():
    state = in_a_run(sched.state)
    data = json.loads(json.dumps(state.to_dict()))
    assert set(data) == {"goroutines", "machines", "processors", "lanes", "deadlock"}
    assert data["lanes"][0]["name"] == "native"
    html = state._repr_html_()
    assert html.count("<table>") == 4 and "<script" not in html


def test_html_escapes_names():
    def main():
        g = gort.go(gort.Chan().recv)
        g.name = "<script>"
        until_waiting(g)
        return sched.state()._repr_html_()

    assert "<script>" not in in_a_run(main)


def test_stats_count_what_happens():
    def body():
        gort.gosched()
        gort.sleep(0.0001)

    def main():
        before = sched.stats()
        for g in [gort.go(body) for _ in range(100)]:
            g.join()
        while (sched.stats() - before).totals["ends"] < 100:  # the last one may have lost its slice between waking us and its end
            gort.gosched()
        return sched.stats() - before

    stats = in_a_run(main)
    assert stats.totals["spawns"] == 100
    assert stats.totals["ends"] == 100
    assert stats.totals["yields"] >= 100
    assert stats.totals["parks"] >= 1
    assert json.loads(json.dumps(stats.to_dict()))["totals"]["spawns"] == 100
    assert repr(stats).startswith("<Stats spawns=100 ")


def test_stacks_show_how_deep_goroutines_went():
    program = """if True:   # its own process: the mark is the deepest that any goroutine of the process went
        import gort
        from gort import sched

        def python_stacks():
            return {row.lane: row for row in sched.stacks()}["python"]

        def nested(levels):
            if levels:
                list(map(nested, [levels - 1]))
            else:
                print(python_stacks().high_water)

        for levels in 0, 50:
            gort.run(lambda: gort.go(nested, levels).join())
        row = python_stacks()
        print(row.stack_size, row.reserved, row.own, row.resident)
    """
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True).stdout
    shallow, deep, size, reserved, own, resident = map(int, shown.split())
    assert 0 < shallow < deep < size
    assert reserved % 64 == 0 and own == 0 and resident < reserved * size


def test_schedtrace_is_gos_line():
    native, python = in_a_run(sched.schedtrace).splitlines()
    pattern = (
        r"SCHED \d+ms: gomaxprocs=\d+ idleprocs=\d+ threads=\d+ spinningthreads=\d+ needspinning=\d idlethreads=\d+ runqueue=\d+ "
        r"\[ (\d+ )+\] schedticks=\[ (\d+ )+\]"
    )
    assert re.fullmatch(pattern, native)
    assert re.fullmatch(pattern + " lane=python", python)


def test_goroutines_lists_every_python_goroutine():
    def main():
        ch = gort.Chan()
        gs = [gort.go(ch.recv) for _ in range(5)]
        until_waiting(*gs)
        found = runtime.goroutines()
        ch.close()
        return gs, found

    gs, found = in_a_run(main)
    assert set(gs) < set(found)
    assert all(isinstance(g, gort.Goroutine) for g in found)


def test_stack_is_gos_traceback():
    def main():
        ch = gort.Chan()
        until_waiting(gort.go(ch.recv))
        return runtime.stack(), runtime.stack(all=True)

    mine, everyone = in_a_run(main)
    assert mine.startswith("goroutine 1 [running") and "test_stack_is_gos_traceback" in mine
    assert "chan receive" not in mine
    assert "goroutine 1 [running" in everyone and "[chan receive]:" in everyone and "created by" in everyone


def test_a_plain_thread_is_counted_as_a_thread_while_it_uses_gort():
    assert runtime.num_threads() >= 1
    seen = []
    t = threading.Thread(target=lambda: (gort.current(), seen.append(runtime.num_threads())))
    t.start()
    t.join()
    assert seen[0] >= 1


def test_version():
    assert runtime.version() == f"gort{gort.__version__}"


def test_stats_only_subtract_stats():
    with pytest.raises(TypeError):
        sched.stats() - 1
