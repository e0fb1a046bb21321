"""The drawing that context.tree() returns."""

from __future__ import annotations

import html
import time
from typing import Any


class Tree(str):
    """A context and what would be cancelled with it: a drawing as text, for rich and for notebooks, and as data.

    It is what was there when it was made. Nothing of it is refreshed, and it keeps no context alive (but the values do what they hold).
    """

    kind: str
    """How it was made, from the context above in the drawing down to this one: "WithValue.WithCancel"."""
    err: Exception | None
    """Its err()."""
    deadline: float | None
    """When it will be cancelled, on time.monotonic(), if that is a deadline of its own."""
    values: tuple[tuple[Any, Any], ...]
    """The keys and values that the context at the top sees, the nearest first; () below the top."""
    children: tuple[Tree, ...]
    """What is cancelled with it, the oldest first, down to 50 levels below the top."""

    _line: str

    def __new__(cls, branch: tuple[Any, ...], values: tuple[tuple[Any, Any], ...] = (), now: float | None = None) -> Tree:
        kind, err, deadline, below = branch
        now = time.monotonic() if now is None else now
        children = tuple(cls(b, (), now) for b in below)
        line = kind
        if deadline is not None:
            line += f" [{deadline - now:.3g}s]"
        if err is not None:
            line += f" ({err})"
        lines = [line]
        for child in children:
            first, *rest = child.split("\n")
            last = child is children[-1]
            lines.append(("└── " if last else "├── ") + first)
            lines.extend(("    " if last else "│   ") + more for more in rest)
        self = super().__new__(cls, "\n".join(lines))
        self.kind, self.err, self.deadline, self.values, self.children, self._line = kind, err, deadline, values, children, line
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)  # a copy is the text alone

    def __rich__(self) -> Any:
        from rich.text import Text
        from rich.tree import Tree as RichTree

        def label(tree: Tree) -> Text:
            text = Text(tree._line, style="red" if tree.err is not None else "green")
            for key, value in tree.values:
                text.append(f"\n{key!r}: {value!r}", style="dim")
            return text

        def grow(tree: Tree, on: Any) -> Any:
            for child in tree.children:
                grow(child, on.add(label(child)))
            return on

        return grow(self, RichTree(label(self)))

    def _repr_html_(self) -> str:
        colour = "#b00020" if self.err is not None else "#1b7f3b"
        parts = [f'<span style="color:{colour}">{html.escape(self._line)}</span>']
        if self.values:
            rows = "".join(f"<tr><td>{html.escape(repr(k))}</td><td>{html.escape(repr(v))}</td></tr>" for k, v in self.values)
            parts.append(f"<table>{rows}</table>")
        if self.children:
            parts.append("<ul>" + "".join(f"<li>{child._repr_html_()}</li>" for child in self.children) + "</ul>")
        return "".join(parts)
