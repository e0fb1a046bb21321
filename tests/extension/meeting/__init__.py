"""An extension package of somebody else: native goroutines that meet, hop and talk over typed channels."""

import gort  # noqa: F401  first: brings libgort.so, which the module below needs

from ._meeting import Meeting, batch, hop_time, relay, reverse, start_batch

__all__ = ["Meeting", "batch", "hop_time", "relay", "reverse", "start_batch"]
