from __future__ import annotations

from typing import Any, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gort

CHANNELS = 4  # besides the nil one


class Ours:
    """Channels of i64, so that a closed one gives 0 as Go's does."""

    def __init__(self) -> None:
        self.channels = [gort.nil_chan]

    def __call__(self, operation: str, *arguments: Any) -> Any:
        return getattr(self, operation)(*arguments)

    def make(self, capacity: int) -> None:
        self.channels.append(gort.Chan(capacity, dtype="i64"))

    def send(self, channel: int, value: int) -> bool:
        return self.channels[channel].try_send(value)

    def receive(self, channel: int) -> Any:
        got = self.channels[channel].try_recv()
        return got and list(got)

    def close(self, channel: int) -> None:
        self.channels[channel].close()

    def len(self, channel: int) -> int:
        return len(self.channels[channel])

    def cap(self, channel: int) -> int:
        return self.channels[channel].cap

    def range(self, channel: int) -> list[int]:
        return list(self.channels[channel])

    def select(self, *arms: Any) -> Any:
        cases = [gort.send(self.channels[a[1]], a[2]) if a[0] == "send" else gort.recv(self.channels[a[1]]) for a in arms]
        chosen = gort.select(*cases, default=True)
        return [chosen.index, chosen.value, chosen.ok] if chosen.index >= 0 and arms[chosen.index][0] == "receive" else chosen.index


channels = st.integers(0, CHANNELS)
values = st.integers(-(2**63), 2**63 - 1)
operations = st.one_of(
    st.tuples(st.just("send"), channels, values),
    st.tuples(st.just("receive"), channels),
    st.tuples(st.just("close"), channels),
    st.tuples(st.sampled_from(["len", "cap"]), channels),
    st.tuples(st.just("select"), st.tuples(st.just("send"), channels, values) | st.tuples(st.just("receive"), channels)),
)


@pytest.mark.go("test/chan/nonblock.go")
@settings(max_examples=60)
@given(st.lists(st.integers(0, 3), min_size=CHANNELS, max_size=CHANNELS), st.lists(operations, max_size=60))
def test_without_waiting_every_operation_says_what_go_says(oracle: Callable[..., Any], ours: Callable[..., Any], capacities, operations) -> None:
    steps = [["make", capacity] for capacity in capacities] + [list(operation) for operation in operations]
    assert ours(Ours(), steps) == oracle("chans", steps)


@pytest.mark.go("test/chan/doubleselect.go")
def test_of_several_arms_the_one_that_is_ready_happens(oracle: Callable[..., Any], ours: Callable[..., Any]) -> None:
    steps: list[Any] = [["make", capacity] for capacity in (1, 1, 0, 2)]
    for ready in (1, 2, 4):
        steps += [["send", ready, 7], ["select", ["receive", 0], ["receive", 1], ["send", 3, 5], ["receive", 2], ["receive", 4], ["receive", 3]]]
    steps += [["select", ["receive", 0], ["send", 0, 1]], ["select"]]
    steps += [["close", 3], ["select", ["receive", 0], ["receive", 3]], ["close", 1], ["send", 1, 1], ["select", ["send", 1, 1]]]
    assert ours(Ours(), steps) == oracle("chans", steps)


@pytest.mark.go("runtime/chan_test.go TestChan")
@pytest.mark.parametrize("capacity", [1, 2, 5, 100])
def test_what_is_buffered_comes_out_in_order_after_close(oracle: Callable[..., Any], ours: Callable[..., Any], capacity: int) -> None:
    steps: list[Any] = [["make", capacity]] + [["send", 1, n] for n in range(capacity + 1)] + [["len", 1], ["close", 1], ["close", 1], ["range", 1]]
    steps += [["receive", 1], ["len", 1], ["cap", 1], ["range", 1]]
    assert ours(Ours(), steps) == oracle("chans", steps)
