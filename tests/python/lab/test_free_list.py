"""FreeList: the ABA problem, shown and solved."""

from __future__ import annotations

import doctest
import threading

import pytest

import gort
from gort.lab import FreeList, double_owner, free_list


def test_examples():
    assert doctest.testmod(free_list).failed == 0


def test_the_schedule_of_the_textbook():
    """One stands between the look and the exchange; meanwhile A and B are taken, and A comes back."""
    for versioned in (False, True):
        steps = iter([True])
        free = FreeList(3, versioned=versioned, pause=lambda: next(steps, False) and meanwhile())
        mine = []

        def meanwhile(free=free, mine=mine):
            mine.extend([free.take(), free.take()])
            free.give(mine.pop(0))

        first = free.take()
        second = free.take()
        assert first == 0 and mine == [1]
        assert second == (2 if versioned else 1), "1 has an owner"


def test_a_seed_shows_it_again_and_versions_make_it_go_away():
    seed = double_owner(versioned=False)
    assert seed is not None
    assert double_owner(versioned=False, seeds=[seed]) == seed
    assert double_owner(versioned=True, seeds=[seed]) is None
    assert double_owner(versioned=True, seeds=range(1, 300)) is None


def test_threads_never_own_the_same_slot():
    free, owners = FreeList(4, pause=lambda: None), [0] * 4
    wrong = []

    def work():
        for _ in range(500):
            slot = free.take()
            if slot is None:
                continue
            owners[slot] += 1
            if owners[slot] != 1:
                wrong.append(slot)
            owners[slot] -= 1
            free.give(slot)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    gort.run(work)
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sorted(free.take() for _ in range(4)) == [0, 1, 2, 3] and free.take() is None


def test_sizes():
    assert FreeList(0).take() is None
    assert repr(FreeList(1)) == "<FreeList of 1, first 0, version 0>"
    with pytest.raises(ValueError, match="^FreeList: slots must be at least 0, got -1"):
        FreeList(-1)
    with pytest.raises(ValueError, match="^give: slot must be from 0 to 0, got 1"):
        FreeList(1).give(1)
    free = FreeList(1)
    free.take()
    assert repr(free) == "<FreeList of 1, first none, version 1>"
