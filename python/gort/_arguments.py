"""Kinds of arguments that several commands take."""

from __future__ import annotations

import argparse
import math
from typing import Any


def positive(kind: Any, what: str) -> Any:
    """For ``type=``: a finite number above 0. ``what`` names it in the message for one that is not."""

    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be {what}, got {text!r}") from None
        if not value > 0 or not math.isfinite(value):
            raise argparse.ArgumentTypeError(f"must be {what} above 0, got {text!r}")
        return value

    return convert
