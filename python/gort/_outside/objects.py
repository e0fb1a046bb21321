"""Python's part: the function of a goroutine, where ``go`` was called, and the stack of Python frames."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .memory import Unreadable

_MOST_FRAMES = 100  # as in every other dump of goroutines
_MOST_TEXT = 1 << 10
_MOST_LINES = 1 << 20
_MOST_COPIES = 1 << 12
_TAGS = 7  # of the word in a frame that leads to its code


class Code(NamedTuple):
    """What is shown of a code object."""

    name: str
    file: str
    first_line: int
    lines: bytes
    instructions: int  # address of the first one

    def line(self, offset: int) -> int:
        """The source line of the instruction at a byte offset; the first line if there is none (the format is that of co_linetable, 3.11)."""
        line, end, at, lines = self.first_line, 0, 0, self.lines

        def number() -> int:
            nonlocal at
            value = shift = 0
            while at < len(lines):
                byte = lines[at]
                at += 1
                value |= (byte & 63) << shift
                shift += 6
                if not byte & 64:
                    break
            return value

        while at < len(lines):
            kind, length = lines[at] >> 3 & 15, (lines[at] & 7) + 1
            at += 1
            if kind in (13, 14):
                step = number()
                line += -(step >> 1) if step & 1 else step >> 1
                if kind == 14:
                    number(), number(), number()
            elif kind in (10, 11, 12):
                line += kind - 10
                at += 2
            elif kind != 15:
                at += 1
            end += 2 * length
            if offset < end:
                return line
        return self.first_line


class Objects:
    """Reads Python objects of a process. Every method raises ``Unreadable`` for what is no such object (any more).

    Lives for one picture: it remembers what it has read.
    """

    def __init__(self, memory: Any, layout: Any) -> None:
        self._memory, self._layout = memory, layout
        self._codes: Dict[int, Code] = {}
        self._sites: Dict[Tuple[int, int], str] = {}
        self._names: Dict[int, str] = {}

    @property
    def has_stacks(self) -> bool:
        return "pyframe.code" in self._layout

    def _pointer(self, address: int) -> int:
        return int.from_bytes(self._memory.read(address, 8), "little")

    def _type(self, address: int) -> int:
        return self._pointer(address + self._layout["object.type"])

    def _expect(self, address: int, kind: str) -> None:
        if not address or self._type(address) != self._layout[kind]:
            raise Unreadable(hex(address))

    def c_text(self, address: int, most: int = 64) -> str:
        text = bytearray()
        for at in range(address, address + most):  # byte by byte: the text may end where the memory does
            byte = self._memory.read(at, 1)
            if byte == b"\0":
                break
            text += byte
        return text.decode("utf-8", "replace")

    def text(self, address: int) -> str:
        """A str, of which very long ones are cut off."""
        self._expect(address, "type.str")
        layout = self._layout
        length = self._pointer(address + layout["str.length"])
        state = int.from_bytes(self._memory.read(address + layout["str.state"], 4), "little")
        width = (state & layout["str.kind"]) // layout["str.kind.one"]
        if not state & layout["str.compact"] or width not in (1, 2, 4) or length > 1 << 40:
            raise Unreadable(hex(address))
        data = layout["str.ascii.data"] if state & layout["str.ascii"] else layout["str.data"]
        raw = self._memory.read(address + data, min(length, _MOST_TEXT) * width)
        return raw.decode({1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}[width], "replace")

    def _bytes(self, address: int) -> bytes:
        self._expect(address, "type.bytes")
        length = self._pointer(address + self._layout["bytes.length"])
        if length > _MOST_LINES:
            raise Unreadable(hex(address))
        return self._memory.read(address + self._layout["bytes.data"], length)

    def code(self, address: int) -> Code:
        code = self._codes.get(address)
        if code is None:
            self._expect(address, "type.code")
            layout = self._layout
            code = Code(
                self.text(self._pointer(address + layout["code.qualname"])),
                self.text(self._pointer(address + layout["code.filename"])),
                int.from_bytes(self._memory.read(address + layout["code.first_line"], 4), "little", signed=True),
                self._bytes(self._pointer(address + layout["code.lines"])),
                address + layout["code.instructions"],
            )
            self._codes[address] = code
        return code

    def site(self, address: int, offset: int) -> str:
        """The "file:line" of the instruction at a byte offset in a code object."""
        site = self._sites.get((address, offset))
        if site is None:
            code = self.code(address)
            site = self._sites[address, offset] = "%s:%d" % (code.file, code.line(offset))
        return site

    def function_name(self, address: int) -> str:
        """The name of what a goroutine calls."""
        name = self._names.get(address)
        if name is None:
            name = self._names[address] = self._function_name(address)
        return name

    def _function_name(self, address: int) -> str:
        layout, kind = self._layout, self._type(address)
        if kind == layout["type.method"]:
            address = self._pointer(address + layout["method.function"])
            kind = self._type(address)
        if kind == layout["type.function"]:
            return self.text(self._pointer(address + layout["function.qualname"]))
        if kind == layout["type.builtin"]:
            definition = self._pointer(address + layout["builtin.definition"])
            name = self.c_text(self._pointer(definition + layout["definition.name"]))
            self_ = self._pointer(address + layout["builtin.self"])
            if not self_ or self._type(self_) == layout["type.module"]:
                return name
            return "%s.%s" % (self._type_name(self._type(self_)), name)
        return self._type_name(kind) + " object"

    def _type_name(self, address: int) -> str:
        return self.c_text(self._pointer(address + self._layout["type.name"])).rpartition(".")[2]

    def stack(self, state: int) -> str:
        """The Python frames of a thread state as Go prints frames, innermost first. What cannot be read ends it."""
        layout = self._layout
        places = [layout["pyframe." + field] for field in ("code", "instruction", "caller")]
        size = max(places) + 8
        lines: List[str] = []
        try:
            if "state.frame_holder" in layout:
                state = self._pointer(state + layout["state.frame_holder"])
            frame = self._pointer(state + layout["state.frame"])
            for _ in range(2 * _MOST_FRAMES):  # the frames between C and Python are not shown
                if not frame:
                    break
                if len(lines) == _MOST_FRAMES:
                    lines.append("...additional frames elided...\n")
                    break
                words = self._memory.read(frame, size)
                address, instruction, frame = [int.from_bytes(words[place : place + 8], "little") for place in places]
                address &= ~_TAGS
                code = self._code_of_frame(address)
                if code is not None:
                    lines.append("%s(...)\n\t%s\n" % (code.name, self.site(address, self._offset(address, instruction))))
        except Unreadable:
            pass
        return "".join(lines)

    def _offset(self, address: int, instruction: int) -> int:
        """Of an instruction in its code, or in the copy of it that a thread has (3.14t)."""
        layout, offset = self._layout, instruction - self._codes[address].instructions
        if "code.copies" in layout:
            length = 2 * self._pointer(address + layout["code.length"])
            copies = self._pointer(address + layout["code.copies"])
            for i in range(min(self._pointer(copies + layout["copies.count"]), _MOST_COPIES)):
                copy = self._pointer(copies + layout["copies.first"] + 8 * i)
                if copy and 0 <= instruction - copy < length:
                    return instruction - copy
        return offset

    def _code_of_frame(self, address: int) -> Optional[Code]:
        """None for the interpreter's own frames between C and Python."""
        if address not in self._codes and self._type(address) != self._layout["type.code"]:
            return None
        code = self.code(address)
        return None if code.name == "<interpreter trampoline>" else code
