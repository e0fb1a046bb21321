"""Channels and select against a model of them: small programs of goroutines, run under many seeds.

The model knows every interleaving: a state is where each goroutine stands, what the buffers hold and what was said so far; a step is one operation, or the
two that meet on an unbuffered channel. What a run says must be the end of one of its paths. The model lets go of orders that gort keeps (first come,
first served among those that wait), so it allows a little more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gort


class Send(NamedTuple):
    channel: int
    value: int


class Recv(NamedTuple):
    channel: int


class Close(NamedTuple):
    channel: int


class Select(NamedTuple):
    arms: tuple[Send | Recv, ...]
    default: bool


Operation = Send | Recv | Close | Select
Program = tuple[tuple[Operation, ...], ...]     # of each goroutine
Said = tuple[tuple[Any, ...], ...]              # by each goroutine: the results of what it has done


class State(NamedTuple):
    buffers: tuple[tuple[int, ...], ...]
    closed: tuple[bool, ...]
    said: Said      # as many results as a goroutine has operations behind it


PANIC = "send on closed channel"


def arms_of(operation: Operation) -> tuple[Send | Recv, ...]:
    return operation.arms if isinstance(operation, Select) else (operation,) if isinstance(operation, (Send, Recv)) else ()


def result(operation: Operation, arm: int, value: object) -> object:
    """What an operation says when its arm has happened: a receive its pair, a send None, a panic its text."""
    return (arm, value) if isinstance(operation, Select) else value


def with_result(state: State, goroutine: int, said: object) -> State:
    return state._replace(said=(*state.said[:goroutine], (*state.said[goroutine], said), *state.said[goroutine + 1 :]))


def with_buffer(state: State, channel: int, buffer: tuple[int, ...]) -> State:
    return state._replace(buffers=(*state.buffers[:channel], buffer, *state.buffers[channel + 1 :]))


def steps(program: Program, capacities: tuple[int, ...], state: State) -> Iterator[State]:
    """Every state that one step leads to."""
    now = {g: operations[len(state.said[g])] for g, operations in enumerate(program) if len(state.said[g]) < len(operations)}
    for g, operation in now.items():
        if isinstance(operation, Close):
            if state.closed[operation.channel]:
                yield with_result(state, g, "close of closed channel")
            else:
                closed = (*state.closed[: operation.channel], True, *state.closed[operation.channel + 1 :])
                yield with_result(state, g, None)._replace(closed=closed)
            continue
        alone = False
        for index, arm in enumerate(arms_of(operation)):
            for after in alone_steps(capacities, state, g, operation, index, arm):
                alone = True
                yield after
            for other, others in now.items():
                if isinstance(arm, Send) and other != g:
                    yield from meetings(capacities, state, g, operation, index, arm, other, others)
        if isinstance(operation, Select) and operation.default and not alone:
            yield with_result(state, g, (-1, None))   # whoever could meet it may not be there yet


def alone_steps(capacities: tuple[int, ...], state: State, g: int, operation: Operation, index: int, arm: Send | Recv) -> Iterator[State]:
    """What an arm can do without anybody else at this moment."""
    channel, buffer = arm.channel, state.buffers[arm.channel]
    if isinstance(arm, Recv):
        if buffer:
            yield with_result(with_buffer(state, channel, buffer[1:]), g, result(operation, index, (buffer[0], True)))
        elif state.closed[channel]:
            yield with_result(state, g, result(operation, index, (None, False)))
    elif state.closed[channel]:
        yield with_result(state, g, PANIC)
    elif len(buffer) < capacities[channel]:
        yield with_result(with_buffer(state, channel, (*buffer, arm.value)), g, result(operation, index, None))


def meetings(
    capacities: tuple[int, ...], state: State, g: int, operation: Operation, index: int, arm: Send, other: int, others: Operation
) -> Iterator[State]:
    """A send of g's with a receive of the other's, on an unbuffered channel."""
    if capacities[arm.channel] or state.closed[arm.channel]:
        return
    for theirs, receive in enumerate(arms_of(others)):
        if receive == Recv(arm.channel):
            met = with_result(state, g, result(operation, index, None))
            yield with_result(met, other, result(others, theirs, (arm.value, True)))


def all_ends(program: Program, capacities: tuple[int, ...]) -> set[Said]:
    start = State(((),) * len(capacities), (False,) * len(capacities), ((),) * len(program))
    ends, seen, to_do = set(), {start}, [start]
    while to_do:
        state = to_do.pop()
        after = set(steps(program, capacities, state))
        if not after:
            ends.add(state.said)
        to_do += after - seen
        seen |= after
    return ends


def play(program: Program, capacities: tuple[int, ...], seed: int) -> Said:
    """What gort's goroutines say; those that wait for ever are ended as Deadlock."""
    channels = [gort.Chan(capacity) for capacity in capacities]
    said: list[list[Any]] = [[] for _ in program]

    def do(operation: Operation) -> object:
        try:
            if isinstance(operation, Send):
                return channels[operation.channel].send(operation.value)
            if isinstance(operation, Recv):
                return channels[operation.channel].recv_ok()
            if isinstance(operation, Close):
                return channels[operation.channel].close()
            cases = [gort.send(channels[a.channel], a.value) if isinstance(a, Send) else channels[a.channel] for a in operation.arms]
            chosen = gort.select(*cases, default=operation.default)
        except gort.PanicError as error:
            return str(error)
        receives = chosen.index >= 0 and isinstance(operation.arms[chosen.index], Recv)
        return (chosen.index, (chosen.value, chosen.ok) if receives else None)

    def follow(goroutine: int) -> None:
        for operation in program[goroutine]:
            said[goroutine].append(do(operation))

    def main() -> None:
        done = gort.WaitGroup()
        for goroutine in range(len(program)):
            done.go(follow, goroutine)
        done.wait()

    try:
        gort.run(main, seed=seed)
    except gort.Deadlock:
        pass
    return tuple(tuple(s) for s in said)


channels = st.integers(0, 1)
values = st.integers(0, 9)
sends, receives = st.builds(Send, channels, values), st.builds(Recv, channels)
selects = st.builds(Select, st.lists(sends | receives, min_size=1, max_size=3).map(tuple), st.booleans())
operations = sends | receives | selects | st.builds(Close, channels)
programs = st.lists(st.lists(operations, max_size=3).map(tuple), min_size=2, max_size=3).map(tuple)


@settings(max_examples=150)
@given(programs, st.tuples(st.integers(0, 2), st.integers(0, 2)))
def test_what_goroutines_say_is_an_end_of_the_model(program, capacities):
    ends = all_ends(program, capacities)
    for seed in range(1, 9):
        assert play(program, capacities, seed) in ends, f"seed {seed}"


@pytest.mark.parametrize(
    ("program", "capacities"),
    [
        (((Send(0, 1),), (Send(0, 2),), (Recv(0), Recv(0))), (0,)),
        (((Send(0, 1),), (Send(1, 2),), (Select((Recv(0), Recv(1)), False), Select((Recv(0), Recv(1)), True))), (0, 0)),
        (((Select((Send(0, 1), Recv(1)), False),), (Select((Recv(0), Send(1, 2)), False),)), (0, 0)),
        (((Send(0, 1), Send(0, 2)), (Close(0),), (Recv(0), Recv(0))), (1,)),
        (((Select((Recv(0), Recv(0)), True),), (Send(0, 1),), (Close(0),)), (0,)),
    ],
    ids=["two senders", "a select of two senders", "two selects that can meet twice", "a close among sends", "a default among others"],
)
def test_seeds_come_to_every_end_of_the_model(program, capacities):
    left = all_ends(program, capacities)
    for seed in range(1, 10_001):
        left.discard(play(program, capacities, seed))
        if not left:
            return
    assert not left
