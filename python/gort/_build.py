"""Where the package keeps what other programs read: headers for compilers, commands for gdb."""

from __future__ import annotations

import os.path  # pathlib takes longer to import than all of gort

from . import _gort


def _folder(name: str) -> str:
    # Beside the extension module: in an editable install that is another folder than the Python files'.
    folder = os.path.join(os.path.dirname(os.path.abspath(_gort.__file__)), name)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"gort was installed without {folder}; install it with pip")
    return folder


def get_include() -> str:
    """The folder of the C and C++ headers, for ``-I``: ``#include "gort/python/c_api.h"``.

    ``FileNotFoundError`` if gort was not installed by pip but put together by hand without them.
    """
    return _folder("include")


def get_cmake_dir() -> str:
    """The folder for CMake's ``gort_DIR``, so that ``find_package(gort CONFIG)`` finds this package.

    ``python -m gort --cmakedir`` prints it. ``FileNotFoundError`` as for ``get_include``.
    """
    return _folder("cmake")


def get_gdb_script() -> str:
    """The file to ``source`` in gdb; what it does stands at its top. ``gort --gdb`` prints it."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "_outside", "gdb_commands.py")
