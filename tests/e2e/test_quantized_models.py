# SPDX-License-Identifier: Apache-2.0
"""Models that bring their own quantization, from the file to verified C."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import ExportedProgram

import mcugen as package
from mcugen.evaluate import stored_inputs
from mcugen.frontend.load import LoadOptions
from mcugen.frontend.run import run_program
from mcugen.pipeline import Compilation, CompileOptions, compile_graph
from mcugen.source import open_model
from tests.command import build, refused
from tests.model_files import exported, saved
from tests.quantized_models import SHAPE, TENSORS, QuantizedNet, layer_differences, rounded


@pytest.fixture(scope="module")
def program() -> ExportedProgram:
    return exported(QuantizedNet(), SHAPE)


@pytest.fixture(scope="module")
def quantized_file(program: ExportedProgram, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(program, tmp_path_factory.mktemp("quantized") / "net.pt2")


def noise(count: int, *shape: int) -> NDArray[np.float32]:
    return 1.2 * np.random.default_rng(0).standard_normal((count, *shape)).astype(np.float32)


@pytest.mark.slow
def test_its_scales_stand_in_the_report_and_nothing_is_calibrated(
    quantized_file: Path, tmp_path: Path
) -> None:
    folder = build(quantized_file, out=tmp_path / "net")
    report = json.loads((folder / "report.json").read_text("utf-8"))
    assert report["model_kind"] == "torch.export archive, quantized"
    [warning] = report["warnings"]
    assert "the errors of layers are those on synthetic inputs" in warning
    assert report["outputs"][0]["sqnr_db"] > 20.0, "synthetic inputs span the stated range"
    held = [*report["inputs"], *report["layers"], *report["outputs"]]
    stated = {float(np.float32(scale)): zero_point for scale, zero_point in TENSORS.items()}
    assert {entry["scale"]: entry["zero_point"] for entry in held} == stated
    assert report["verification"]["host"]["mismatches"] == 0


@pytest.mark.slow
def test_the_c_computes_what_torch_computes(program: ExportedProgram, tmp_path: Path) -> None:
    package.build(program, board="cortex-m4", out=tmp_path / "net", simulate=0)
    x = noise(40, *SHAPE[1:])
    with package.load(tmp_path / "net") as network:
        got = network(x)
    want = np.concatenate([run_program(program, [torch.from_numpy(s[None])])[0] for s in x])
    assert isinstance(got, np.ndarray)
    off = np.rint((got - want) / 0.11)
    assert np.abs(off).max() <= 1
    assert np.mean(off == 0) > 0.95
    assert np.std(want) > 10 * 0.11, "the outputs are worth comparing"


def test_it_trains_on_with_its_own_scales(program: ExportedProgram) -> None:
    x = noise(32, *SHAPE[1:])
    labels = np.arange(32) % 3
    made = package.finetune(program, train=(x, labels), epochs=1, train_scales=False).network
    scales = {q.scale for q in made.quantization.tensors.values()}
    assert scales == {float(np.float32(scale)) for scale in TENSORS}


@pytest.mark.parametrize(
    ("command", "options", "telling"),
    [
        ("build", ("--quant", "adaround"), "leave out the options of quantization (adaround"),
        ("build", ("--weights", "int4"), "leave out the options of quantization"),
        ("build", ("--prune", "obs", "--sparsity", "0.5"), "leave out --prune"),
        ("quantize", (), "brings its own quantization; there is nothing to choose"),
    ],
)
def test_what_the_model_has_settled_cannot_be_chosen(
    quantized_file: Path,
    tmp_path: Path,
    command: str,
    options: tuple[str, ...],
    telling: str,
) -> None:
    data = tmp_path / "x.npy"
    np.save(data, noise(4, *SHAPE[1:]))
    board = ("--board", "cortex-m4", "--out", tmp_path / "out") if command == "build" else ()
    told = refused(command, quantized_file, *board, "--calib", data, *options)
    assert telling in told
    assert not (tmp_path / "out").exists()


class Partly(nn.Module):
    """Only the operands and weights of the convolution are quantized, as for a server."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        weight = rounded(self.conv.weight, 0.002, 0, -127, 127)
        y: Tensor = nn.functional.conv2d(rounded(x, 0.025, 3), weight, self.conv.bias)
        return y.flatten(1)


@pytest.mark.slow
def test_what_is_left_unsaid_is_told(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = saved(exported(Partly(), SHAPE), tmp_path / "net.pt2")
    data = tmp_path / "x.npy"
    np.save(data, noise(8, *SHAPE[1:]))
    for options, whence in (((), "synthetic inputs"), (("--calib", data), "the calibration data")):
        folder = build(path, *options, out=tmp_path / "net")
        warning, *others = json.loads((folder / "report.json").read_text("utf-8"))["warnings"]
        assert len(others) == (not options)
        assert f"does not quantize these tensors; their ranges come from {whence}" in warning
        assert warning.endswith(": conv2d")


def test_a_damaged_operator_of_the_namespace_is_refused(
    quantized_file: Path, tmp_path: Path
) -> None:
    from tests.model_files import with_json

    def edit(content: dict[str, Any]) -> None:
        for node in content["graph_module"]["graph"]["nodes"]:
            node["target"] = node["target"].replace("quantize_per_tensor.", "quantize_per_token.")

    path = with_json(quantized_file, tmp_path / "bad.pt2", "models/model.json", edit)
    told = refused("build", path, "--board", "cortex-m4", "--out", tmp_path / "out")
    assert "operator quantized_decomposed.quantize_per_token.default is not supported" in told


# networks that torchao itself quantizes


class Branches(nn.Module):
    """Float32 [1, 1, 12, 12] to [1, 4]: batch norms, a depthwise layer, a sum, a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.left = nn.Sequential(depthwise, nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 1))
        self.pool = nn.MaxPool2d(2)
        self.narrow = nn.Conv2d(16, 6, 1)
        self.last = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y = torch.relu(x + self.left(x))
        z = torch.cat([self.pool(y), nn.functional.avg_pool2d(x, 2)], 1)
        z = torch.relu(self.narrow(z))
        scores: Tensor = self.last(z.mean((2, 3)))
        return scores


IMAGE = (1, 12, 12)


def quantizer(name: str, per_channel: bool) -> Any:
    if name == "xnnpack":
        made = pytest.importorskip("torchao.testing.pt2e._xnnpack_quantizer")
        config = made.get_symmetric_quantization_config(is_per_channel=per_channel)
        return made.XNNPACKQuantizer().set_global(config)
    made = pytest.importorskip(f"torchao.quantization.pt2e.quantizer.{name}_inductor_quantizer")
    config = getattr(made, f"get_default_{name}_inductor_quantization_config")()
    return getattr(made, f"{name.capitalize()}InductorQuantizer")().set_global(config)


def quantized_by_torchao(name: str, per_channel: bool) -> ExportedProgram:
    steps = pytest.importorskip(
        "torchao.quantization.pt2e.quantize_pt2e", reason="torchao is not installed"
    )
    torch.manual_seed(0)
    sample = (torch.zeros(1, *IMAGE),)
    traced: Any = torch.export.export(Branches().eval(), sample).module()
    prepared = steps.prepare_pt2e(traced, quantizer(name, per_channel))
    for x in noise(16, *IMAGE):
        prepared(torch.from_numpy(x[None]))
    return torch.export.export(steps.convert_pt2e(prepared), sample)


def compiled(program: ExportedProgram) -> Compilation:
    source = open_model(program, LoadOptions())
    x = noise(16, *IMAGE)
    source.check([x])
    return compile_graph(source.graph, stored_inputs(source.graph, [x]), CompileOptions())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("per_channel", [True, False])
def test_networks_of_torchao_agree_within_a_step_layer_by_layer(per_channel: bool) -> None:
    program = quantized_by_torchao("xnnpack", per_channel)
    made = compiled(program)
    assert made.settled is not None
    assert made.settled.observed == ()
    kinds = [node.op.kind for node in made.settled.graph.nodes]
    assert "fake_quantize" not in kinds and "clip" not in kinds
    off = layer_differences(program, made.uncut_graph, list(noise(24, *IMAGE)[:, None]))
    assert len(off) >= 9
    assert max(int(np.abs(steps).max()) for steps in off.values()) <= 1
    assert min(float(np.mean(steps == 0)) for steps in off.values()) > 0.95


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["x86", "arm"])
def test_networks_that_are_quantized_in_part_are_filled_in(name: str) -> None:
    program = quantized_by_torchao(name, True)
    made = compiled(program)
    assert made.settled is not None
    assert made.settled.observed == ("left_3_conv2d", "narrow_conv2d", "last_linear")
    off = layer_differences(program, made.uncut_graph, list(noise(24, *IMAGE)[:, None]))
    unsaid = set(made.settled.observed)  # and what is made of such tensors without torch's own
    for node in made.settled.graph.nodes:
        unsaid |= {node.name} if unsaid & (set(node.inputs) - set(off)) else set()
    stated = [steps for name, steps in off.items() if name not in unsaid]
    assert len(stated) >= 3
    clipped = any("became -127" in note for note in made.settled.notes)
    assert max(int(np.abs(steps).max()) for steps in stated) <= (2 if clipped else 1)
