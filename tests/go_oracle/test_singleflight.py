from __future__ import annotations

from typing import Any, Callable

from hypothesis import given, settings
from hypothesis import strategies as st

import gort
from gort import Chan, SingleFlight
from resting import rest


class Failed(Exception):
    pass


def play(*steps: list[Any]) -> list[Any]:
    flight, ends, states, said = SingleFlight(), list[Any](), list[Any](), list[Any]()

    def fn() -> int:
        end: Chan[str] = Chan(1)
        ends.append(end)
        number = len(ends)
        if text := end.recv():
            raise Failed(text)
        return number

    def by_do(i: int, key: str) -> None:
        try:
            states[i] = list(flight.do(key, fn))
        except Failed as error:
            states[i] = str(error)

    def by_channel(i: int, channel: Any) -> None:
        value, error, shared = channel.recv()
        states[i] = [value, shared] if error is None else str(error)

    for operation, argument, *text in steps:
        if operation == "end":
            if argument < len(ends) and ends[argument] is not None:
                ends[argument].send(*text)
                ends[argument] = None
        elif operation == "forget":
            flight.forget(argument)
        else:
            states.append("waits")
            if operation == "do":
                gort.go(by_do, len(states) - 1, argument)
            else:
                gort.go(by_channel, len(states) - 1, flight.do_chan(argument, fn))
        rest()
        said.append([len(ends), *states])
    for end in ends:
        if end is not None:
            end.send("")
    rest()
    return said


def do(_: str, *steps: list[Any]) -> Any:
    return gort.run(play, *steps)


KEYS = st.sampled_from(["a", "b"])
STEPS = st.one_of(
    st.tuples(st.sampled_from(["do", "do_chan", "do", "do_chan", "forget"]), KEYS),
    st.tuples(st.just("end"), st.integers(0, 4), st.sampled_from(["", "broken"])),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(STEPS, max_size=15).map(lambda steps: ["play", *steps]), max_size=15))
def test_who_calls_and_who_shares_is_as_in_go(oracle: Callable[..., Any], ours: Callable[..., Any], steps: list[Any]) -> None:
    assert ours(do, steps) == oracle("x/singleflight", steps)
