"""Waiting for others to come to rest: script.Rest of the Go programs in tests/go_oracle, on our side."""

from __future__ import annotations

import gort


def rest() -> None:
    """Let others run until every other goroutine of the run waits for something."""
    me = gort.current()
    while any(g is not me and g.status not in ("waiting", "dead") for g in gort.runtime.goroutines()):
        gort.gosched()
