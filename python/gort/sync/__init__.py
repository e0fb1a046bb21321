"""Go's sync: locks and other ways for goroutines and threads to wait for one another.

>>> from gort import sync
>>> greeting = sync.once_value(lambda: "hello")
>>> greeting(), greeting()
('hello', 'hello')
"""

from .._gort import (
    Cond,
    LockFreeQueue,
    Mutex,
    MutexState,
    Once,
    Pool,
    RLocker,
    RWMutex,
    RWMutexState,
    SpinLock,
    WaitGroup,
)
from ._once import once_func, once_value, once_values

__all__ = [
    "Cond", "LockFreeQueue", "Mutex", "MutexState", "Once", "Pool", "RLocker", "RWMutex", "RWMutexState", "SpinLock", "WaitGroup",
    "once_func", "once_value", "once_values",
]  # fmt: skip
