"""The C function of the case native_pair, for subjects that call C from Python."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from time import perf_counter_ns

from benchmarks.build import build_library
from benchmarks.protocol import Answer

Join = Callable[[], object]
Start = Callable[[Callable[[object], None], object], Join]  # starts function(argument) somewhere, returns what waits for it


class _Spin(ctypes.Structure):
    _fields_ = [("rounds", ctypes.c_int64), ("value", ctypes.c_uint64)]


def native_pair(start: Start) -> Callable[[int], Answer]:
    """The joint speed of two calls that ``start`` starts together, as a multiple of the speed of one."""

    def measure(n: int) -> Answer:
        function = ctypes.CDLL(str(build_library("spin.c"))).spin

        def together(count: int) -> int:
            work = [_Spin(n, i) for i in range(count)]
            references = [ctypes.pointer(w) for w in work]
            began = perf_counter_ns()
            for join in [start(function, reference) for reference in references]:
                join()
            return perf_counter_ns() - began

        alone, both, again = together(1), together(2), together(1)
        return Answer((alone + again) / both, "fraction")

    return measure
