"""Go's sync/atomic: numbers and references that goroutines and threads change without a lock.

Every operation is one step that all others see in the same order (sequential consistency), on builds without the GIL too. None parks.

>>> from gort.atomic import Int64, Value
>>> total, latest = Int64(), Value()
>>> total.add(40), total.add(2), latest.load()
(40, 42, None)
"""

from ._gort import Bool, Int32, Int64, Pointer, Uint32, Uint64, Uintptr, Value

__all__ = ["Bool", "Int32", "Int64", "Pointer", "Uint32", "Uint64", "Uintptr", "Value"]
