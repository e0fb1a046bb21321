"""Every value is received once, and in its producer's order, however many take part and however they wait.

``pytest tests/python/test_exactly_once.py --values 10000000`` for the long run.
"""

from __future__ import annotations

import threading

import pytest

import gort

PRODUCERS, CONSUMERS, SELECTS = 10, 10, 4


@pytest.fixture
def values(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--values"))


def mixed(bodies):
    """Starts half of the bodies as goroutines and half as plain threads; returns what waits for all."""
    waits = []
    for n, body in enumerate(bodies):
        if n % 2:
            thread = threading.Thread(target=body)
            thread.start()
            waits.append(thread.join)
        else:
            waits.append(gort.go(body).join)

    def wait():
        for join in waits:
            join()

    return wait


@pytest.mark.parametrize("dtype", [None, "i64"])
@pytest.mark.parametrize("capacity", [0, 7])
def test_what_producers_send_to_consumers_and_selects(values, capacity, dtype):
    each = values // PRODUCERS
    channels = [gort.Chan(capacity, dtype=dtype) for _ in range(3)]
    got: list[list[tuple[int, int]]] = []   # of each consumer, in its order: (channel, value)

    def producer(number):
        def produce():
            open_channels = list(channels)
            for n in range(number * each, (number + 1) * each):
                while True:
                    try:
                        if number % 2:
                            open_channels[n % len(open_channels)].send(n)
                        else:
                            gort.select(*[gort.send(ch, n) for ch in open_channels])
                        break
                    except gort.PanicError:   # channels[2] is closed in the middle
                        open_channels = channels[:2]

        return produce

    def by_range(channel):
        def consume():
            mine = [(channel, value) for value in channels[channel]]
            got.append(mine)

        return consume

    def by_select():
        mine = []
        arms = list(channels)
        while any(arms):
            index, value, ok = gort.select(*arms)
            if ok:
                mine.append((index, value))
            else:
                arms[index] = None
        got.append(mine)

    def close_in_the_middle(all_sent):
        mine = []
        for _ in range(values // 100):
            index, value, _ok = gort.select(channels[2], all_sent)
            if index == 1:
                break
            mine.append((2, value))
        channels[2].close()
        got.append(mine)

    def main():
        consumed = mixed([by_range(n % 3) for n in range(CONSUMERS)] + [by_select] * SELECTS)
        all_sent = gort.Chan()
        closer = gort.go(close_in_the_middle, all_sent)
        mixed([producer(n) for n in range(PRODUCERS)])()
        all_sent.close()
        closer.join()
        for ch in channels[:2]:
            ch.close()
        consumed()

    gort.run(main)
    received = [value for mine in got for _, value in mine]
    assert len(received) == values
    assert sum(received) == values * (values - 1) // 2
    assert len(set(received)) == values
    for mine in got:   # what one consumer got of one producer over one channel is in order
        last: dict[tuple[int, int], int] = {}
        for channel, value in mine:
            key = (channel, value // each)
            assert last.get(key, -1) < value
            last[key] = value
