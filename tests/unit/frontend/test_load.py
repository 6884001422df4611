# SPDX-License-Identifier: Apache-2.0
"""Every kind of model, told apart by content, gives the program that computes the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mcugen.errors import ModelError, UnsupportedOpError
from mcugen.frontend.export import origin_of, to_graph
from mcugen.frontend.load import Loaded, LoadOptions, load
from tests.model_files import (
    SHAPE,
    SmallNet,
    dynamic_batch,
    exported,
    saved,
    small_net,
    with_json,
)

WITH_SHAPE = LoadOptions(input_shapes=(SHAPE,))
PLAIN = LoadOptions()


def check_same(loaded: Loaded, net: nn.Module, shape: tuple[int, ...] = SHAPE) -> None:
    torch.manual_seed(1)
    x = torch.randn(shape)
    with torch.no_grad():
        got = loaded.program.module()(x)
        assert torch.equal(got, net(x))


def origins(loaded: Loaded) -> list[str]:
    nodes = loaded.program.graph.nodes
    return [str(origin_of(node)) for node in nodes if node.op == "call_function"]


def test_export_archive(pt2: Path, net: SmallNet) -> None:
    loaded = load(pt2, PLAIN)
    assert (loaded.name, loaded.kind, loaded.warnings) == ("net", "torch.export archive", ())
    check_same(loaded, net)


def test_export_archive_under_another_name(pt2: Path, tmp_path: Path, net: SmallNet) -> None:
    path = tmp_path / "digits.pt"
    shutil.copy(pt2, path)
    loaded = load(str(path), PLAIN)
    assert (loaded.name, loaded.kind) == ("digits", "torch.export archive")
    check_same(loaded, net)


@pytest.mark.parametrize("kind", ["scripted", "traced"])
def test_torchscript(kind: str, request: pytest.FixtureRequest, net: SmallNet) -> None:
    loaded = load(request.getfixturevalue(kind), WITH_SHAPE)
    assert loaded.kind == "TorchScript"
    check_same(loaded, net)
    assert origins(loaded)[:2] == ["features.0", "features.1"]
    assert set(loaded.program.state_dict) <= set(net.state_dict())


def test_state_dict(state: Path, arch: str, net: SmallNet) -> None:
    loaded = load(state, LoadOptions(input_shapes=(SHAPE,), arch=arch))
    assert loaded.kind == "state dict"
    check_same(loaded, net)


def test_pickled_module(pickled: Path, net: SmallNet) -> None:
    loaded = load(pickled, LoadOptions(input_shapes=(SHAPE,), trust_pickle=True))
    assert loaded.kind == "pickled module"
    check_same(loaded, net)


def test_module(net: SmallNet) -> None:
    loaded = load(net, WITH_SHAPE)
    assert (loaded.name, loaded.kind, loaded.warnings) == ("SmallNet", "module", ())
    check_same(loaded, net)


def test_module_is_exported_in_evaluation_mode_and_left_as_it_is() -> None:
    net = small_net().train()
    before = {name: t.clone() for name, t in net.state_dict().items()}
    loaded = load(net, WITH_SHAPE)
    assert net.training and net.features[1].training
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    check_same(loaded, net.eval())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.bfloat16])
def test_other_float_types_become_float32(dtype: torch.dtype) -> None:
    net = small_net().to(dtype)
    loaded = load(net, WITH_SHAPE)
    name = str(dtype).removeprefix("torch.")
    assert loaded.warnings == (f"tensors of type {name} are taken as float32",)
    assert next(net.parameters()).dtype == dtype
    check_same(loaded, net.float())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("as_file", [False, True])
def test_programs_of_other_float_types_become_float32(
    dtype: torch.dtype, as_file: bool, tmp_path: Path
) -> None:
    class Cast(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            scores: Tensor = self[0](x)
            return scores.to(dtype)

    net = Cast(small_net()).to(dtype).eval()
    program = torch.export.export(net, (torch.zeros(SHAPE, dtype=dtype),))
    loaded = load(saved(program, tmp_path / "n.pt2") if as_file else program, PLAIN)
    assert "are taken as float32" in loaded.warnings[0]
    check_same(loaded, small_net().to(dtype).float())


@pytest.mark.slow
def test_compiled_module_is_unwrapped(net: SmallNet) -> None:
    loaded = load(torch.compile(net), WITH_SHAPE)  # type: ignore[arg-type]
    assert loaded.name == "SmallNet"
    check_same(loaded, net)


def test_script_module_in_memory(net: SmallNet) -> None:
    loaded = load(torch.jit.script(net), WITH_SHAPE)
    assert (loaded.name, loaded.kind) == ("SmallNet", "TorchScript")
    check_same(loaded, net)


def test_exported_program_in_memory(net: SmallNet) -> None:
    program = exported(net, SHAPE)
    loaded = load(program, PLAIN)
    assert loaded.kind == "exported program" and loaded.program is program


def test_something_else_is_refused() -> None:
    with pytest.raises(ModelError, match=r"an nn\.Module, an ExportedProgram or a path, got a int"):
        load(3, PLAIN)  # type: ignore[arg-type]


def test_dynamic_batch_of_an_archive_is_pinned(dynamic_pt2: Path, net: SmallNet) -> None:
    loaded = load(dynamic_pt2, PLAIN)
    assert loaded.warnings == (
        "the dynamic batch of x is compiled as 1: firmware runs one sample a call",
    )
    check_same(loaded, net)
    graph = to_graph(loaded.program, "net")
    assert graph.by_name[graph.outputs[0]].shape == (3,)


def test_dynamic_batch_of_a_program_is_pinned(net: SmallNet) -> None:
    loaded = load(dynamic_batch(net), PLAIN)
    assert "dynamic batch of x" in loaded.warnings[0]
    check_same(loaded, net)
    assert [o for o in origins(loaded) if o.startswith("features.0 (model_files.py:")]


def test_dynamic_batch_of_at_least_four(net: SmallNet) -> None:
    with pytest.raises(ModelError, match="'x' was exported for batches of at least 4"):
        load(dynamic_batch(net, least=4), PLAIN)


def test_another_dynamic_axis() -> None:
    net = nn.Conv2d(1, 2, 3)
    program = exported(net, (1, 1, 9, 9), dynamic=({2: torch.export.Dim("h", min=4)},))
    with pytest.raises(ModelError, match=r"'input' has a dynamic size on axis 2.*axis static"):
        load(program, PLAIN)


def test_archive_says_where_a_layer_stands(pt2: Path) -> None:
    found = origins(load(pt2, PLAIN))
    line = _line_of("y = self.features(x)")
    assert found[0] == f"features.0 (model_files.py:{line})"
    assert found[-1].startswith("fc (model_files.py:")


def _line_of(text: str) -> int:
    from tests import model_files

    lines = Path(str(model_files.__file__)).read_text(encoding="utf-8").splitlines()
    return 1 + next(i for i, line in enumerate(lines) if text in line)


@pytest.mark.parametrize("as_file", [False, True])
def test_unsupported_operator_is_placed(as_file: bool, tmp_path: Path) -> None:
    class Cross(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            product: Tensor = torch.linalg.cross(x, x)
            return product

    program = exported(nn.Sequential(nn.ReLU(), Cross()), (1, 4, 3))
    loaded = load(saved(program, tmp_path / "n.pt2") if as_file else program, PLAIN)
    with pytest.raises(UnsupportedOpError, match=r"1 \(test_load\.py:\d+\): .*linalg_cross"):
        to_graph(loaded.program, "net")


@pytest.mark.parametrize("kind", ["scripted", "traced", "module", "state"])
def test_missing_shape_is_asked_for(
    kind: str, request: pytest.FixtureRequest, net: SmallNet, arch: str
) -> None:
    model = net if kind == "module" else request.getfixturevalue(kind)
    with pytest.raises(ModelError, match=r"--input-shape 1,1,28,28"):
        load(model, LoadOptions(arch=arch))


@pytest.mark.parametrize("kind", ["scripted", "module"])
def test_wrong_shape_tells_what_failed(
    kind: str, request: pytest.FixtureRequest, net: SmallNet
) -> None:
    model = net if kind == "module" else request.getfixturevalue(kind)
    with pytest.raises(ModelError, match=r"does not run on float32 input of shape \[1, 1, 7, 7\]"):
        load(model, LoadOptions(input_shapes=((1, 1, 7, 7),)))


@pytest.mark.parametrize("shape", [(), (0,), (1, -1), (1 << 15, 1 << 15)])
def test_impossible_shapes(shape: tuple[int, ...], net: SmallNet) -> None:
    with pytest.raises(ModelError, match=r"is no shape of a network's input"):
        load(net, LoadOptions(input_shapes=(shape,)))


def test_wrong_number_of_inputs(net: SmallNet) -> None:
    with pytest.raises(ModelError, match=r"once for each input"):
        load(net, LoadOptions(input_shapes=(SHAPE, SHAPE)))


def test_shape_that_contradicts_the_file(pt2: Path) -> None:
    with pytest.raises(ModelError, match=r"takes \[1, 1, 6, 6\], but --input-shape says \[1, 6\]"):
        load(pt2, LoadOptions(input_shapes=((1, 6),)))
    assert load(pt2, WITH_SHAPE).kind == "torch.export archive"


def test_batch_of_eight_is_refused(net: SmallNet) -> None:
    with pytest.raises(ModelError, match=r"a batch of 8; .* export with a batch of 1"):
        load(exported(net, (8, 1, 6, 6)), PLAIN)


def test_rows_that_may_be_a_batch_are_warned_of() -> None:
    loaded = load(exported(nn.Linear(4, 2), (8, 4)), PLAIN)
    assert "of shape [8, 4] is compiled as one sample" in loaded.warnings[0]


def test_empty_axis_is_refused() -> None:
    with pytest.raises(ModelError, match=r"has shape \[1, 0, 4\]"):
        load(exported(nn.Linear(4, 2), (1, 0, 4)), PLAIN)


def test_two_inputs_and_outputs(tmp_path: Path) -> None:
    class Two(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
            return {"sum": a + b, "double": a * 2}

    path = saved(exported(Two(), (1, 4), (1, 4)), tmp_path / "two.pt2")
    graph = to_graph(load(path, PLAIN).program, "two")
    assert len(graph.inputs) == len(graph.outputs) == 2
    assert (
        len(to_graph(load(Two(), LoadOptions(input_shapes=((1, 4),) * 2)).program, "t").inputs) == 2
    )


def test_cannot_be_traced() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ModelError, match=r"torch\.export cannot trace the network"):
        load(Branching(), LoadOptions(input_shapes=((1, 4),)))


def test_non_finite_weights_are_all_named(tmp_path: Path, net: SmallNet) -> None:
    bad = small_net()
    with torch.no_grad():
        bad.fc.bias[1] = float("nan")
        bad.get_parameter("features.0.weight")[0, 0, 0, 0] = float("inf")
    pattern = r"not finite .* in: features\.0\.weight, fc\.bias$"
    with pytest.raises(ModelError, match=pattern):
        load(bad, WITH_SHAPE)
    with pytest.raises(ModelError, match=pattern):
        load(saved(exported(bad, SHAPE), tmp_path / "bad.pt2"), PLAIN)


@pytest.mark.parametrize("as_file", [False, True])
def test_stateful_network_is_refused(as_file: bool, tmp_path: Path) -> None:
    program = exported(nn.BatchNorm1d(4), (2, 4)).run_decompositions()  # in training mode
    with pytest.raises(ModelError, match=r"its own running_mean.*; call model\.eval\(\)"):
        load(saved(program, tmp_path / "train.pt2") if as_file else program, PLAIN)


def test_operator_outside_aten_is_placed(pt2: Path, tmp_path: Path) -> None:
    def edit(program: dict[str, object]) -> None:
        nodes = program["graph_module"]["graph"]["nodes"]  # type: ignore[index]
        for node in nodes:
            if "relu" in node["target"]:
                node["target"] = "torch.ops.torchvision.nms.default"

    path = with_json(pt2, tmp_path / "n.pt2", "models/model.json", edit)
    pattern = r"features\.2 \(model_files\.py:\d+\): operator torchvision\.nms\.default"
    with pytest.raises(UnsupportedOpError, match=pattern):
        load(path, PLAIN)


def test_torch_speaks_only_through_warnings(
    scripted: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    load(scripted, WITH_SHAPE)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.parametrize("name", ["mnist_cnn", "ic_resnet8", "kws_dscnn_asdeployed"])
def test_published_networks(name: str, shared: Path) -> None:
    model = shared / "models" / name
    loaded = load(model.with_suffix(".pt2"), PLAIN)
    whole = LoadOptions(input_shapes=(tuple(_inputs(loaded)[0].shape),), trust_pickle=True)
    again = load(model.with_suffix(".pt"), whole)
    x = torch.rand(_inputs(loaded)[0].shape)
    with torch.no_grad():
        assert torch.equal(loaded.program.module()(x), again.program.module()(x))


def _inputs(loaded: Loaded) -> list[Tensor]:
    nodes = loaded.program.graph.nodes
    return [
        n.meta["val"] for n in nodes if n.op == "placeholder" and n.name[:2] not in ("p_", "b_")
    ]
