"""Commands for gdb, on a live process and on a core file:

    gdb -x "$(gort --gdb)" -p PID            or: (gdb) source .../gdb_commands.py

    info goroutines            list all goroutines: id, state or what is waited for, machine, function
    goroutine ID COMMAND       run a command of gdb in a goroutine: goroutine 7 bt
    goroutine all COMMAND      the same in each one
    goroutine ID python-bt     its Python frames (also: all)

The commands have the names and meanings of Go's runtime-gdb.py. No debug information is needed, and no register is written: a parked
goroutine's frames are found by an unwinder that goes on from what the switch of stacks saved (gort/fiber/switch_*.S), so core files work too.
The frames of a parked goroutine have numbers from 1 or more: those before are the selected thread's, which bt leaves out.

Core files: those that the kernel writes. gdb's own generate-core-file leaves out the stacks of goroutines on Linux 6.13 and later, as it gives up a
mapping at the first guard page in it.

Rejected: writing the registers and restoring them, as Go's script does (no core files, and a process let go on between the two is lost);
``frame view`` (unwinds with the thread's own callee-saved registers).
"""

from __future__ import annotations

import importlib.util
import os
import sys

import gdb  # type: ignore[import-not-found]
from gdb.unwinder import Unwinder  # type: ignore[import-not-found]


def _load():
    """This folder as a package: gdb's own Python has no gort, and could not load its extension module."""
    folder = os.path.dirname(os.path.abspath(__file__))
    name = "_gort_outside"
    spec = importlib.util.spec_from_file_location(name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder])
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return importlib.import_module(name + ".snapshot"), importlib.import_module(name + ".memory")


snapshot, memory = _load()

# What gort_switch leaves on a stack, as offsets from the saved stack pointer, and how much of it there is.
_X86_64 = ({"r15": 8, "r14": 16, "r13": 24, "r12": 32, "rbx": 40, "rbp": 48, "rip": 56}, 64, "rsp", "rip")
_AARCH64 = (dict([("x%d" % n, 8 * (n - 19)) for n in range(19, 31)] + [("pc", 88)]), 176, "sp", "pc")


class _Memory:
    """What gdb has in front of it, as the reader wants it."""

    def read(self, address, size):
        try:
            return bytes(gdb.selected_inferior().read_memory(address, size)) if size else b""
        except (gdb.MemoryError, gdb.error, OverflowError):
            raise memory.Unreadable(hex(address)) from None

    def symbols(self, library, name):
        try:
            yield int(gdb.parse_and_eval("(unsigned long)&" + name))
        except gdb.error:
            return


def _reader():
    try:
        return snapshot.Reader(_Memory())
    except memory.Refused as refused:
        raise gdb.GdbError("gort: %s" % refused) from None


def _picture(stacks=False):
    reader = _reader()
    try:
        return reader, reader.snapshot(stacks=stacks)
    except memory.Unreadable as where:
        raise gdb.GdbError("gort: there is no memory at %s" % where) from None


class _FiberUnwinder(Unwinder):
    """Says that the selected thread's innermost function was called from the place at which a fiber left its stack."""

    def __init__(self):
        super().__init__("gort fibers")
        self.sp = None  # of the goroutine in which a command runs
        self.innermost = None  # stack pointer and pc of the thread

    def pretend(self, sp):
        """From now on, and the first frame of the fiber."""
        newest = gdb.newest_frame()
        places, _, *registers = _registers(newest)
        if not any(_Memory().read(sp + places[registers[1]], 8)):
            raise gdb.GdbError("gort: the stack of this goroutine is not in the core file")
        self.innermost = [int(newest.read_register(name)) for name in registers]
        self.sp = sp
        gdb.invalidate_cached_frames()
        frame = gdb.newest_frame()
        while frame.type() == gdb.INLINE_FRAME:
            frame = frame.older()
        first = frame.older()
        if first is None:
            raise gdb.GdbError("gort: gdb does not unwind this goroutine: %s" % gdb.frame_stop_reason_string(frame.unwind_stop_reason()))
        return first

    def stop(self):
        self.sp = None
        gdb.invalidate_cached_frames()

    def __call__(self, pending):
        if self.sp is None:
            return None
        places, size, sp, pc = _registers(pending)
        # Not by its level: it is not 0 if gdb sees functions inlined into the innermost one.
        if [int(pending.read_register(name)) for name in (sp, pc)] != self.innermost:
            return None
        # The id's stack address must lie below every frame to come, or gdb believes that the stack is corrupt.
        info = pending.create_unwind_info(_FrameId(gdb.Value(self.sp), pending.read_register(pc)))
        word = gdb.lookup_type("unsigned long")
        for register, offset in places.items():
            value = int.from_bytes(_Memory().read(self.sp + offset, 8), "little")
            info.add_saved_register(register, gdb.Value(value).cast(word))
        info.add_saved_register(sp, gdb.Value(self.sp + size).cast(word))
        return info


def _registers(frame):
    return _AARCH64 if "aarch64" in frame.architecture().name() else _X86_64


class _FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


_unwinder = _FiberUnwinder()
gdb.unwinder.register_unwinder(None, _unwinder, replace=True)


class InfoGoroutines(gdb.Command):
    """List all goroutines: id, state or what it waits for, the machine that runs it, its function, where it was started."""

    def __init__(self):
        super().__init__("info goroutines", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, _argument, _from_tty):
        for g in _picture()[1].goroutines:
            kind = g.name or ("a thread" if g.thread else "a native goroutine")
            where = "*" if g.machine is not None else " "
            print("%s %-6d %-24s %-8s %s%s" % (where, g.id, g.wait_reason or g.status, g.lane, kind, "  " + g.created_at if g.created_at else ""))


class GoroutineCommand(gdb.Command):
    """Run a command of gdb in a goroutine, or in all: goroutine ID|all COMMAND.

    A running one is looked at on its thread, a parked one where it left its stack, with frames from #1 on. Commands that let it run ("finish",
    "call") do not work in a parked one. "goroutine ID python-bt" shows its Python frames."""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, _from_tty):
        which, _, command = argument.strip().partition(" ")
        if not which or not command.strip():
            raise gdb.GdbError("usage: goroutine ID|all COMMAND")
        python = command.strip() == "python-bt"
        reader, picture = _picture(stacks=python)
        chosen = picture.goroutines
        if which != "all":
            try:
                wanted = int(gdb.parse_and_eval(which))
            except (gdb.error, ValueError):
                raise gdb.GdbError("goroutine: the id of a goroutine or all is wanted, got %r" % which) from None
            chosen = [g for g in chosen if g.id == wanted]
            if not chosen:
                raise gdb.GdbError("No such goroutine: %d" % wanted)
        for g in chosen:
            if which == "all":
                print("\n" + snapshot.header(g))
            if python:
                print(g.stack + g.created_by, end="")
                continue
            try:
                _run(reader, picture, g, command.strip())
            except (gdb.error, gdb.GdbError, memory.Unreadable) as error:
                if isinstance(error, memory.Unreadable):
                    error = gdb.GdbError("gort: there is no memory at %s" % error)
                if which != "all":
                    raise error
                print(error)


def _run(reader, picture, g, command):
    thread, frame = gdb.selected_thread(), None
    if thread is None:
        raise gdb.GdbError("There is no process, and no core file.")
    try:
        frame = gdb.selected_frame()
    except gdb.error:
        pass
    sp, machine = _place(reader, picture, g)
    try:
        if sp is None:
            _thread_of(machine).switch()
            gdb.execute(command)
            return
        first = _unwinder.pretend(sp)
        first.select()
        if command.split()[0] in ("bt", "backtrace", "where"):
            _print_from(first, command)
        else:
            gdb.execute(command)
    finally:
        _unwinder.stop()
        thread.switch()
        if frame is not None and frame.is_valid():
            frame.select()


def _print_from(first, command):
    """A backtrace without what comes before ``first``: the thread that happens to be selected."""
    lines = gdb.execute(command, to_string=True).splitlines(True)
    begin = next((i for i, line in enumerate(lines) if line.startswith("#%d " % first.level())), len(lines))
    print("".join(lines[begin:]), end="")


def _place(reader, picture, g):
    """(saved stack pointer, None) of a goroutine that has left its stack, (None, machine) of one that is on a thread."""
    layout = reader.layout

    def word(address):
        return int.from_bytes(reader.memory.read(address, 8), "little")

    own = word(g.address + layout["g.own_machine"])
    for m in picture.machines:
        current = word(m.address + layout["m.current"])
        if current == g.address:
            return None, m
        if m.address == own and word(own + layout["m.own"]) == g.address:
            # A plain thread: while it waits it runs the scheduler on its own stack, or another goroutine.
            return (word(own + layout["m.scheduler.sp"]), None) if current else (None, m)
    if not reader.memory.read(g.address + layout["g.started"], 1)[0]:
        raise gdb.GdbError("goroutine %d has not run yet" % g.id)
    return word(g.address + layout["g.fiber.sp"]), None


def _thread_of(machine):
    for thread in gdb.selected_inferior().threads():
        if thread.ptid[1] == machine.os_thread:
            return thread
    raise gdb.GdbError("gort: thread %d of M%d is not here" % (machine.os_thread, machine.id))


InfoGoroutines()
GoroutineCommand()
