# SPDX-License-Identifier: Apache-2.0
"""Both simulators on every core: results, counts, faults, and programs that do not end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mcugen.boards import Core, core_named
from mcugen.errors import MismatchError, MissingToolError, OptionError, ToolchainError
from mcugen.simulate import engine as engines
from mcugen.simulate.engine import Engine, engine_for
from mcugen.simulate.firmware import compile_firmware
from mcugen.simulate.profile import profile_target
from mcugen.simulate.program import TRACE_FLAG, read_results, write_inputs
from mcugen.simulate.qemu import QemuEngine
from mcugen.simulate.unicorn_engine import UnicornEngine
from tests.tiny_network import LEN, tiny_inputs, tiny_reference, write_tiny

ARM = ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"]
CORES = [*ARM, "cortex-m55", "riscv32imc"]
PAIRS = [("qemu", name) for name in CORES] + [("unicorn", name) for name in ARM]
FIRST_OF_EACH = [("qemu", "cortex-m4"), ("qemu", "riscv32imc"), ("unicorn", "cortex-m4")]

Chosen = tuple[Engine, Core]


@pytest.fixture
def chosen(request: pytest.FixtureRequest, tool: Callable[[str], str]) -> Chosen:
    """The engine and the core of a pair; a skip where the machine lacks what it takes."""
    engine, name = request.param
    core = core_named(name).core
    tool(core.gcc)
    if engine == "unicorn":
        pytest.importorskip("unicorn", reason="needs the unicorn package")
        return UnicornEngine(core), core
    tool(core.simulator.qemu)
    return QemuEngine(core), core


def on(pairs: list[tuple[str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("chosen", pairs, indirect=True, ids="-".join)


def run_tiny(chosen: Chosen, folder: Path, *changes: tuple[str, str], seconds: float = 60) -> None:
    """Run the traced network on `tiny_inputs` in `folder`."""
    engine, core = chosen
    (folder / "net").mkdir()
    program = write_tiny(folder / "net", *changes)
    elf = compile_firmware(program, core, ["verify_main.c"], folder, [TRACE_FLAG]).link()[0]
    write_inputs(folder, tiny_inputs())
    engine.run(elf, seconds)
    traces, outputs = read_results(folder, program, 5)
    expected = tiny_reference(tiny_inputs())
    np.testing.assert_array_equal(traces, expected[0])
    np.testing.assert_array_equal(outputs[0], expected[1])


@on(PAIRS)
def test_every_tensor_is_as_expected(chosen: Chosen, tmp_path: Path) -> None:
    run_tiny(chosen, tmp_path)


@on(FIRST_OF_EACH)
def test_a_fault_is_an_error(chosen: Chosen, tmp_path: Path) -> None:
    fault = ("return 0;", "__builtin_trap(); return 0;")
    with pytest.raises(MismatchError, match="the core stopped with a fault"):
        run_tiny(chosen, tmp_path, fault)


@on(FIRST_OF_EACH)
def test_an_access_to_nowhere_is_an_error(chosen: Chosen, tmp_path: Path) -> None:
    access = ("return 0;", "return *(volatile int *)0xD0000000u;")
    with pytest.raises(MismatchError, match="the core stopped with a fault"):
        run_tiny(chosen, tmp_path, access)


UNALIGNED = ("return 0;", "return *(volatile int32_t *)(base + 1) == 0x7fffffff;")


@on([("qemu", "cortex-m0plus")])
def test_an_unaligned_access_is_an_error_on_the_smallest_core(
    chosen: Chosen, tmp_path: Path
) -> None:
    with pytest.raises(MismatchError, match="the core stopped with a fault"):
        run_tiny(chosen, tmp_path, UNALIGNED)


@on([("qemu", "cortex-m4")])
def test_an_unaligned_access_is_none_on_a_larger_core(chosen: Chosen, tmp_path: Path) -> None:
    run_tiny(chosen, tmp_path, UNALIGNED)


@pytest.mark.slow
@on(FIRST_OF_EACH)
def test_a_program_that_does_not_end_is_an_error(chosen: Chosen, tmp_path: Path) -> None:
    endless = ("return 0;", 'for (;;) { __asm volatile(""); }')
    with pytest.raises(ToolchainError, match=r"did not finish within 0\.5 s"):
        run_tiny(chosen, tmp_path, endless, seconds=0.5)


@on(FIRST_OF_EACH)
def test_a_network_that_says_no_is_an_error(chosen: Chosen, tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="invoke failed"):
        run_tiny(chosen, tmp_path, ("return 0;", "return -1;"))


@on(FIRST_OF_EACH)
@pytest.mark.parametrize("where", ["-1", "TINY_ARENA_BYTES"])
def test_a_write_beside_the_arena_is_an_error(chosen: Chosen, tmp_path: Path, where: str) -> None:
    write = ("return 0;", f"base[{where}] = 1; return 0;")
    with pytest.raises(MismatchError, match="memory beyond the arena was overwritten"):
        run_tiny(chosen, tmp_path, write)


@pytest.mark.slow
@on(PAIRS)
def test_a_profile_is_plausible(
    chosen: Chosen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, core = chosen
    monkeypatch.setenv(engines.ENGINE_VARIABLE, "qemu" if "QEMU" in engine.title else "unicorn")
    profile = profile_target(write_tiny(tmp_path), core)
    assert profile.engine == engine.title
    assert len(profile.layers) == 2
    added = sum(layer.instructions for layer in profile.layers)
    assert abs(added - profile.instructions) <= 0.05 * profile.instructions
    assert all(40 < layer.instructions <= layer.cycles < 2000 for layer in profile.layers)
    assert profile.static_ram_bytes == 0
    assert 8 <= profile.stack_bytes < 200
    assert 50 < profile.flash_bytes < 1000
    assert profile.checksum == expected_checksum()


def expected_checksum() -> int:
    """FNV-1a of the reference's output for the test program's input, Marsaglia's xorshift32."""
    word, values = 1, []
    for _ in range(2 * LEN):
        word ^= word << 13 & 0xFFFFFFFF
        word ^= word >> 17
        word ^= word << 5 & 0xFFFFFFFF
        values.append(word >> 24)
    inputs = np.array(values, np.uint8).view(np.int8).reshape(2, 1, LEN)
    checksum = 2166136261
    for byte in tiny_reference((inputs[0], inputs[1]))[1].tobytes():
        checksum = (checksum ^ byte) * 16777619 & 0xFFFFFFFF
    return checksum


@pytest.mark.slow
@pytest.mark.parametrize("name", ARM)
def test_both_engines_count_the_same(
    name: str, tmp_path: Path, tool: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    core = core_named(name).core
    tool(core.gcc)
    tool(core.simulator.qemu)
    pytest.importorskip("unicorn", reason="needs the unicorn package")
    program = write_tiny(tmp_path)
    found = set()
    for chosen in engines.ENGINES:
        monkeypatch.setenv(engines.ENGINE_VARIABLE, chosen)
        profile = profile_target(program, core)
        found.add((profile.instructions, profile.cycles, profile.layers, profile.stack_bytes))
    assert len(found) == 1


def test_without_a_simulator_the_remedy_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(engines.ENGINE_VARIABLE, raising=False)
    with pytest.raises(MissingToolError, match=r"install qemu-system-riscv32$"):
        engine_for(core_named("riscv32imc").core)
    monkeypatch.setenv(engines.ENGINE_VARIABLE, "qemu")
    with pytest.raises(MissingToolError, match=r"install qemu-system-arm or `pip install"):
        engine_for(core_named("cortex-m4").core)


def test_an_unknown_engine_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(engines.ENGINE_VARIABLE, "spike")
    with pytest.raises(OptionError, match="MCUGEN_ENGINE is 'spike'; expected one of"):
        engine_for(core_named("cortex-m4").core)
