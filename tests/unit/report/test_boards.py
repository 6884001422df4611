# SPDX-License-Identifier: Apache-2.0
"""What `mcugen boards` shows: every board on a line, and every number of one with its source."""

from __future__ import annotations

import pytest

from mcugen.boards import Board, list_boards, load_board
from mcugen.report.boards import board_details, boards_table


def test_one_line_per_board_in_aligned_columns() -> None:
    boards = [load_board("cortex-m4"), load_board("arduino-nano-33-ble")]
    assert boards_table(boards).splitlines() == [
        "board                core       flash    RAM        clock",
        "cortex-m4            cortex-m4  1 MiB    256 KiB    120 MHz  "
        "Arm Cortex-M4 with FPU, nominal memories as on a SAMD51P20A",
        "arduino-nano-33-ble  cortex-m4  960 KiB  255.5 KiB  64 MHz   "
        "Arduino Nano 33 BLE (nRF52840), as the Arduino core leaves it",
        "",
        "RAM is the largest single region, in which the arena must lie.",
    ]


def test_the_table_of_all_boards() -> None:
    lines = boards_table(list_boards()).splitlines()
    assert [line.split()[0] for line in lines[1:-2]] == [board.name for board in list_boards()]
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("board", list_boards(), ids=lambda board: board.name)
def test_every_number_stands_with_its_source(board: Board) -> None:
    text = board_details(board)
    for what in ("core", "simulator"):
        assert f"source    {board.source_of(what)}".split() == next(
            line.split() for line in text.splitlines() if board.source_of(what) in line
        )
    assert f"clock {board.clock_hz / 1e6:g} MHz ({board.source_of('clock')})" in text
    for region in board.regions:
        line = next(row for row in text.splitlines() if row.startswith(f"{region.name} "))
        assert f"0x{region.origin:08x}" in line
        assert line.endswith(board.source_of(f"memory {region.name}"))
        assert ("  fast  " in line) == region.fast
    for part in (*board.core.gcc_flags, *board.core.optimize, board.core.zig_cpu, *board.aliases):
        assert part in text


def test_the_details_of_a_board() -> None:
    text = board_details(load_board("stm32f407vg"))
    assert text.startswith(
        "stm32f407vg: STMicroelectronics STM32F407VG (F4 Discovery)\n"
        "also called stm32f407vgt6, stm32f4discovery\n"
        "clock 168 MHz (STM32F405xx/407xx datasheet DS8626, features, up to 168 MHz)\n"
    )
    assert "\nall flash: 1 MiB\n" in text
    assert "\nlargest RAM region, in which the arena must lie: 128 KiB\n" in text
    assert "qemu     qemu-system-arm -M mps2-an386\n" in text
    assert "RAM      4 MiB at 0x20000000\n" in text
    assert "unicorn  not used for this core" in board_details(load_board("cortex-m55"))
