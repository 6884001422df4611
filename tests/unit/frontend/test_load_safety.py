# SPDX-License-Identifier: Apache-2.0
"""Malicious model files: each would make a file if it were loaded carelessly, and none does."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mcugen.errors import ModelError
from mcugen.frontend.load import LoadOptions, load
from tests.model_files import (
    SHAPE,
    SmallNet,
    Touch,
    malicious_pickle,
    members_of,
    with_json,
    with_member,
    write_members,
)

OPTIONS = LoadOptions(input_shapes=(SHAPE,))
MODEL = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """The file that a successful attack makes."""
    return tmp_path / "mark"


def refused(path: Path, mark: Path, pattern: str = "") -> None:
    with pytest.raises(ModelError, match=pattern):
        load(path, OPTIONS)
    assert not mark.exists()


def nodes_of(program: dict[str, Any]) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = program["graph_module"]["graph"]["nodes"]
    return nodes


def test_torch_itself_runs_pickled_sample_inputs(pt2: Path, tmp_path: Path, mark: Path) -> None:
    """The attack works, or the tests below would show nothing."""
    buffer = io.BytesIO()
    torch.save(((Touch(mark),), {}), buffer)
    path = with_member(pt2, tmp_path / "n.pt2", "data/sample_inputs/model.pt", buffer.getvalue())
    load(path, OPTIONS)
    assert not mark.exists()
    with contextlib.suppress(Exception):  # its own warning of this has a wrong format string
        torch.export.load(str(path))
    assert mark.exists()


@pytest.mark.parametrize(("folder", "member"), [("weights", WEIGHTS), ("constants", CONSTANTS)])
def test_pickled_tensors(folder: str, member: str, pt2: Path, tmp_path: Path, mark: Path) -> None:
    def edit(config: dict[str, Any]) -> None:
        path = "weight_0" if folder == "weights" else "opaque_obj_0"
        config["config"]["evil"] = {
            "path_name": path,
            "is_param": True,
            "use_pickle": True,
            "tensor_meta": None,
        }

    path = with_json(pt2, tmp_path / "a.pt2", member, edit)
    name = "weight_0" if folder == "weights" else "opaque_obj_0"
    path = with_member(path, tmp_path / "b.pt2", f"data/{folder}/{name}", malicious_pickle(mark))
    refused(path, mark, r"pickled objects \(evil\)")


def attack_size(program: dict[str, Any], code: str) -> None:
    program["graph_module"]["graph"]["tensor_values"]["x"]["sizes"][0] = {
        "as_expr": {"expr_str": code, "hint": {"as_int": 1}}
    }


def attack_inner_size(program: dict[str, Any], code: str) -> None:
    program["graph_module"]["graph"]["tensor_values"]["conv2d"]["sizes"][0] = {
        "as_expr": {"expr_str": f"Mul(Integer(1), {code})", "hint": {"as_int": 1}}
    }


def attack_symbol(program: dict[str, Any], code: str) -> None:
    program["graph_module"]["graph"]["sym_int_values"]["s"] = {
        "as_expr": {"expr_str": code, "hint": {"as_int": 1}}
    }
    arguments = next(n for n in nodes_of(program) if "view" in n["target"])["inputs"]
    arguments[1]["arg"] = {"as_sym_ints": [{"as_name": "s"}, {"as_int": -1}]}


def attack_node_name(program: dict[str, Any], code: str) -> None:
    node = nodes_of(program)[0]
    node["name"] = f"y={code}"


def attack_input_name(program: dict[str, Any], code: str) -> None:
    graph = program["graph_module"]["graph"]
    name = f"x={code}"
    graph["inputs"][-1]["as_tensor"]["name"] = name
    graph["tensor_values"][name] = graph["tensor_values"].pop("x")
    specs = program["graph_module"]["signature"]["input_specs"]
    specs[-1]["user_input"]["arg"]["as_tensor"]["name"] = name
    nodes_of(program)[0]["inputs"][0]["arg"]["as_tensor"]["name"] = name


def attack_parameter_name(program: dict[str, Any], code: str) -> None:
    spec = program["graph_module"]["signature"]["input_specs"][0]
    spec["parameter"]["parameter_name"] = f"x={code}"


def attack_target(program: dict[str, Any], code: str) -> None:
    nodes_of(program)[0]["target"] = "torch.hub.os.system"


def attack_operator(program: dict[str, Any], code: str) -> None:
    node = nodes_of(program)[0]
    node["target"] = "torch.ops.aten.from_file.default"
    node["inputs"] = [
        {"name": "filename", "arg": {"as_string": code}, "kind": 1},
        {"name": "shared", "arg": {"as_bool": True}, "kind": 1},
        {"name": "size", "arg": {"as_int": 8}, "kind": 1},
    ]


def attack_save(program: dict[str, Any], code: str) -> None:
    node = nodes_of(program)[0]
    node["target"] = "torch.ops.aten.save.default"
    node["inputs"] = [{"name": "filename", "arg": {"as_string": code}, "kind": 1}]


def attack_python_operator(program: dict[str, Any], code: str) -> None:
    nodes_of(program)[0]["target"] = "_operator.methodcaller"


def attack_operator_argument(program: dict[str, Any], code: str) -> None:
    nodes_of(program)[0]["inputs"][1]["arg"] = {"as_operator": "torch.hub.os.system"}


def attack_object_argument(program: dict[str, Any], code: str) -> None:
    argument = {"as_custom_obj": {"name": "evil", "class_fqn": "evil"}}
    nodes_of(program)[0]["inputs"][1]["arg"] = argument


def attack_object_input(program: dict[str, Any], code: str) -> None:
    specs = program["graph_module"]["signature"]["input_specs"]
    specs[0] = {"custom_obj": {"arg": {"name": "p", "class_fqn": "e"}, "custom_obj_name": "e"}}


REFUSED_ATTACKS: list[Callable[[dict[str, Any], str], None]] = [
    attack_size, attack_inner_size, attack_symbol, attack_node_name, attack_input_name,
    attack_parameter_name, attack_target, attack_operator, attack_save, attack_python_operator,
    attack_operator_argument, attack_object_argument, attack_object_input,
]  # fmt: skip


@pytest.mark.parametrize("attack", REFUSED_ATTACKS, ids=lambda attack: attack.__name__)
def test_code_in_the_graph(
    attack: Callable[[dict[str, Any], str], None], pt2: Path, tmp_path: Path, mark: Path
) -> None:
    direct = attack in (attack_operator, attack_save)
    code = str(mark) if direct else f"__import__('pathlib').Path({str(mark)!r}).touch()"
    refused(with_json(pt2, tmp_path / "n.pt2", MODEL, lambda p: attack(p, code)), mark)


def test_torch_itself_evaluates_sizes(pt2: Path, tmp_path: Path, mark: Path) -> None:
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    path = with_json(pt2, tmp_path / "n.pt2", MODEL, lambda p: attack_size(p, code))
    with contextlib.suppress(Exception):
        torch.export.load(str(path))
    assert mark.exists()


def attack_guards(program: dict[str, Any], code: str) -> None:
    program["guards_code"] = [code]


def attack_treespec(program: dict[str, Any], code: str) -> None:
    call = program["graph_module"]["module_call_graph"][0]["signature"]
    context = '{\\"__enum__\\": true, \\"fqn\\": \\"evil_module:E\\", \\"name\\": \\"A\\"}'
    call["out_spec"] = (
        f'[1, {{"type": "builtins.dict", "context": "[{context}]", "children_spec": []}}]'
    )


def attack_metadata(program: dict[str, Any], code: str) -> None:
    for node in nodes_of(program):
        node["metadata"]["source_fn_stack"] = f"x,torch.hub.os.system(;{code}"
        node["metadata"]["nn_module_stack"] = f"a,b,{code};{code}"
        node["metadata"]["stack_trace"] = f'File "x.py", line 1\n{code}\n\x1b[2J'
        node["metadata"]["from_node"] = "{"
        node["metadata"]["custom"] = "{"


def attack_argument_names(program: dict[str, Any], code: str) -> None:
    call = program["graph_module"]["module_call_graph"][0]["signature"]
    call["forward_arg_names"] = [f"x={code}"]


@pytest.mark.parametrize(
    "attack",
    [attack_guards, attack_treespec, attack_metadata, attack_argument_names],
    ids=lambda attack: attack.__name__,
)
def test_code_in_what_is_not_needed_is_left_out(
    attack: Callable[[dict[str, Any], str], None],
    pt2: Path,
    tmp_path: Path,
    mark: Path,
    net: SmallNet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "evil_module.py").write_text(
        f"import pathlib\npathlib.Path({str(mark)!r}).touch()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    loaded = load(with_json(pt2, tmp_path / "n.pt2", MODEL, lambda p: attack(p, code)), OPTIONS)
    x = torch.randn(SHAPE)
    with torch.no_grad():
        assert torch.equal(loaded.program.module()(x), net(x))
    assert not mark.exists()
    assert "evil_module" not in sys.modules


@pytest.mark.parametrize(
    "member", ["data/weights/model.pt", "data/constants/model.pt", "extra/x.py"]
)
def test_members_that_are_not_read(member: str, pt2: Path, tmp_path: Path, mark: Path) -> None:
    path = with_member(pt2, tmp_path / "n.pt2", member, malicious_pickle(mark))
    load(path, OPTIONS)
    assert not mark.exists()


def test_machine_code_is_refused(pt2: Path, tmp_path: Path, mark: Path) -> None:
    path = with_member(pt2, tmp_path / "n.pt2", "data/aotinductor/model/a.so", b"\x7fELF")
    refused(path, mark, "machine code")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("protocol", [2, 4])
def test_pickled_code(legacy: bool, protocol: int, tmp_path: Path, mark: Path) -> None:
    path = tmp_path / "n.pt"
    torch.save(
        {"weight": Touch(mark)},
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=not legacy,
    )
    refused(path, mark, r"can run any code: it imports posix\.mkdir")
    with pytest.raises(ModelError):  # it is no network, but that shows only after it ran
        load(path, LoadOptions(input_shapes=(SHAPE,), trust_pickle=True))
    assert mark.exists()


def test_plain_pickle_is_refused_even_if_trusted(tmp_path: Path, mark: Path) -> None:
    path = tmp_path / "n.pkl"
    path.write_bytes(malicious_pickle(mark))
    for trust in (False, True):
        with pytest.raises(ModelError, match=r"torch\.save did not write"):
            load(path, LoadOptions(trust_pickle=trust))
    assert not mark.exists()


def test_what_the_scanner_misses_the_restricted_unpickler_refuses(
    state: Path, tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcugen.frontend.load.foreign_names", lambda _: [])
    members = members_of(state)
    root = next(iter(members)).partition("/")[0]
    members[f"{root}/data.pkl"] = malicious_pickle(mark)
    refused(write_members(tmp_path / "n.pt", members), mark, "the file is damaged")


def test_untrusted_module_names_its_risk_and_the_way_out(pickled: Path, mark: Path) -> None:
    refused(pickled, mark, r"(?s)SmallNet.*--trust-pickle.*torch\.export\.export\(model\.eval\(\)")


def test_two_members_of_one_name(pt2: Path, tmp_path: Path, mark: Path) -> None:
    path = tmp_path / "n.pt2"
    shutil.copy(pt2, path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(archive.namelist()[0], b"another")
    refused(path, mark, "two files of one name")


class Saves(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, self.path)
        return x


class ReadsFile(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.from_file(self.path, True, 1)


class SavesWhenLoaded(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.training = False

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0]
        self.training = state[1]
        torch.save(torch.zeros(1), self.path)

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize("kind", [Saves, ReadsFile, SavesWhenLoaded])
def test_torchscript_that_touches_files(kind: type[nn.Module], tmp_path: Path, mark: Path) -> None:
    path = tmp_path / "n.pt"
    torch.jit.script(kind(str(mark))).save(str(path))  # type: ignore[no-untyped-call]
    mark.unlink(missing_ok=True)
    refused(path, mark, "does more than compute: aten::|holds packed objects")
    loaded = torch.jit.load(path)  # type: ignore[no-untyped-call]
    loaded(torch.zeros(SHAPE))  # the attack works
    assert mark.exists()


def test_terminal_commands_are_taken_out_of_messages(pt2: Path, tmp_path: Path) -> None:
    def edit(program: dict[str, Any]) -> None:
        nodes_of(program)[0]["target"] = "\x1b[2Jevil"

    with pytest.raises(ModelError) as caught:
        load(with_json(pt2, tmp_path / "n.pt2", MODEL, edit), OPTIONS)
    assert "evil" in str(caught.value) and "\x1b" not in str(caught.value)
