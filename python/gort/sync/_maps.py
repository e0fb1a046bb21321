"""ShardedMap and OrderedMap: Map's methods over dicts with locks.

A shard is a lock, the chain (a tuple of nodes) of each hash, and all nodes in the order in which their keys came. Keys are ints and nodes, so that no code of
others runs under the lock: hashes are taken before, keys and values compared afterwards, on the chain as it was. A change gives its hash a new chain, and
is made only if the chain is still the one that was looked at; else everything is looked at again. Invariants, whenever the lock is free:

- A node is in ``nodes`` and in the chain of its hash, or it is gone for good and in neither.
- No chain is empty, and none holds two equal keys.
- Nothing about a chain's nodes changes while it is its hash's chain: not even their values.

What is replaced or taken out is held by its caller until the lock is free, so destructors run without it.

Rejected: a dict of the keys themselves under the lock, where ``__eq__`` that uses the map would wait for itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable, Generic, TypeVar

from .. import _gort
from .._checks import whole
from .._final import Final
from .._gort import Mutex
from ..errors import PanicError

K = TypeVar("K")
V = TypeVar("V")
MOST_SHARDS = 65_536


class Node:
    """A key and its value."""

    __slots__ = ("gone", "key", "value")

    def __init__(self, key: Any, value: Any) -> None:
        self.key, self.value, self.gone = key, value, False


Chain = tuple[Node, ...]
EMPTY: Chain = ()


class Shard:
    """The nodes of some hashes."""

    __slots__ = ("chains", "lock", "nodes")

    def __init__(self) -> None:
        self.lock = Mutex()
        self.chains: dict[int, Chain] = {}
        self.nodes: dict[Node, None] = {}

    def chain(self, hash_: int) -> Chain:
        with self.lock:
            return self.chains.get(hash_, EMPTY)

    def insert(self, hash_: int, chain: Chain, node: Node) -> bool:
        """Add a node if the chain is still that one."""
        longer = (*chain, node)
        with self.lock:
            if self.chains.get(hash_, EMPTY) is not chain:
                return False
            self.chains[hash_] = longer
            self.nodes[node] = None
            return True

    def set(self, hash_: int, chain: Chain, node: Node, value: Any) -> bool:
        """Set the value of one of its nodes if the chain is still that one. The caller holds the value before."""
        other = tuple([*chain])
        with self.lock:
            if self.chains.get(hash_, EMPTY) is not chain:
                return False
            self.chains[hash_] = other
            node.value = value
            return True

    def remove(self, hash_: int, chain: Chain, node: Node) -> bool:
        """Take one of its nodes out if the chain is still that one."""
        shorter = tuple([other for other in chain if other is not node])
        with self.lock:
            if self.chains.get(hash_, EMPTY) is not chain:
                return False
            if shorter:
                self.chains[hash_] = shorter
            else:
                del self.chains[hash_]
            del self.nodes[node]
            node.gone = True
            return True

    def clear(self) -> None:
        with self.lock:
            chains, nodes = self.chains, self.nodes
            self.chains, self.nodes = {}, {}
            for node in nodes:
                node.gone = True
        del chains, nodes  # destructors run without the lock

    def snapshot(self) -> list[Node]:
        with self.lock:
            return [*self.nodes]


def hash_of(k: object) -> int:
    if type(k).__hash__ is None:
        raise PanicError(f"runtime error: hash of unhashable type {type(k).__name__}")
    return hash(k)


def equal(a: object, b: object) -> bool:
    """As Map compares values."""
    if type(a) is type(b) and type(a).__hash__ is None:
        raise PanicError(f"runtime error: comparing uncomparable type {type(a).__name__}")
    return bool(a == b)


class Methods(Generic[K, V]):
    """Map's methods over shards: what each does is said there."""

    __slots__ = ()
    _shards: list[Shard]   # as many as a power of two

    def _look(self, k: K) -> tuple[Shard, int, Chain, Node | None]:
        h = hash_of(k)
        shard = self._shards[(h ^ h >> 16) & len(self._shards) - 1]
        chain = shard.chain(h)
        for node in chain:
            if node.key is k or node.key == k:
                return shard, h, chain, node
        return shard, h, chain, None

    def load(self, k: K, /) -> tuple[V | None, bool]:
        """The value of k: (value, True), or (None, False) if k is not there."""
        node = self._look(k)[3]
        return (None, False) if node is None else (node.value, True)

    def store(self, k: K, v: V, /) -> None:
        """Set the value of k to v. A key that is there keeps its place."""
        self.swap(k, v)

    def swap(self, k: K, v: V, /) -> tuple[V | None, bool]:
        """Set the value of k to v, and return the one before in one step: (old, True), or (None, False) if there was none."""
        while True:
            shard, h, chain, node = self._look(k)
            if node is None:
                if shard.insert(h, chain, Node(k, v)):
                    return None, False
            else:
                old = node.value
                if shard.set(h, chain, node, v):
                    return old, True

    def load_or_store(self, k: K, v: V, /) -> tuple[V, bool]:
        """The value of k if it is there: (value, True); else set it to v: (v, False). In one step: one of those who store wins."""
        while True:
            shard, h, chain, node = self._look(k)
            if node is not None:
                return node.value, True
            if shard.insert(h, chain, Node(k, v)):
                return v, False

    def load_and_delete(self, k: K, /) -> tuple[V | None, bool]:
        """Take k out: (value, True), or (None, False) if it is not there. In one step: one of those who delete gets it."""
        while True:
            shard, h, chain, node = self._look(k)
            if node is None:
                return None, False
            value = node.value
            if shard.remove(h, chain, node):
                return value, True

    def delete(self, k: K, /) -> None:
        """Take k out, if it is there."""
        self.load_and_delete(k)

    def _if_equal(self, k: K, old: object, change: Callable[[Shard, int, Chain, Node], bool]) -> bool:
        while True:
            shard, h, chain, node = self._look(k)
            if node is None:
                return False
            value = node.value
            if not equal(value, old):
                return False
            if change(shard, h, chain, node):
                return True

    def compare_and_swap(self, k: K, old: object, new: V, /) -> bool:
        """Set the value of k to new if it equals old (`==`), in one step; tell whether it did. False if k is not there, whatever old is.

        PanicError if the value and old are of one type that has no hash. What `==` raises is raised. The value stays then.
        """
        return self._if_equal(k, old, lambda shard, h, chain, node: shard.set(h, chain, node, new))

    def compare_and_delete(self, k: K, old: object, /) -> bool:
        """Take k out if its value equals old, in one step; tell whether it did. Otherwise as compare_and_swap."""
        return self._if_equal(k, old, Shard.remove)

    def clear(self) -> None:
        """Take everything out, one shard after the other."""
        for shard in self._shards:
            shard.clear()

    def range(self) -> Iterator[tuple[K, V]]:
        """An iterator over (key, value) pairs. No key comes twice; one that is there all the time comes, one that comes or goes meanwhile may; its value is one
        that it had meanwhile. Everything may be done to the map meanwhile, by anybody; the iterator itself is for one goroutine.
        """
        for shard in self._shards:
            for node in shard.snapshot():
                if not node.gone:
                    yield node.key, node.value


class ShardedMap(Final, Methods[K, V]):
    """A map of several dicts, each with a lock of its own, so that those who use different keys seldom meet. Map's methods; each may park, for others' few steps.

    Map is faster and takes no locks; this is the design that many programs have, to compare with and to measure.

    >>> from gort.sync import ShardedMap
    >>> ages = ShardedMap(shards=8)
    >>> ages.store("gopher", 15)
    >>> ages.load("gopher"), ages.load("python"), ages.shards
    ((15, True), (None, False), 8)

    ``shards``: how many at least, rounded up to a power of two; None: four times gomaxprocs. ValueError if it is below 1 or above 65,536.
    """

    __slots__ = ("_shards",)

    def __init__(self, shards: int | None = None) -> None:
        n = 4 * _gort.gomaxprocs() if shards is None else whole("ShardedMap", "shards", shards, 1, MOST_SHARDS)
        self._shards = [Shard() for _ in range(1 << (n - 1).bit_length())]

    @property
    def shards(self) -> int:
        """How many dicts there are."""
        return len(self._shards)

    def __repr__(self) -> str:
        return f"<ShardedMap of {self.shards}>"


class OrderedMap(Final, Methods[K, V]):
    """A map that remembers the order in which its keys came, as a dict does: range goes in that order. Map's methods; each may park, for others' few steps.

    A key whose value is set anew keeps its place; one that was deleted and comes again comes last. There is one lock: whoever needs no order wants Map.

    >>> from gort.sync import OrderedMap
    >>> stops = OrderedMap()
    >>> for name, minutes in (("Ulm", 0), ("Augsburg", 45), ("Munich", 80)):
    ...     stops.store(name, minutes)
    >>> stops.store("Ulm", 5)
    >>> list(stops.range())
    [('Ulm', 5), ('Augsburg', 45), ('Munich', 80)]
    """

    __slots__ = ("_shards",)

    def __init__(self) -> None:
        self._shards = [Shard()]

    def __repr__(self) -> str:
        return "<OrderedMap>"
