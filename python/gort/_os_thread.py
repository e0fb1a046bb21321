"""lock_os_thread, which is a call and a context manager."""

from __future__ import annotations

from . import _gort


class _Locked:
    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        _gort.unlock_os_thread()


_LOCKED = _Locked()


def lock_os_thread() -> _Locked:
    """Tie this goroutine to the OS thread it runs on, until as many ``unlock_os_thread()`` or the end of a ``with``.

    It goes on there only, also after it parked, and nobody else runs there; a plain thread stops lending itself. For what knows
    threads by their id: ``threading.RLock``, sqlite3 connections, GUI toolkits, thread-local state of C libraries. Each of its
    waits costs two switches of OS threads. A goroutine that ends locked takes its thread with it. PanicError when nested 2**32 deep.

    >>> with lock_os_thread():
    ...     sleep(0)
    """
    _gort._lock_os_thread()
    return _LOCKED
