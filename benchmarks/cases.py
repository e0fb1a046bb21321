"""The cases: what work each one does, in which unit it is reported, and how often it is repeated.

This is the only place that says so; every subject (Go, C++, Python) implements these sentences, and gets the number of
repetitions on its command line. A subject does a tenth of the repetitions once before it takes the time, except in
cases that are not ``warmed``, which start from a fresh process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Unit = Literal["ns", "s", "fraction", "B"]
Pace = Literal["compiled", "gort", "greenlet", "gevent", "asyncio", "threads"]


@dataclass(frozen=True)
class Repetitions:
    """How many operations each kind of subject does at scale 1, chosen so that a run takes a few tenths of a second.

    A kind of subject left at 1 lacks the case and answers so when asked.
    """

    compiled: int = 1
    gort: int = 1
    greenlet: int = 1
    gevent: int = 1
    asyncio: int = 1
    threads: int = 1

    def at(self, pace: Pace) -> int:
        """The number of operations for subjects of this pace."""
        return int(getattr(self, pace))


@dataclass(frozen=True)
class Case:
    """One measurement. ``extras`` names further figures of the same run, with their units."""

    name: str
    work: str
    unit: Unit
    repetitions: Repetitions
    higher_is_better: bool = False
    warmed: bool = True
    extras: dict[str, Unit] = field(default_factory=dict)


CASES: tuple[Case, ...] = (
    Case(
        "yield",
        "Two goroutines yield half of the repetitions each; time per yield.",
        "ns",
        Repetitions(compiled=3_000_000, gort=2_000_000, greenlet=1_000_000, gevent=200_000, asyncio=200_000, threads=6_000),
    ),
    Case(
        "spawn_wait",
        "Start a goroutine that only calls done() of a wait group, wait for the group, and again; time per goroutine.",
        "ns",
        Repetitions(compiled=800_000, gort=600_000, greenlet=30_000, gevent=60_000, asyncio=60_000, threads=4_000),
    ),
    Case(
        "spawn_batch",
        "Start 1000 goroutines that only call done() of a wait group, wait for the group, and again; time per goroutine.",
        "ns",
        Repetitions(compiled=1_500_000, gort=800_000, greenlet=30_000, gevent=60_000, asyncio=80_000, threads=4_000),
    ),
    Case(
        "round_trip",
        "One goroutine sends an integer over an unbuffered channel to another, which sends it back over a second one; time per round trip.",
        "ns",
        Repetitions(compiled=1_000_000, gort=1_000_000, greenlet=600_000, gevent=40_000, asyncio=40_000, threads=5_000),
    ),
    Case(
        "buffered",
        "One goroutine sends integers over a channel of capacity 128, another receives them; time per integer.",
        "ns",
        Repetitions(compiled=8_000_000, gort=4_000_000, gevent=300_000, asyncio=500_000, threads=150_000),
    ),
    Case(
        "select2",
        "Two goroutines send half of the repetitions each over an unbuffered channel of their own, "
        "a third receives all with a two-way select; time per integer.",
        "ns",
        Repetitions(compiled=1_500_000, gort=1_000_000, asyncio=40_000),
    ),
    Case(
        "select10",
        "Ten goroutines send a tenth of the repetitions each over an unbuffered channel of their own, an eleventh receives all with a "
        "ten-way select; time per integer.",
        "ns",
        Repetitions(compiled=800_000, gort=500_000),
    ),
    Case(
        "select_default",
        "One goroutine looks at an empty unbuffered channel with a select that has a default; time per look.",
        "ns",
        Repetitions(compiled=20_000_000, gort=3_000_000),
    ),
    Case(
        "chan_contended",
        "Four goroutines share a channel of capacity 400; each sends 100 integers, receives 100, and again; time per integer.",
        "ns",
        Repetitions(compiled=8_000_000, gort=2_000_000, gevent=300_000, asyncio=500_000, threads=150_000),
    ),
    Case(
        "mutex",
        "One goroutine locks and unlocks a mutex nobody else uses; time per lock and unlock.",
        "ns",
        Repetitions(compiled=20_000_000, gort=4_000_000, gevent=2_000_000, asyncio=2_000_000, threads=4_000_000),
    ),
    Case(
        "mutex_contended",
        "Four goroutines lock the same mutex, add one to a counter and unlock it, a quarter of the repetitions each; time per "
        "lock and unlock.",
        "ns",
        Repetitions(compiled=10_000_000, gort=2_000_000, gevent=1_000_000, asyncio=1_000_000, threads=2_000_000),
    ),
    Case(
        "mutex_handoff",
        "As mutex_contended, but the holder yields once before it unlocks, so that the lock always has waiters; time per lock and unlock.",
        "ns",
        Repetitions(compiled=1_000_000, gort=500_000, gevent=60_000, asyncio=60_000, threads=3_000),
    ),
    Case(
        "rwmutex_read",
        "Four goroutines lock a RWMutex and unlock it, a quarter of the repetitions each, every hundredth time to write and else to "
        "read; time per lock and unlock.",
        "ns",
        Repetitions(compiled=10_000_000, gort=2_000_000),
    ),
    Case(
        "wait_group",
        "One goroutine adds one to a wait group and takes it away; time per pair.",
        "ns",
        Repetitions(compiled=20_000_000, gort=3_000_000),
    ),
    Case(
        "pool",
        "Four goroutines get an object of 64 bytes from a pool, or make one if there is none, and put it back, a quarter of the "
        "repetitions each; time per pair.",
        "ns",
        Repetitions(compiled=10_000_000, gort=2_000_000),
    ),
    Case(
        "map_load",
        "Four goroutines load random ones of 1024 keys of a concurrent map, a quarter of the repetitions each; time per load.",
        "ns",
        Repetitions(compiled=8_000_000, gort=2_000_000),
    ),
    Case(
        "map_mixed",
        "As map_load, but every tenth time the key's value is stored; time per operation.",
        "ns",
        Repetitions(compiled=8_000_000, gort=2_000_000),
    ),
    Case(
        "context_cancel",
        "One goroutine makes a cancellable child of a context that can be cancelled, and cancels it; time per child.",
        "ns",
        Repetitions(compiled=2_000_000, gort=500_000),
    ),
    Case(
        "timer_stop",
        "One goroutine makes a timer with a channel, due in an hour, and stops it; time per timer.",
        "ns",
        Repetitions(compiled=3_000_000, gort=500_000),
    ),
    Case(
        "sleepers",
        "Start goroutines that sleep for 100 ms and end, and wait for all; processor time per goroutine.",
        "ns",
        Repetitions(compiled=100_000, gort=10_000, gevent=10_000, asyncio=10_000, threads=2_000),
        warmed=False,
    ),
    Case(
        "skynet",
        "A tree of goroutines, ten children each, down to a power of ten of leaves; each leaf sends its number to its parent over an "
        "unbuffered channel and each parent the sum; time per leaf.",
        "ns",
        Repetitions(compiled=1_000_000, gort=100_000, asyncio=10_000),
    ),
    Case(
        "ring",
        "1000 goroutines in a ring pass one integer on over unbuffered channels; time per pass.",
        "ns",
        Repetitions(compiled=1_000_000, gort=500_000, gevent=50_000, asyncio=50_000),
    ),
    Case(
        "sleep_late",
        "A goroutine sleeps for 200 us again and again and nothing else runs; how much later than asked it goes on.",
        "ns",
        Repetitions(compiled=500, gort=500, gevent=500, asyncio=500, threads=500),
    ),
    Case(
        "sleep_late_hogs",
        "As sleep_late, beside two goroutines that compute all the time and make no call.",
        "ns",
        Repetitions(compiled=20, gort=20, threads=20),
    ),
    Case(
        "stop_world",
        "One goroutine stops the world each millisecond, beside 1000 goroutines that yield; 99th percentile of the time until "
        "everybody stands. In Python it collects the managed heap, which begins with such a stop.",
        "ns",
        Repetitions(compiled=300, gort=300),
    ),
    Case(
        "stop_world_hogs",
        "As stop_world, beside two goroutines that compute all the time and make no call.",
        "ns",
        Repetitions(compiled=300, gort=300),
    ),
    Case(
        "parked",
        "Start goroutines that receive from one channel, wait until all are parked, close it and wait until all have ended; "
        "time per goroutine, and resident memory per goroutine while all are parked.",
        "ns",
        Repetitions(compiled=100_000, gort=10_000, greenlet=10_000, gevent=10_000, asyncio=10_000, threads=2_000),
        extras={"bytes_each": "B"},
        warmed=False,
    ),
    Case(
        "blocked_progress",
        "Two goroutines count and yield while a third sits in time.sleep(0.5); their rate as a fraction of the rate "
        "while it waits cooperatively. One repetition is one such pause of each kind.",
        "fraction",
        Repetitions(gort=2, greenlet=2, gevent=2, asyncio=2, threads=2),
        higher_is_better=True,
        warmed=False,
    ),
    Case(
        "native_pair",
        "Two calls of a C function that only computes, started from Python and waited for, beside a call alone; the joint speed of the two "
        "as a multiple of one's. A repetition is one step of the computation.",
        "fraction",
        Repetitions(gort=200_000_000, threads=200_000_000),
        higher_is_better=True,
        warmed=False,
    ),
    Case(
        "bintrees",
        "Binary trees on the managed heap: a stretch tree of depth 17 and a tree of depth 16 that lives on, then for each depth "
        "d = 4, 6, .. 16 build and count 2^(20 - d) trees, all in one goroutine; time for the whole.",
        "s",
        Repetitions(compiled=1),
        warmed=False,
    ),
)


def by_name(name: str) -> Case:
    """The case called ``name``; ValueError if there is none."""
    for case in CASES:
        if case.name == name:
            return case
    raise ValueError(f"no case {name!r}; there are {', '.join(case.name for case in CASES)}")
