from __future__ import annotations

from typing import Any, Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from gort import Map

Play = Callable[..., Any]
ARGUMENTS = {"load": 1, "load_and_delete": 1, "delete": 1, "store": 2, "load_or_store": 2, "swap": 2, "compare_and_delete": 2,
             "compare_and_swap": 3, "clear": 0}  # fmt: skip


class Ours:
    def __call__(self, operation: str, *arguments: Any) -> Any:
        if operation == "new":
            self.map, said = Map[Any, Any](), None
        else:
            said = getattr(self.map, operation)(*arguments)
        return [list(said) if isinstance(said, tuple) else said, sorted(f"{k}={text(v)}" for k, v in self.map.range())]


def text(v: Any) -> str:
    """As Go prints it."""
    return "<nil>" if v is None else f"[{' '.join(map(text, v))}]" if isinstance(v, list) else str(v)


def theirs(results: list[Any]) -> list[Any]:
    """Go's name for the type of a list is another one."""
    return [{"panic": said["panic"].replace("[]interface {}", "list")} if isinstance(said, dict) else said for said in results]


# No booleans: True == 1 in Python. No numbers that are equal to others of another type.
KEYS = st.sampled_from([0, 1, 2, -1, -2, "", "a", "b", 1 << 40])
VALUES = st.sampled_from([0, 1, "", "a", None, [1, "a"]])


def step(operation: str) -> st.SearchStrategy[list[Any]]:
    arguments = [KEYS, VALUES, VALUES][: ARGUMENTS[operation]]
    return st.tuples(st.just(operation), *arguments).map(list)


@given(steps=st.lists(st.sampled_from(list(ARGUMENTS)).flatmap(step), max_size=150))
@settings(max_examples=50)
def test_a_map_does_and_panics_as_gos_does(steps: list[list[Any]], oracle: Play, ours: Play) -> None:
    steps = [["new"], *steps]
    assert ours(Ours(), steps) == theirs(oracle("map", steps))


def test_uncomparable_values_panic_as_gos_do(oracle: Play, ours: Play) -> None:
    steps = [["new"], ["store", "k", [1]], ["compare_and_swap", "k", [1], 2], ["compare_and_delete", "k", [1]], ["compare_and_swap", "k", 1, 2],
             ["compare_and_swap", "x", [1], 2], ["compare_and_swap", "k", None, 2]]  # fmt: skip
    mine = ours(Ours(), steps)
    assert mine == theirs(oracle("map", steps))
    assert mine[2] == {"panic": "runtime error: comparing uncomparable type list"}


def test_keys_without_a_hash_panic_as_gos_do(oracle: Play, ours: Play) -> None:
    steps = [["new"], ["store", "k", 1]] + [[operation, [1], 2, 3][: n + 1] for operation, n in ARGUMENTS.items() if n]
    assert ours(Ours(), steps) == theirs(oracle("map", steps))
