# SPDX-License-Identifier: Apache-2.0
"""Generated C in programs of its own: under sanitizers, and on a simulated core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mcugen.boards import core_named
from mcugen.emit.write import write_files
from mcugen.errors import MismatchError, ToolchainError
from mcugen.pipeline import Compilation, CompileOptions, compile_graph
from mcugen.simulate.program import program_of
from mcugen.toolchains import host_compiler
from mcugen.verify.compare import compare
from mcugen.verify.inputs import verification_inputs
from mcugen.verify.sanitized import SanitizedNetwork
from mcugen.verify.target import TargetNetwork
from tests.ops.harness import export, random_inputs, stored_inputs
from tests.tiny_network import tiny_inputs, tiny_reference, write_tiny

CORES = ["cortex-m0plus", "cortex-m4", "cortex-m55", "riscv32imc"]


@pytest.fixture(scope="module")
def compiled() -> Compilation:
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(12, 16), torch.nn.Sigmoid(), torch.nn.Linear(16, 16), torch.nn.Linear(16, 5)
    )
    graph = export(module, (1, 12))
    return compile_graph(graph, stored_inputs(graph, random_inputs(graph)), CompileOptions())


@pytest.fixture
def sanitizers(tool: Callable[[str], str]) -> None:
    tool("cc")


@pytest.mark.usefixtures("sanitizers")
def test_the_sanitizers_find_nothing(compiled: Compilation, tmp_path: Path) -> None:
    write_files(tmp_path, compiled.files)
    inputs = verification_inputs(compiled.graph, None, 30)
    with SanitizedNetwork(program_of(tmp_path, compiled.graph)) as network:
        result = compare(compiled.graph, network, inputs)
    assert (result.target, result.inputs) == ("host with sanitizers", len(inputs[0]))
    assert result.tensors == len(compiled.graph.layers) >= 3


@pytest.mark.usefixtures("sanitizers")
def test_every_tensor_of_two_inputs(tmp_path: Path) -> None:
    with SanitizedNetwork(write_tiny(tmp_path)) as network:
        traces, outputs = network.trace(tiny_inputs())
    np.testing.assert_array_equal(traces, tiny_reference(tiny_inputs())[0])
    np.testing.assert_array_equal(outputs[0], tiny_reference(tiny_inputs())[1])


@pytest.mark.usefixtures("sanitizers")
@pytest.mark.parametrize(
    ("change", "report"),
    [
        (("TINY_ARENA_BYTES 128", "TINY_ARENA_BYTES 119"), r"heap-buffer-overflow[\s\S]*tiny\.c"),
        (
            ("table[i % 4]", "table[i % 5]"),
            r"tiny\.c:\d+:\d+: runtime error: index 4 out of bounds",
        ),
        (("base[i] + base[40 + i]", "base[i] * 0x7ffffff"), "signed integer overflow"),
        (("return 0;", "return -1;"), "harness: invoke failed"),
    ],
)
def test_the_sanitizers_report(tmp_path: Path, change: tuple[str, str], report: str) -> None:
    with (
        SanitizedNetwork(write_tiny(tmp_path, change)) as network,
        pytest.raises(MismatchError, match=report) as caught,
    ):
        network.trace(tiny_inputs())
    assert str(tmp_path) not in str(caught.value)


def test_a_compiler_without_sanitizers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ziglang", reason="needs the ziglang package")
    monkeypatch.setenv("PATH", str(tmp_path))
    host_compiler.cache_clear()
    try:
        with pytest.raises(ToolchainError, match="no address sanitizer: use gcc or clang"):
            SanitizedNetwork(write_tiny(tmp_path))
    finally:
        host_compiler.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("name", CORES)
def test_a_core_computes_what_the_reference_says(
    name: str, compiled: Compilation, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    core = core_named(name).core
    tool(core.gcc)
    tool(core.simulator.qemu)
    write_files(tmp_path, compiled.files)
    inputs = verification_inputs(compiled.graph, None, 40)
    with TargetNetwork(program_of(tmp_path, compiled.graph), core) as network:
        result = compare(compiled.graph, network, inputs)
        assert result.target == f"{name} ({network.engine}, {network.compiler})"
    assert (result.inputs, result.tensors) == (len(inputs[0]), len(compiled.graph.layers))


def test_a_wrong_layer_on_the_core_is_named(
    compiled: Compilation, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    core = core_named("cortex-m4").core
    tool(core.gcc)
    tool(core.simulator.qemu)
    write_files(tmp_path, compiled.files)
    source = tmp_path / f"{compiled.graph.name}.c"
    layer = compiled.graph.layers[1]
    mark = "    MCUGEN_TRACE_LAYER(1u, "
    before, rest = source.read_text("utf-8").split(mark)
    pointer = rest.partition(",")[0]
    source.write_text(f"{before}    ({pointer})[3] ^= 1;\n{mark}{rest}", encoding="utf-8")
    inputs = verification_inputs(compiled.graph, None, 10)
    with (
        TargetNetwork(program_of(tmp_path, compiled.graph), core) as network,
        pytest.raises(MismatchError, match=rf"cortex-m4 .*: layer {layer.name} .* at \[3\]"),
    ):
        compare(compiled.graph, network, inputs)
