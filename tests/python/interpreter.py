"""What kind of CPython runs the tests."""

from __future__ import annotations

import sys
import sysconfig

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
"""A free-threaded build, with the GIL or without."""

WITHOUT_GIL = FREE_THREADED and not sys._is_gil_enabled()
