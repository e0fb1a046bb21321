"""The main job of gort: count the identifiers of a tree of Python files, through every layer of the runtime. See ``gort demo --help``."""
