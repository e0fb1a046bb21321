"""Go's os/signal: OS signals as values in channels.

>>> import os, signal
>>> import gort
>>> def main():
...     hangups = gort.Chan(1)
...     gort.signal.notify(hangups, signal.SIGHUP)
...     os.kill(os.getpid(), signal.SIGHUP)
...     return hangups.recv()
>>> gort.run(main)
<Signals.SIGHUP: 1>

A signal is delivered whatever the main thread does: parked, computing, or blocked in a call that lets go of the GIL. The functions may be called
from any goroutine and any thread. None of them parks.

**Beside Python's own handlers.** A function installed with ``signal.signal`` before is called as well, on the main thread as always. The
default action does not happen any more (SIGTERM no longer ends the process). SIGINT is Go's too: while a channel is notified of it, Ctrl-C does
not raise KeyboardInterrupt, unless the program has a handler of its own. A handler installed with ``signal.signal`` afterwards takes the signal
over; call notify again to have both.

**In a run.** What goroutines of a ``gort.run`` asked for with notify ends with the run. ``ignore`` holds until ``reset``.

**Deadlock.** As in Go none is reported while any channel is notified: a signal may come at any time.

**fork.** In the child no channel is notified and nothing is ignored.
"""

from __future__ import annotations

import signal as _signal

from . import _gort

TYPE_CHECKING = False  # typing.TYPE_CHECKING, without the time to import typing
if TYPE_CHECKING:
    from typing import Any

    from ._gort import Chan

__all__ = ["dump_on", "ignore", "notify", "reset", "stop"]


def notify(ch: Chan[Any], *signals: int) -> None:
    """Deliver signals to ch from now on, besides those it gets already; without signals, all that can be delivered.

    The values are members of signal.Signals (plain ints for real-time signals without a name). They are sent without waiting: a signal
    for which ch has no room is dropped, so a capacity of 1 is enough for who wants to know of one signal, and one that comes several times
    before it is delivered may come once. A closed channel is reported to sys.unraisablehook and gets no more.

    Raises TypeError if ch is no channel that ints can be sent to, ValueError for a signal that cannot be delivered (SIGKILL, SIGSTOP, SIGURG,
    those of faults), PanicError for a nil channel.
    """
    _gort._signal_notify(ch, _set("notify", signals))


def stop(ch: Chan[Any]) -> None:
    """Deliver no more signals to ch. Signals that came before are delivered first; when stop returns ch gets nothing more.

    What a signal did before notify it does again when no channel is left that wants it. The channel is not closed.
    """
    _gort._signal_stop(ch)


def ignore(*signals: int) -> None:
    """Make the process ignore signals, and let no channel have them any more; without signals, all that can be delivered.

    Python's own handlers do not run either. signal.getsignal does not know of it. ValueError as for notify.
    """
    _gort._signal_ignore(_set("ignore", signals))


def reset(*signals: int) -> None:
    """Undo notify and ignore (and dump_on) for signals; without signals, for all. ValueError as for notify."""
    _gort._signal_reset(_set("reset", signals))


def dump_on(*signals: int, exit: bool = True) -> None:
    """Print every goroutine to stderr when one of the signals comes, as Go does for SIGQUIT; without signals, for SIGQUIT.

    Then the process ends with status 2, like Go's, without anything being flushed or unwound; exit=False: it goes on. The text is made with
    the GIL held, so not while foreign code sits on it; a goroutine that computes is no hindrance. Goroutines that run are shown where they are.
    A handler of the program's own is called as well. GORT_DEBUG=sigquit=1 in the environment calls dump_on(). ValueError as for notify.
    """
    if not isinstance(exit, bool):
        raise TypeError(f"dump_on: exit must be a bool, got {exit!r}")
    _gort._signal_dump_on(_set("dump_on", signals or (_signal.SIGQUIT,)), exit)


def _set(function: str, signals: tuple[int, ...]) -> int:
    """The signals as bits; all that can be delivered for none."""
    if not signals:
        return sum(1 << n - 1 for n in _signal.valid_signals() if _gort._signal_can_be_taken(n))
    for n in signals:
        if not isinstance(n, int):
            raise TypeError(f"{function}: signals must be ints or members of signal.Signals, got {n!r}")
        if not _gort._signal_can_be_taken(n):
            raise ValueError(f"{function}: signals must be such as can be delivered to a channel, got {n!r}")
    return sum(1 << n - 1 for n in set(signals))
