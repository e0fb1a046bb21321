"""A picture of another process's scheduler. Rows have the names and meanings of ``gort.sched``."""

from __future__ import annotations

import struct
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .memory import Ended, Refused, Unreadable
from .objects import Objects

VERSION = 1  # of the records (layout.h)
_MAGIC = b"gortmap\n"
_TRIES = 3  # for what changes while it is read
_MOST = 1 << 26  # goroutines; more is a torn read


class Goroutine(NamedTuple):
    """As ``sched.GoroutineState``, except: ``waiting_for`` is None if not known, ``machine`` runs it now, ``created_by`` as in a traceback."""

    id: int
    lane: str
    status: str
    wait_reason: str
    waiting_on: int
    waiting_for: Optional[float]
    held_by: Optional[int]
    parent_id: int
    name: Optional[str]
    created_at: Optional[str]
    created_by: str
    stack: str
    switches: Dict[str, int]
    system: bool
    thread: bool
    machine: Optional[int]
    address: int


class Machine(NamedTuple):
    id: int
    lane: str
    os_thread: int  # the kernel's number of the thread
    processor: Optional[int]
    goroutine: Optional[int]
    plain_thread: bool
    idle: bool
    address: int


class Processor(NamedTuple):
    """As ``sched.ProcessorState``, with counts since the process began (``sched.ProcessorStats``)."""

    id: int
    lane: str
    status: str
    machine: Optional[int]
    queue: int
    next: bool
    timers: int
    tick: int
    spawns: int
    ends: int
    steals: int
    switches: Dict[str, int]


class Lane(NamedTuple):
    name: str
    processors: int
    idle_processors: int
    machines: int
    idle_machines: int
    spinning_machines: int
    global_queue: int
    goroutines: int


class Snapshot(NamedTuple):
    gort: str
    python: Optional[str]  # None: C++ alone
    python_stacks: bool  # whether stacks can be read from that interpreter
    time: float  # time.monotonic()
    goroutines: List[Goroutine]
    machines: List[Machine]
    processors: List[Processor]
    lanes: List[Lane]

    def without_system(self) -> "Snapshot":
        """Without the runtime's own goroutines."""
        return self._replace(goroutines=[g for g in self.goroutines if not g.system])

    def to_dict(self) -> Dict[str, Any]:
        def rows(part: List[Any]) -> List[Dict[str, Any]]:
            return [{name: value for name, value in row._asdict().items() if name != "address"} for row in part]

        return {
            name: rows(part) if isinstance(part, list) else part for name, part in self._asdict().items() if name != "time"
        }


def layout(memory: Any, address: int) -> Optional[Dict[str, Any]]:
    """The record at an address as a dict, with the library's version as ``"library"``; None if it has not been written yet. ``Refused`` if
    another version of gort wrote it."""
    magic, version, count, library = struct.unpack("<8sII16s", memory.read(address, 32))
    if magic != _MAGIC:
        return None
    theirs = library.rstrip(b"\0").decode("ascii", "replace")
    if version != VERSION:
        raise Refused("it uses gort %s, whose layout %d this gort does not know (it knows %d): use that gort's own commands" % (theirs, version, VERSION))
    fields: Dict[str, Any] = {"library": theirs}
    for name, value in struct.iter_unpack("<24sQ", memory.read(address + 32, 32 * min(count, 1024))):
        fields[name.rstrip(b"\0").decode("ascii", "replace")] = value
    return fields


class _Shape:
    """The fields of one kind of structure that are shown, taken out of its bytes in one go."""

    def __init__(self, layout: Dict[str, Any], kind: str, fields: Dict[str, str], reasons: int, count: str) -> None:
        self.size = layout[kind + ".size"]
        if reasons:
            fields = dict(fields, parks="%d%s" % (reasons, count), **{field: count for _, field in _OTHER_CAUSES})
        places = sorted((layout["%s.%s" % (kind, name)], name, code) for name, code in fields.items())
        text, end, index, at = "<", 0, 0, {}
        for offset, name, code in places:
            text += "%dx%s" % (offset - end, code)
            end = offset + struct.calcsize("<" + code)
            at[name] = index
            index += reasons if name == "parks" else 1
        self.at = at
        self.unpack = struct.Struct(text).unpack_from


_OTHER_CAUSES = (
    ("yield", "yields"), ("preempt_handoff", "preempt_handoff"), ("preempt_call", "preempt_call"),
    ("preempt_signal", "preempt_signal"), ("foreign_call", "foreign_calls"),
)  # fmt: skip


class _Record:
    """One structure as it was read, and its fields by name."""

    def __init__(self, memory: Any, shape: _Shape, address: int) -> None:
        self.address, self._at = address, shape.at
        self._values = shape.unpack(memory.read(address, shape.size))

    def __getitem__(self, field: str) -> int:
        return self._values[self._at[field]]

    def counts(self, reasons: List[str]) -> Dict[str, int]:
        """Why time slices ended: every cause that has happened."""
        at = self._at["parks"]
        found = {reason: n for reason, n in zip(reasons, self._values[at : at + len(reasons)]) if n}
        for name, field in _OTHER_CAUSES:
            n = self[field]
            if n:
                found[name] = n
        return found


class Reader:
    """Takes pictures of one process. ``memory`` has ``read`` and ``symbols`` as ``memory.Process``.

    ``Refused`` if the process uses no gort, or another version.
    """

    def __init__(self, memory: Any) -> None:
        self.memory = memory
        record = self._record("libgort", "gort_layout")
        if record is None:
            raise Refused("its gort has not been used yet, or is older than this command")
        self.layout = record
        self._python = self._record("_gort.", "gort_python_layout")
        texts = Objects(memory, self._python or {})

        def table(name: str) -> List[str]:
            count = min(record[name + ".count"], 256)
            pointers = struct.unpack("<%dQ" % count, memory.read(record[name], 8 * count))
            return [texts.c_text(pointer) for pointer in pointers]

        try:
            self._reasons, self._statuses = table("wait_reasons"), table("statuses")
        except Unreadable:
            raise Refused("its memory cannot be read") from None
        reasons = len(self._reasons)
        self._p = _Shape(record, "p", {
            "id": "I", "owner": "Q", "tick": "Q", "syscall": "I", "queue.head": "I", "queue.tail": "I", "queue.next": "Q", "timers": "Q",
            "spawns": "Q", "ends": "Q", "steals": "Q",
        }, reasons, "Q")  # fmt: skip
        self._m = _Shape(record, "m", {"id": "i", "lane": "Q", "own": "Q", "os_id": "i", "running": "Q", "idle": "?"}, 0, "")
        self._g = _Shape(record, "g", {
            "id": "Q", "status": "B", "wait_word": "Q", "wait_reason": "B", "waiting_on": "Q", "wait_since": "Q", "parent_id": "Q", "system": "?",
            "home": "Q", "lane": "Q", "own_machine": "Q", "lane_data": "Q",
        }, reasons, "I")  # fmt: skip

    def _record(self, library: str, symbol: str) -> Optional[Dict[str, Any]]:
        for address in self.memory.symbols(library, symbol):
            try:
                record = layout(self.memory, address)
            except Unreadable:
                continue
            if record is not None:
                return record
        return None

    def snapshot(self, stacks: bool = False) -> Snapshot:
        """What is there now. ``stacks``: with the Python stack of each goroutine. ``Ended`` once the process has."""
        now = time.monotonic()
        self._objects = Objects(self.memory, self._python) if self._python else None
        lanes = self._lanes()
        processors, owners = self._processors(lanes)
        machines, running = self._machines(lanes, owners)
        goroutines = []
        for address in self._list(self.layout["runtime"] + self.layout["runtime.goroutines"]):
            try:
                row = self._goroutine(address, lanes, running, stacks, now)
            except Unreadable:
                continue
            if row is not None:
                goroutines.append(row)
        goroutines.sort(key=lambda row: row.id)
        lane_rows = [self._lane(lane, name, machines, goroutines) for lane, name in lanes.items()]
        version = self._python and self._python["python.version"]
        python = "%d.%d.%d" % (version >> 24, version >> 16 & 255, version >> 8 & 255) if version else None
        return Snapshot(
            self.layout["library"], python, bool(self._objects and self._objects.has_stacks), now, goroutines, machines, processors, lane_rows
        )

    # --- the parts

    def _pointer(self, address: int) -> int:
        return int.from_bytes(self.memory.read(address, 8), "little")

    def _word(self, lane: int, field: str, size: int = 4) -> int:
        return int.from_bytes(self.memory.read(lane + self.layout[field], size), "little", signed=size == 4)

    def _list(self, vector: int) -> List[int]:
        """The pointers in a vector, each once. Its memory moves when it grows: until it has stood still for once, at most some times."""
        pointers: Tuple[int, ...] = ()
        for _ in range(10 * _TRIES):
            try:
                span = self.memory.read(vector, 16)
                first, end = struct.unpack("<QQ", span)
                if not 0 <= end - first <= 8 * _MOST or (end - first) % 8:
                    continue
                pointers = struct.unpack("<%dQ" % ((end - first) // 8), self.memory.read(first, end - first) if end > first else b"")
                if self.memory.read(vector, 16) == span:
                    break
            except Unreadable:
                continue
        return list(dict.fromkeys(pointers))

    def _lanes(self) -> Dict[int, str]:
        runtime, texts = self.layout["runtime"], Objects(self.memory, {})
        addresses = [runtime + self.layout["runtime.native"], self._pointer(runtime + self.layout["runtime.python"])]
        return {lane: texts.c_text(self._pointer(lane + self.layout["lane.name"])) for lane in addresses if lane}

    def _processors(self, lanes: Dict[int, str]) -> Tuple[List[Processor], Dict[int, int]]:
        """The rows, and by machine's address which P it has."""
        rows, owners = [], {}
        for lane, name in lanes.items():
            count = min(self._word(lane, "lane.active", 8), self.layout["max_processors"])
            table = self.memory.read(lane + self.layout["lane.processors"], 8 * count)
            for (address,) in struct.iter_unpack("<Q", table):
                try:
                    p = _Record(self.memory, self._p, address)
                except Unreadable:
                    continue
                owner, number = p["owner"], p["id"]
                if owner:
                    owners[owner] = number
                head, tail = p["queue.head"], p["queue.tail"]
                rows.append(
                    Processor(
                        number, name, "idle" if not owner else "syscall" if p["syscall"] & 1 else "running", self._machine_id(owner),
                        min((tail - head) & 0xFFFFFFFF, 256), p["queue.next"] != 0, p["timers"], p["tick"],
                        p["spawns"], p["ends"], p["steals"], p.counts(self._reasons),
                    )
                )  # fmt: skip
        return rows, owners

    def _machine_id(self, machine: int) -> Optional[int]:
        try:
            return self._word(machine, "m.id") if machine else None
        except Unreadable:
            return None

    def _machines(self, lanes: Dict[int, str], owners: Dict[int, int]) -> Tuple[List[Machine], Dict[int, int]]:
        """The rows, and by goroutine's address which machine runs it."""
        rows: List[Machine] = []
        running: Dict[int, int] = {}
        for lane, name in lanes.items():
            for address in self._list(lane + self.layout["lane.machines"]):
                try:
                    m = _Record(self.memory, self._m, address)
                    goroutine = m["running"]
                    number = self._pointer(goroutine + self.layout["g.id"]) if goroutine else None
                except Unreadable:
                    continue
                if m["lane"] != lane:
                    continue
                if goroutine:
                    running[goroutine] = m["id"]
                rows.append(
                    Machine(
                        m["id"], name, m["os_id"], owners.get(address), number, m["own"] != 0, m["idle"],
                        address,
                    )
                )  # fmt: skip
        return rows, running

    def _lane(self, lane: int, name: str, machines: List[Machine], goroutines: List[Goroutine]) -> Lane:
        return Lane(
            name, self._word(lane, "lane.active", 8), self._word(lane, "lane.idle_processors"),
            sum(m.lane == name for m in machines), self._word(lane, "lane.idle_machines"), self._word(lane, "lane.spinning"),
            self._word(lane, "lane.queue"), sum(g.lane == name for g in goroutines),
        )  # fmt: skip

    def _goroutine(self, address: int, lanes: Dict[int, str], running: Dict[int, int], stacks: bool, now: float) -> Optional[Goroutine]:
        """One row; None if there is no goroutine (any more)."""
        row = None
        for _ in range(_TRIES):
            g = _Record(self.memory, self._g, address)
            status = self._status(g)
            if g["home"] not in lanes or g["lane"] not in lanes or status in ("idle", "dead", "???"):
                return None
            row = self._row(g, status, lanes, running, now)
            if not self._objects or not g["lane_data"]:
                return row
            with_python = self._python_part(g, row, stacks)
            again = _Record(self.memory, self._g, address)
            if again["id"] != row.id:
                continue
            if again["wait_word"] == g["wait_word"] or status == "running":
                return with_python
            row = with_python._replace(stack="", held_by=None)  # of two waits, perhaps
        return row

    def _status(self, g: _Record) -> str:
        status = g["status"]
        return self._statuses[status] if status < len(self._statuses) else "???"

    def _row(self, g: _Record, status: str, lanes: Dict[int, str], running: Dict[int, int], now: float) -> Goroutine:
        waiting = status == "waiting"
        reason, since = g["wait_reason"], g["wait_since"]
        return Goroutine(
            g["id"], lanes[g["lane"]], status,
            self._reasons[reason] if waiting and reason < len(self._reasons) else "",
            g["waiting_on"] if waiting else 0,
            max(now - since / 1e9, 0.0) if waiting and since else None if waiting else 0.0,
            None, g["parent_id"], None, None, "", "", g.counts(self._reasons),
            g["system"], g["own_machine"] != 0, running.get(g.address) if not waiting else None, g.address,
        )  # fmt: skip

    def _python_part(self, g: _Record, row: Goroutine, stacks: bool) -> Goroutine:
        assert self._python is not None and self._objects is not None
        record, objects = self._python, self._objects
        try:
            frame = g["lane_data"]
            lock = {"sync.Mutex.Lock": "mutex", "sync.RWMutex.Lock": "rwmutex", "sync.RWMutex.RLock": "rwmutex"}.get(row.wait_reason)
            if lock and f"{lock}.holder" in record:
                row = row._replace(held_by=self._pointer(row.waiting_on + record[f"{lock}.holder"]) or None)
            if stacks and objects.has_stacks:
                row = row._replace(stack=objects.stack(self._pointer(frame + record["frame.state"])))
            goroutine = self._pointer(frame + record["frame.object"])
            if not goroutine:
                return row
            fields = self.memory.read(goroutine, record["goroutine.size"])
        except Unreadable:
            return row

        def word(field: str) -> int:
            return int.from_bytes(fields[record[field] :][:8], "little")

        if word("goroutine.id") != row.id:  # a plain thread's, which has another id during a run; or one that has just ended
            return row
        created_at, created_by, name = None, "", None
        try:
            code = word("goroutine.created_code")
            if code:
                created_at = objects.site(code, word("goroutine.created_at") & 0xFFFFFFFF)
                created_by = "created by %s in goroutine %d\n\t%s\n" % (objects.code(code).name, row.parent_id, created_at)
        except Unreadable:
            pass
        try:
            given, call = word("goroutine.name"), word("goroutine.call")
            if given:
                name = objects.text(given)
            elif call and not word("goroutine.native"):
                name = objects.function_name(self._pointer(call))
        except Unreadable:
            pass
        return row._replace(created_at=created_at, created_by=created_by, name=name)


def header(g: Goroutine) -> str:
    """Go's "goroutine 7 [chan receive, 2 minutes]:"."""
    text = g.wait_reason or g.status
    if g.waiting_for is not None and g.waiting_for >= 60:
        text += ", %d minutes" % (g.waiting_for // 60)
    return "goroutine %d [%s%s]:" % (g.id, text, ", locked to thread" if g.thread else "")


def open_process(pid: int) -> Tuple[Any, Reader]:
    """The memory and the reader of a process. ``Refused`` says what is in the way."""
    from .memory import Process

    process = Process(pid)
    try:
        if not process.has("libgort"):
            raise Refused("process %d does not use gort" % pid)
        return process, Reader(process)
    except Ended:
        process.close()
        raise
    except Refused as refused:
        process.close()
        text = str(refused)
        raise Refused(text if text.startswith("process") else "process %d cannot be shown: %s" % (pid, text)) from None
    except Unreadable:
        process.close()
        raise Refused("process %d cannot be shown: its memory changed too fast or has been left" % pid) from None
