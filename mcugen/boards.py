# SPDX-License-Identifier: Apache-2.0
"""Boards and cores: what a target can hold and run, from `boards/*.toml`; knows no operator."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mcugen.errors import BoardError
from mcugen.resources import data_dir
from mcugen.toml_table import Table, read_toml

FEATURES = {
    "thumb2": "32-bit Thumb instructions (Armv7-M and later)",
    "dsp": "packed 8 and 16 bit arithmetic: SMLAD, SXTB16, SSAT",
    "mve": "M-profile vector extension: 128-bit vectors, low-overhead loops",
    "fpu": "single-precision floating point in hardware",
    "mul32": "32 x 32 -> 32 bit multiply",
    "mul64": "32 x 32 -> 64 bit multiply: SMULL, MULH",
    "rv32c": "compressed RISC-V instructions",
}
"""What a core may offer beyond plain 32-bit integer arithmetic, with its meaning."""

COST_UNITS = ("cycles", "instructions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One memory region of a board; `origin` and `size_bytes` in bytes."""

    name: str
    kind: str  # "flash" or "ram"
    origin: int
    size_bytes: int
    fast: bool = False  # tightly coupled to the core: no wait states, no cache, no bus


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulator:
    """How QEMU (and, for Arm below M55, unicorn) stands in for the core."""

    qemu: str  # "qemu-system-arm" or "qemu-system-riscv32"
    machine: str  # "mps2-an386"
    flash_origin: int
    flash_bytes: int
    ram_origin: int
    ram_bytes: int
    unicorn: str | None  # name of unicorn's CPU model constant, None where unicorn is not used


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """An instruction-set target: how to compile for it and how to simulate it."""

    name: str  # "cortex-m4"
    features: frozenset[str]  # of FEATURES
    gcc: str  # "arm-none-eabi-gcc"
    gcc_flags: tuple[str, ...]  # ("-mcpu=cortex-m4", "-mthumb", ...)
    zig_target: str  # "thumb-freestanding-eabi"
    zig_cpu: str  # "cortex_m4"
    optimize: tuple[str, ...]  # ("-O3",): flags the generated code is meant for
    simulator: Simulator
    cost_unit: str = "cycles"  # what kernels estimate, or "instructions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A core with memories and a clock: what a build is checked against."""

    name: str
    title: str
    core: Core
    regions: tuple[Region, ...]
    clock_hz: int
    sources: tuple[str, ...]  # where the numbers come from, one line each: "clock: DS8626, ..."
    aliases: tuple[str, ...] = ()  # other names that `load_board` takes for it

    @property
    def flash_bytes(self) -> int:
        """All flash of the board, in bytes."""
        return sum(r.size_bytes for r in self.regions if r.kind == "flash")

    @property
    def ram_bytes(self) -> int:
        """The largest single RAM region, in bytes: the arena must lie in one region."""
        return max(r.size_bytes for r in self.regions if r.kind == "ram")

    @property
    def fast_region(self) -> Region | None:
        """The largest fast RAM, None where there is none or no other RAM beside it."""
        rams = [r for r in self.regions if r.kind == "ram"]
        fast = [r for r in rams if r.fast] if len(rams) > 1 else []
        # of two alike, the one for data lies higher than the one for instructions
        return max(fast, key=lambda r: (r.size_bytes, r.origin), default=None)

    @property
    def ram_bytes_beside_fast(self) -> int:
        """The largest RAM region beside `fast_region`, in bytes."""
        fast = self.fast_region
        return max(r.size_bytes for r in self.regions if r.kind == "ram" and r is not fast)

    @property
    def is_core(self) -> bool:
        """Whether this is a bare core with nominal memories, not a part that one can buy."""
        return self.name == self.core.name

    def source_of(self, what: str) -> str:
        """Where the numbers of "core", "simulator", "clock" or "memory NAME" come from."""
        lead = f"{what}: "
        return next((s.removeprefix(lead) for s in self.sources if s.startswith(lead)), "")


def load_board(name_or_path: str) -> Board:
    """The board of a shipped name, of a board file, or of a part that modm-devices knows.

    A text with a path separator or ending in ".toml" is a file; all else is a name, in which case,
    "-" and "_" do not count.

    Raises:
        BoardError: No such board, or a board file with missing or wrong entries.
    """
    if name_or_path.lower().endswith(".toml") or "/" in name_or_path or "\\" in name_or_path:
        return read_board(Path(name_or_path))
    key = squash(name_or_path)
    for board in list_boards():
        if key in {squash(name) for name in (board.name, *board.aliases)}:
            return board
    # Late import: the part database is optional, and it is the only slow way to name a board.
    from mcugen.boards_modm import find_part, part_hint

    part = find_part(key)
    if part is None:
        msg = _unknown(name_or_path, part_hint(key))
        raise BoardError(msg)
    return part


def list_boards() -> list[Board]:
    """All boards that ship with mcugen: the bare cores, then the parts, each by name."""
    return sorted(_shipped().values(), key=lambda b: (not b.is_core, _natural(b.name)))


def read_board(path: Path) -> Board:
    """The board of one file, which names a shipped core or holds a core of its own.

    Raises:
        BoardError: Unreadable, not TOML, or entries missing or wrong: all of them in one message.
    """
    return _board(read_toml(path), str(path))


def core_named(name: str) -> Board:
    """The bare-core board of an exact name such as "cortex-m4".

    Raises:
        BoardError: No such core.
    """
    if name not in _cores():
        msg = f"unknown core {name!r}; cores: {', '.join(_cores())}"
        raise BoardError(msg)
    return _cores()[name]


def squash(name: str) -> str:
    """The name as `load_board` compares it: lower case, without "-", "_", "." and spaces."""
    return re.sub(r"[-_.\s]", "", name.lower()).replace("+", "plus")


def _natural(name: str) -> list[str | int]:
    """A sort key that puts m4 before m33."""
    return [int(p) if p.isdigit() else p for p in re.split(r"([0-9]+)", name)]


def _unknown(name: str, hint: str) -> str:
    boards = list_boards()
    known = {squash(n): b.name for b in boards for n in (b.name, *b.aliases)}
    close = [known[key] for key in difflib.get_close_matches(squash(name), known, n=3)]
    lines = [
        f"unknown board {name[:60]!r}",
        *([f"close matches: {', '.join(dict.fromkeys(close))}"] if close else []),
        hint,
        f"shipped boards: {', '.join(board.name for board in boards)}",
        "a board of your own: --board path/to/board.toml",
    ]
    return "\n  ".join(lines)


@cache
def _shipped() -> dict[str, Board]:
    """Every shipped board by name."""
    return {b.name: b for b in (_board(table, str(path)) for path, table in _shipped_tables())}


@cache
def _cores() -> dict[str, Board]:
    """The shipped boards with a core table of their own, by name."""
    own = [
        (path, table) for path, table in _shipped_tables() if isinstance(table.get("core"), dict)
    ]
    return {b.name: b for b in (_board(table, str(path)) for path, table in own)}


@cache
def _shipped_tables() -> tuple[tuple[Path, dict[str, object]], ...]:
    return tuple((path, read_toml(path)) for path in sorted(data_dir("boards").glob("*.toml")))


# What each text may hold. Names and flags end up in file names, generated C and CMake files and on
# command lines, so they are kept to characters that mean nothing there.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,47}")
_NAME_SAYS = 'a name of 1 to 48 of a-z, 0-9, "-", "." and "_"'
_TITLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ,.()+&:-]{0,79}")
_TITLE_SAYS = "1 to 80 letters, digits, spaces and ,.()+&:-"
_SOURCE = re.compile(r"[ -~]{3,240}")
_SOURCE_SAYS = "where the numbers come from, in 3 to 240 ASCII characters"
_COMMAND = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,47}")
_COMMAND_SAYS = "the name of a command on the PATH"
_ZIG = re.compile(r"[a-z0-9][a-z0-9_+-]{0,63}")
_MACHINE_FLAG = re.compile(r"-m[a-z0-9][A-Za-z0-9_.=+-]{0,63}")
_MACHINE_FLAG_SAYS = 'a machine flag such as "-mcpu=cortex-m4"'
_OPTIMIZE_FLAG = re.compile(r"-O[0-3sgz]|-Ofast|-f(?!plugin)[a-z][a-z0-9=-]{0,63}")
_OPTIMIZE_FLAG_SAYS = 'an optimisation flag such as "-O3" or "-fno-unroll-loops"'
_ADDRESS_END = 1 << 32


def _board(values: dict[str, object], where: str) -> Board:
    """The board of a parsed file; `where` is the file's name in messages."""
    problems: list[str] = []
    root = Table(values, "", problems)
    name = root.text("name", _NAME, _NAME_SAYS)
    title = root.text("title", _TITLE, _TITLE_SAYS)
    aliases = root.texts("aliases", _NAME, _NAME_SAYS) if root.has("aliases") else ()
    core, core_sources = _own_core(root) if root.holds_table("core") else _shipped_core(root)
    clock = root.table("clock")
    clock_hz = clock.number("hz", 1_000, 10_000_000_000)
    clock_source = f"clock: {_source(clock)}"
    regions, region_sources = _regions(root.tables("memory"), problems)
    root.finish()
    if problems:
        raise BoardError(_malformed(where, problems))
    return Board(
        name=name,
        title=title,
        core=core,
        regions=regions,
        clock_hz=clock_hz,
        sources=(*core_sources, clock_source, *region_sources),
        aliases=aliases,
    )


def _malformed(where: str, problems: list[str]) -> str:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    example = "`mcugen boards stm32f407vg` shows a complete board, boards/stm32f407vg.toml its file"
    return "\n  ".join((f"board file {where} has {count}:", *problems, example))


def _source(table: Table) -> str:
    """The source of a table's numbers, after which no key may be left."""
    source = table.text("source", _SOURCE, _SOURCE_SAYS)
    table.finish()
    return source


def _shipped_core(root: Table) -> tuple[Core, tuple[str, ...]]:
    """The core that the file names, and the sources of its numbers."""
    cores = _cores()
    name = root.text("core", _one_of(cores), f"a [core] table or one of {', '.join(cores)}")
    board = cores.get(name, next(iter(cores.values())))  # after a problem any core will do
    return board.core, tuple(s for s in board.sources if s.startswith(("core: ", "simulator: ")))


def _own_core(root: Table) -> tuple[Core, tuple[str, ...]]:
    """The core that the file holds, and the sources of its numbers."""
    table = root.table("core")
    simulator, simulator_source = _simulator(root.table("simulator"))
    core = Core(
        name=table.text("name", _NAME, _NAME_SAYS),
        features=frozenset(
            table.texts("features", _one_of(FEATURES), f"one of {', '.join(FEATURES)}")
        ),
        gcc=table.text("gcc", _COMMAND, _COMMAND_SAYS),
        gcc_flags=table.texts("gcc_flags", _MACHINE_FLAG, _MACHINE_FLAG_SAYS),
        zig_target=table.text("zig_target", _ZIG, 'a target such as "thumb-freestanding-eabi"'),
        zig_cpu=table.text("zig_cpu", _ZIG, 'a processor such as "cortex_m4"'),
        optimize=table.texts("optimize", _OPTIMIZE_FLAG, _OPTIMIZE_FLAG_SAYS),
        simulator=simulator,
        cost_unit=table.text("cost_unit", _one_of(COST_UNITS), f"one of {', '.join(COST_UNITS)}")
        if table.has("cost_unit")
        else "cycles",
    )
    return core, (f"core: {_source(table)}", f"simulator: {simulator_source}")


def _simulator(table: Table) -> tuple[Simulator, str]:
    qemus = ("qemu-system-arm", "qemu-system-riscv32")
    unicorn = re.compile("UC_CPU_[A-Z0-9_]+")
    simulator = Simulator(
        qemu=table.text("qemu", _one_of(qemus), f"one of {', '.join(qemus)}"),
        machine=table.text("machine", _COMMAND, "the name of a QEMU machine"),
        flash_origin=table.number("flash_origin", 0, _ADDRESS_END - 1),
        flash_bytes=table.size("flash_size"),
        ram_origin=table.number("ram_origin", 0, _ADDRESS_END - 1),
        ram_bytes=table.size("ram_size"),
        unicorn=table.text("unicorn", unicorn, "the name of a unicorn CPU model")
        if table.has("unicorn")
        else None,
    )
    return simulator, _source(table)


def _regions(
    tables: list[Table], problems: list[str]
) -> tuple[tuple[Region, ...], tuple[str, ...]]:
    regions, sources = [], []
    for table in tables:
        region = Region(
            name=table.text("name", _NAME, _NAME_SAYS),
            kind=table.text("kind", _one_of(("flash", "ram")), 'one of "flash", "ram"'),
            origin=table.number("origin", 0, _ADDRESS_END - 1),
            size_bytes=table.size("size"),
            fast=table.flag("fast"),
        )
        regions.append(region)
        sources.append(f"memory {region.name}: {_source(table)}")
    if tables:
        problems.extend(_region_problems(regions))
    return tuple(regions), tuple(sources)


def _region_problems(regions: list[Region]) -> Iterable[str]:
    """What is wrong with regions that are right one by one."""
    for kind in ("flash", "ram"):
        if not any(region.kind == kind for region in regions):
            yield f'memory: expected one region or more of kind "{kind}", got none'
    for i, region in enumerate(regions):
        if region.origin + region.size_bytes > _ADDRESS_END:
            yield f"memory[{i}]: {region.name} ends beyond the 32-bit address space"
        for other in regions[:i]:
            if other.name == region.name:
                yield f"memory[{i}].name: {region.name} is the name of two regions"
            elif other.origin < region.origin + region.size_bytes and (
                region.origin < other.origin + other.size_bytes
            ):
                yield f"memory[{i}]: {region.name} overlaps {other.name}"


def _one_of(names: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, names)))
