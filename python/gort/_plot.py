"""Plots with matplotlib, which is imported when one is drawn and not before: it is an extra."""

from __future__ import annotations

from typing import Any


def figure(who: str, **options: Any) -> Any:
    """An empty Figure, attached to no window; ImportError that says what to install. ``who``: the function that was called."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(f"{who} needs matplotlib, which is not installed: pip install 'gort[plot]'") from error
    return Figure(**options)
