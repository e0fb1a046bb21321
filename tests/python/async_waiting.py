"""For the tests of asyncio tasks: to see that one waits, and the kinds of loops."""

from __future__ import annotations

import asyncio

import pytest

import gort

try:
    import uvloop
except ImportError:
    uvloop = None

NEW_LOOP = [
    pytest.param(asyncio.new_event_loop, id="asyncio"),
    pytest.param(
        uvloop.new_event_loop if uvloop else None, id="uvloop", marks=pytest.mark.skipif(uvloop is None, reason="uvloop is not installed")
    ),
]
"""For parametrize: what makes a loop of each kind."""


def goroutine_of(task):
    """The goroutine that waits for task; None while there is none that is parked."""
    found = [g for g in gort.runtime.goroutines() if g.name == f"await in {task.get_name()}" and g.status == "waiting"]
    return found[0] if found else None


async def until_waiting(task):
    """Lets the loop go on until task waits in an await of gort."""
    while goroutine_of(task) is None:
        assert not task.done(), "it ended instead of waiting"
        await asyncio.sleep(0)


async def waiting(coroutine):
    """A task of coroutine that waits in an await of gort."""
    task = asyncio.get_running_loop().create_task(coroutine)
    await until_waiting(task)
    return task
