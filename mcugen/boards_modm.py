# SPDX-License-Identifier: Apache-2.0
"""Boards of the parts that have no file in `boards/`, from the modm-devices part database.

Only `boards` calls this; without the package every part is unknown and the hint says what to do.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mcugen.boards import Board, Core, Region, core_named, squash
from mcugen.errors import BoardError

# modm's core types with the shipped core that stands for each.
_CORES = {
    "cortex-m0": "cortex-m0plus",  # the same instruction set (Armv6-M)
    "cortex-m0plus": "cortex-m0plus",
    "cortex-m3": "cortex-m3",
    "cortex-m4": "cortex-m4",
    "cortex-m7": "cortex-m7",
    "cortex-m33": "cortex-m33",
}
# modm knows the clock of STM32 parts alone. (pattern of the part's name, highest clock, source)
_CLOCKS = (
    ("nrf51", 16, "nRF51 Series Reference Manual v3.0, CPU"),
    ("nrf52", 64, "nRF52 product specifications, CPU"),
    ("nrf53.*@app", 128, "nRF5340 Product Specification v1.3, application core"),
    ("nrf53.*@net", 64, "nRF5340 Product Specification v1.3, network core"),
    ("sam(d09|d1|d2|da1|l21)", 48, "SAM D09/D1x/D2x/DA1/L21 data sheets, features"),
    ("saml22", 32, "SAM L22 data sheet, features"),
    ("sam(d51|e5)", 120, "SAM D5x/E5x data sheet DS60001507, features"),
    ("sam([es]70|v7)", 300, "SAM E70/S70/V70/V71 data sheet DS60001527, features"),
    ("samg51", 48, "SAM G51 data sheet, features"),
    ("samg5[34]", 96, "SAM G53 and G54 data sheets, features"),
    ("samg55", 120, "SAM G55 data sheet, features"),
)
# Regions that cannot hold an arena or code: data EEPROM, battery-backed SRAM, and second addresses
# of memory that is listed already (secure aliases, flash through the ITCM bus, nRF52 code RAM).
_SKIPPED = re.compile("eeprom|lpram|backup|bkpsram.*|.*_s|itcm_flash|itcm_ram|code")
_FAST = re.compile("[id]tcm|ccm")
_MANY = 64  # parts to look at before a name is called too short: each takes some 20 ms


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What modm-devices says of one part."""

    name: str  # "stm32l476rgt6"
    core: str  # "cortex-m4"
    fpu: bool
    regions: tuple[Region, ...]
    clock_hz: int  # 0 where unknown


def find_part(key: str) -> Board | None:
    """The board of the part whose name begins with `key`, a name from `boards.squash`.

    None where the package is not installed or has no such part.

    Raises:
        BoardError: Parts of different memories or cores begin so, or the part cannot be a target.
    """
    names = [name for name in _files() if squash(name).startswith(key)]
    names = [name for name in names if squash(name) == key] or names
    if not key or not names:
        return None
    if len(names) > _MANY:
        raise BoardError(_ambiguous(key, len(names), names))
    parts: dict[object, _Part] = {}
    for name in names:
        part = _part(name)
        parts.setdefault((part.core, part.fpu, part.regions, part.clock_hz), part)
    if len(parts) > 1:
        raise BoardError(_ambiguous(key, len(names), [part.name for part in parts.values()]))
    return _board(key, next(iter(parts.values())))


def part_hint(key: str) -> str:
    """One line for the message about an unknown name: how to install, or what comes close."""
    if not _files():
        return "to use any of 4,000 parts by name: pip install -U 'mcugen[parts]'"
    # Package and temperature grade, at a name's end, are what users leave away.
    known = {squash(name)[: len(key)]: name for name in _files()}
    close = [known[k] for k in difflib.get_close_matches(key, known, n=5, cutoff=0.75)]
    near = f"; close parts: {', '.join(close)}" if close else ""
    return f"no part of that name in modm-devices {version('modm-devices')}{near}"


@cache
def _files() -> dict[str, Path]:
    """The database file of every part by its full name; empty without package or index."""
    spec = importlib.util.find_spec("modm_devices")
    devices = Path(spec.origin or "" if spec else "").parent / "resources" / "devices"
    index = devices / "db.json"
    if spec is None or not index.is_file():
        return {}
    families: dict[str, dict[str, str]] = json.loads(index.read_text("utf-8"))
    return {name: devices / file for family in families.values() for name, file in family.items()}


@cache
def _devices(file: Path) -> dict[str, Any]:
    parser = importlib.import_module("modm_devices.parser").DeviceParser()
    return {device.partname: device for device in parser.parse(str(file)).get_devices()}


def _part(name: str) -> _Part:
    drivers: list[dict[str, Any]] = _devices(_files()[name])[name].properties["driver"]
    core = next(driver for driver in drivers if driver["name"] == "core")
    if core["type"] not in _CORES:
        msg = f"{name}: its core is {core['type']}; mcugen compiles for {', '.join(_CORES)}"
        raise BoardError(msg)
    rcc = next((driver for driver in drivers if driver["name"] == "rcc"), {})
    return _Part(
        name=name,
        core=core["type"],
        fpu="fpu" in core,
        regions=_regions(core.get("memory", [])),
        clock_hz=int(rcc.get("max-frequency", ["0"])[0]),
    )


def _regions(memories: Iterable[dict[str, str]]) -> tuple[Region, ...]:
    """The usable memories, those that touch joined: an arena may lie across their border."""
    joined: list[Region] = []
    for region in sorted(map(_region, memories), key=lambda region: region.origin):
        last = joined[-1] if joined else None
        if _SKIPPED.fullmatch(region.name):
            continue
        if (
            last
            and (last.kind, last.fast) == (region.kind, region.fast)
            and (last.origin + last.size_bytes == region.origin)
        ):
            joined[-1] = replace(last, size_bytes=last.size_bytes + region.size_bytes)
        else:
            joined.append(region)
    return tuple(joined)


def _region(memory: dict[str, str]) -> Region:
    name = memory["name"]
    return Region(
        name=name,
        kind="flash" if name.startswith("flash") else "ram",
        origin=int(memory["start"], 0),
        size_bytes=int(memory["size"]),
        fast=_FAST.fullmatch(name) is not None,
    )


def _board(key: str, part: _Part) -> Board:
    clock_hz, clock_source = _clock(part)
    missing = {"flash", "ram"} - {region.kind for region in part.regions}
    if missing or not clock_hz:
        what = " and ".join(sorted(missing) or ["clock"])
        msg = (
            f"{part.name}: {_database()} does not say its {what}; write a board file "
            "(`mcugen boards stm32f407vg` shows one) and give its path"
        )
        raise BoardError(msg)
    shipped = core_named(_CORES[part.core])
    return Board(
        name=key,
        title=f"{part.name} from {_database()}",
        core=shipped.core
        if part.fpu or "fpu" not in shipped.core.features
        else _soft(shipped.core),
        regions=part.regions,
        clock_hz=clock_hz,
        sources=(
            *(s for s in shipped.sources if s.startswith(("core: ", "simulator: "))),
            f"clock: {clock_source}",
            *(f"memory {region.name}: {_database()}, {part.name}" for region in part.regions),
        ),
    )


def _soft(core: Core) -> Core:
    """The core without its floating-point unit, and a Cortex-M33 without its DSP instructions.

    The only M33 without FPU in the database is the nRF5340 network core, which has no DSP either.
    """
    nodsp = core.name == "cortex-m33"
    flags = [flag for flag in core.gcc_flags if not flag.startswith(("-mfpu", "-mfloat-abi"))]
    return replace(
        core,
        features=core.features - {"fpu"} - ({"dsp"} if nodsp else set()),
        gcc_flags=(
            *(f"{f}+nodsp" if nodsp and "-mcpu" in f else f for f in flags),
            "-mfloat-abi=soft",
        ),
        zig_target="thumb-freestanding-eabi",
        zig_cpu=f"{core.zig_cpu}-dsp" if nodsp else core.zig_cpu,
    )


def _clock(part: _Part) -> tuple[int, str]:
    if part.clock_hz:
        return part.clock_hz, f"{_database()}, {part.name}, the highest clock"
    for pattern, mhz, source in _CLOCKS:
        if re.match(pattern, part.name):
            return mhz * 1_000_000, source
    return 0, ""


def _database() -> str:
    return f"modm-devices {version('modm-devices')}"


def _ambiguous(key: str, count: int, names: list[str]) -> str:
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return (
        f"board name '{key[:60]}' fits {count} parts of different memories or cores; "
        f"give more of the part number: {shown}"
    )
