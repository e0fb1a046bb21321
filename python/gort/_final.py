"""What gort's classes that are written in Python have in common with those of the extension module."""

from __future__ import annotations

from typing import Any, NoReturn


class Final:
    """Base class of what has an identity: it cannot be copied, pickled or derived from; weak references are fine."""

    __slots__ = ("__weakref__",)

    def __init_subclass__(cls) -> None:
        if cls.__mro__[1] is not Final:
            raise TypeError(f"type 'gort.{cls.__mro__[1].__name__}' is not an acceptable base type")

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"cannot pickle or copy gort.{type(self).__name__} objects")
