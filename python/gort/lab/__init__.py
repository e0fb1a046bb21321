"""The historical and the deliberately wrong variants: to be measured, broken and looked at beside the real ones, not to build on.

``ReadDirtyMap`` is what ``gort.Map`` was in Go before 1.24. ``FreeList`` has the ABA problem, or not, as one wishes; ``double_owner`` finds it.
"""

from .free_list import FreeList, double_owner
from .read_dirty_map import ReadDirtyMap, ReadDirtyStats

__all__ = ["FreeList", "ReadDirtyMap", "ReadDirtyStats", "double_owner"]
