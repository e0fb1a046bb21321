"""What go_native takes for the address of a C function and for its argument, as numbers."""

from __future__ import annotations

import sys
from typing import Any

_LARGEST = 2**64 - 1
_CALLBACK, _NEEDS_GIL = "CThunkObject", 4  # ctypes: a Python function behind a C face; PYFUNCTYPE and ctypes.pythonapi


def resolve(address: Any, arg: Any) -> tuple[int, int, object]:
    """The addresses of function and argument, and an object that keeps the argument's memory in place."""
    function = _function(address)
    argument, kept = _argument(arg)
    return function, argument, kept


def _checked(name: str, value: int, least: int) -> int:
    if least <= value <= _LARGEST:
        return value
    raise ValueError(f"go_native: {name} must be an address from {least} to {_LARGEST}, got {value!r}")


def _function(address: Any) -> int:
    if isinstance(address, int) and not isinstance(address, bool):
        return _checked("address", address, 1)
    if (ctypes := _ctypes_of(address)) is not None:
        if isinstance(address, ctypes._CFuncPtr):
            return _ctypes_function(ctypes, address)
        raise _no_function(address)
    if (number := _cffi_pointer(address)) is not None:
        return _checked("address", number, 1)
    number = getattr(address, "address", None)  # numba.cfunc
    if isinstance(number, int) and not isinstance(number, bool):
        return _checked("address", number, 1)
    raise _no_function(address)


def _no_function(address: object) -> TypeError:
    return TypeError(
        f"go_native: address must be an int, a ctypes function, a cffi pointer or have an int attribute address, got {type(address).__name__}"
    )


def _ctypes_function(ctypes: Any, function: Any) -> int:
    if function._flags_ & _NEEDS_GIL:
        raise ValueError(f"go_native: address must be a C function that needs no GIL, got {function!r} of Python's C API")
    if any(type(kept).__name__ == _CALLBACK for kept in (getattr(function, "_objects", None) or {}).values()):
        raise ValueError(f"go_native: address must be a C function, got {function!r}, which calls Python; use gort.go for that")
    return _checked("address", ctypes.cast(function, ctypes.c_void_p).value or 0, 1)


def _argument(arg: Any) -> tuple[int, object]:
    if arg is None:
        return 0, None
    if isinstance(arg, int) and not isinstance(arg, bool):
        return _checked("arg", arg, 0), None
    if (ctypes := _ctypes_of(arg)) is not None and isinstance(
        arg, (ctypes._Pointer, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_wchar_p, ctypes._CFuncPtr)
    ):
        return ctypes.cast(arg, ctypes.c_void_p).value or 0, None
    if (number := _cffi_pointer(arg)) is not None:
        return number, None
    return _buffer(arg)


def _buffer(arg: Any) -> tuple[int, object]:
    import ctypes

    try:
        view = memoryview(arg)
    except TypeError:
        raise TypeError(
            f"go_native: arg must be None, an int, a writable buffer, or a ctypes or cffi pointer, got {type(arg).__name__}"
        ) from None
    if view.readonly:
        raise TypeError(f"go_native: arg must be a writable buffer, got a read-only {type(arg).__name__}")
    if not view.c_contiguous:
        raise ValueError(f"go_native: arg must be a contiguous buffer, got {arg!r}")
    first = (ctypes.c_char * 0).from_buffer(view)  # while it lives the buffer stays where it is
    return ctypes.addressof(first), first


def _ctypes_of(value: object) -> Any:
    """The module ctypes if value is an object of it."""
    ctypes = sys.modules.get("ctypes")
    return ctypes if ctypes is not None and isinstance(value, ctypes._SimpleCData.__mro__[1]) else None


def _cffi_pointer(value: object) -> int | None:
    """The address in a cffi pointer or array; None for everything else."""
    backend: Any = sys.modules.get("_cffi_backend")
    if backend is None or not isinstance(value, backend._CDataBase):
        return None
    if backend.typeof(value).kind not in ("pointer", "function", "array"):
        raise TypeError(f"go_native: a cffi object must be a pointer, got {value!r}")
    return int(backend.cast(backend.new_primitive_type("uintptr_t"), value))
