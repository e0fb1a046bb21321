"""Go's sync: locks and other ways for goroutines and threads to wait for one another.

>>> from gort import sync
>>> greeting = sync.once_value(lambda: "hello")
>>> greeting(), greeting()
('hello', 'hello')
"""

from .._future import Future
from .._gort import (
    Cond,
    LockFreeQueue,
    Map,
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
from ._check import LockFault, LockFaultWarning, LockName, LockStack, check, faulthook
from ._group import Group, GroupPair
from ._maps import OrderedMap, ShardedMap
from ._once import once_func, once_value, once_values
from ._rate import Limiter, Reservation, Sometimes, every
from ._semaphore import Semaphore
from ._single_flight import FlightResult, SingleFlight

__all__ = [
    "Cond", "FlightResult", "Future", "Group", "GroupPair", "Limiter", "LockFault", "LockFaultWarning", "LockFreeQueue", "LockName", "LockStack",
    "Map", "Mutex", "MutexState", "Once", "OrderedMap", "Pool", "RLocker", "RWMutex", "RWMutexState", "Reservation", "Semaphore", "ShardedMap",
    "SingleFlight", "Sometimes", "SpinLock", "WaitGroup", "check", "every", "faulthook", "once_func", "once_value", "once_values",
]  # fmt: skip
