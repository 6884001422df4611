# SPDX-License-Identifier: Apache-2.0
"""Reads what is needed of a 32-bit little-endian ELF program: sections, functions, sizes."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcugen.errors import ToolchainError

_WRITE, _ALLOC = 1, 2
_SYMTAB, _NOBITS = 2, 8
_FUNC = 2
_LOAD = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section header, with its content where the file has it."""

    name: str
    kind: int
    flags: int
    address: int
    size: int
    link: int
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function's place; the Thumb bit of its address is cleared."""

    name: str
    address: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """A linked program. Source of the layout: System V ABI, chapter 4, object files."""

    sections: tuple[Section, ...]
    functions: tuple[Function, ...]  # by address
    segments: tuple[tuple[int, bytes], ...]  # what is loaded where

    @property
    def flash_bytes(self) -> int:
        """Code, constants and the initial values of variables."""
        return sum(s.size for s in self._allocated() if s.kind != _NOBITS)

    @property
    def ram_bytes(self) -> int:
        """Variables, with initial values or without."""
        return sum(s.size for s in self._allocated() if s.kind == _NOBITS or s.flags & _WRITE)

    def _allocated(self) -> list[Section]:
        return [s for s in self.sections if s.flags & _ALLOC]

    def function(self, name: str) -> Function:
        """The function of a name. Raises ToolchainError where there is none."""
        for function in self.functions:
            if function.name == name:
                return function
        msg = f"the linked program has no function {name}"
        raise ToolchainError(msg)

    def section(self, name: str) -> bytes:
        """The content of a section; b"" where there is none of that name."""
        return next((s.content for s in self.sections if s.name == name), b"")

    def code(self, address: int, size: int) -> bytes:
        """The bytes at an address; b"" outside of the program's sections."""
        for s in self._allocated():
            if s.address <= address and address + size <= s.address + len(s.content):
                return s.content[address - s.address :][:size]
        return b""

    def owner(self, address: int) -> str:
        """The name of the function that an address lies in, "" outside of all."""
        i = bisect_right(self.functions, address, key=lambda f: f.address) - 1
        if i < 0 or address >= self.functions[i].address + self.functions[i].size:
            return ""
        return self.functions[i].name


def read_elf(path: Path) -> Elf:
    """The program of a file. Raises ToolchainError where it is no 32-bit little-endian ELF file."""
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x01\x01":
        msg = f"{path.name} is no 32-bit little-endian ELF file"
        raise ToolchainError(msg)
    table_at, entry, count, names = _section_table(data)
    headers = [struct.unpack_from("<10I", data, table_at + i * entry) for i in range(count)]
    name_table = _content(data, headers[names])
    sections = tuple(_section(data, header, name_table) for header in headers)
    return Elf(sections=sections, functions=_functions(sections), segments=_segments(data))


def _segments(data: bytes) -> tuple[tuple[int, bytes], ...]:
    (table_at,) = struct.unpack_from("<I", data, 28)
    entry, count = struct.unpack_from("<2H", data, 42)
    headers = [struct.unpack_from("<8I", data, table_at + i * entry) for i in range(count)]
    return tuple(
        (physical, data[offset : offset + size])
        for kind, offset, _, physical, size, *_ in headers
        if kind == _LOAD and size
    )


def _section_table(data: bytes) -> tuple[int, int, int, int]:
    (offset,) = struct.unpack_from("<I", data, 32)
    entry, count, names = struct.unpack_from("<3H", data, 46)
    return offset, entry, count, names


def _content(data: bytes, header: Sequence[int]) -> bytes:
    _, kind, _, _, offset, size, *_ = header
    return b"" if kind == _NOBITS else data[offset : offset + size]


def _section(data: bytes, header: Sequence[int], names: bytes) -> Section:
    name, kind, flags, address, _, size, link, *_ = header
    return Section(
        name=_text(names, name),
        kind=kind,
        flags=flags,
        address=address,
        size=size,
        link=link,
        content=_content(data, header),
    )


def _text(table: bytes, offset: int) -> str:
    return table[offset : table.index(b"\0", offset)].decode(errors="replace")


def _functions(sections: Sequence[Section]) -> tuple[Function, ...]:
    found: Mapping[int, Function] = {
        function.address: function
        for table in sections
        if table.kind == _SYMTAB
        for function in _symbols(table.content, sections[table.link].content)
    }
    return tuple(found[address] for address in sorted(found))


def _symbols(table: bytes, names: bytes) -> list[Function]:
    return [
        Function(name=_text(names, name), address=value & ~1, size=size)
        for name, value, size, info, _, _ in struct.iter_unpack("<3I2BH", table)
        if info & 15 == _FUNC and size
    ]
