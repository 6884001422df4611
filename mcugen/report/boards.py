# SPDX-License-Identifier: Apache-2.0
"""Boards as plain aligned text for the terminal; prints nothing and reads no file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mcugen.boards import FEATURES, Board
from mcugen.report.table import columns, size_text


def boards_table(boards: Iterable[Board]) -> str:
    """One line per board: name, core, all flash, largest RAM region, clock, title."""
    head = ("board", "core", "flash", "RAM", "clock", "")
    rows = [
        (
            board.name,
            board.core.name,
            size_text(board.flash_bytes),
            size_text(board.ram_bytes),
            _clock(board.clock_hz),
            board.title,
        )
        for board in boards
    ]
    return "\n".join(
        (
            *columns([head, *rows]),
            "",
            "RAM is the largest single region, in which the arena must lie.",
        )
    )


def board_details(board: Board) -> str:
    """Every number of one board with its source, the compiler's flags and the simulator."""
    parts = [_headline(board), _memory(board), _core(board), _simulator(board)]
    return "\n\n".join(parts)


def _headline(board: Board) -> str:
    lines = [f"{board.name}: {board.title}"]
    if board.aliases:
        lines.append(f"also called {', '.join(board.aliases)}")
    lines.append(f"clock {_clock(board.clock_hz)} ({board.source_of('clock')})")
    return "\n".join(lines)


def _memory(board: Board) -> str:
    head = ("memory", "kind", "origin", "size", "", "source")
    rows = [
        (
            region.name,
            region.kind,
            f"0x{region.origin:08x}",
            size_text(region.size_bytes),
            "fast" if region.fast else "",
            board.source_of(f"memory {region.name}"),
        )
        for region in board.regions
    ]
    flash = f"all flash: {size_text(board.flash_bytes)}"
    ram = f"largest RAM region, in which the arena must lie: {size_text(board.ram_bytes)}"
    return "\n".join((*columns([head, *rows]), flash, ram))


def _core(board: Board) -> str:
    core = board.core
    features = [name for name in FEATURES if name in core.features]
    return _block(
        "core",
        [
            ("name", core.name),
            *(("feature", f"{name}: {FEATURES[name]}") for name in features),
            ("gcc", f"{core.gcc} {' '.join(core.gcc_flags)}"),
            ("zig", f"zig cc -target {core.zig_target} -mcpu={core.zig_cpu}"),
            ("optimize", " ".join(core.optimize)),
            ("source", board.source_of("core")),
        ],
    )


def _simulator(board: Board) -> str:
    simulator = board.core.simulator
    return _block(
        "simulator",
        [
            ("qemu", f"{simulator.qemu} -M {simulator.machine}"),
            ("unicorn", simulator.unicorn or "not used for this core"),
            ("flash", f"{size_text(simulator.flash_bytes)} at 0x{simulator.flash_origin:08x}"),
            ("RAM", f"{size_text(simulator.ram_bytes)} at 0x{simulator.ram_origin:08x}"),
            ("source", board.source_of("simulator")),
        ],
    )


def _block(title: str, rows: Sequence[tuple[str, str]]) -> str:
    return "\n".join((title, *(f"  {line}" for line in columns(rows))))


def _clock(hz: int) -> str:
    return f"{hz / 1e6:g} MHz"
