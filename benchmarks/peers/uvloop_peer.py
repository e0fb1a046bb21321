"""The subject "uvloop": asyncio's cases in uvloop's event loop."""

from __future__ import annotations

import uvloop

from benchmarks.peers.asyncio_peer import serve_in

if __name__ == "__main__":
    serve_in(uvloop.new_event_loop, without="sleep_late", lacking="uvloop sleeps for whole milliseconds, and has no managed heap")
