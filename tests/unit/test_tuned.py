# SPDX-License-Identifier: Apache-2.0
"""The file of a tuned network: what is read is what was written, or one clear error."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from mcugen.errors import ModelError, OutputError
from mcugen.ir import serialize
from mcugen.ir.graph import Graph
from mcugen.tuned import TunedNetwork, check_writable, is_tuned, load_tuned
from tests.model_files import members_of, write_members
from tests.ops.harness import export
from tests.property.networks import Network, Recipe, recipes
from tests.unit.train.networks import patterns, patterns_graph, quantized

SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


def same(one: Any, other: Any) -> bool:
    """Equal to the bit, through dataclasses, sequences and mappings."""
    if isinstance(one, np.ndarray):
        alike = isinstance(other, np.ndarray) and one.dtype == other.dtype
        return alike and np.array_equal(one, other)
    if is_dataclass(one):
        names = [f.name for f in fields(one)]
        alike = type(one) is type(other)
        return alike and all(same(getattr(one, n), getattr(other, n)) for n in names)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.fixture(scope="module")
def tuned() -> TunedNetwork:
    graph = patterns_graph()
    return TunedNetwork(graph=graph, quantization=quantized(graph, [patterns()[0].numpy()], 4))


@pytest.fixture
def file(tuned: TunedNetwork, tmp_path: Path) -> Path:
    path = tmp_path / "net.mcugen"
    tuned.save(path)
    return path


def test_what_is_read_is_what_was_written(tuned: TunedNetwork, file: Path) -> None:
    assert is_tuned(file)
    got = load_tuned(file)
    assert same(got.graph, tuned.graph)
    assert same(got.quantization, tuned.quantization)
    assert [path.name for path in file.parent.iterdir()] == ["net.mcugen"]


def test_the_same_network_gives_the_same_bytes(tuned: TunedNetwork, file: Path) -> None:
    before = file.read_bytes()
    tuned.save(file)
    assert file.read_bytes() == before


@pytest.mark.slow
@settings(max_examples=12, **SETTINGS)  # type: ignore[arg-type]
@given(recipes(8))
def test_every_operator_can_be_written(recipe: Recipe) -> None:
    network = Network(recipe)
    graph: Graph = export(network, network.input_shape)
    arrays: list[Any] = []
    tree = json.loads(json.dumps(serialize._encode(graph, arrays)))
    assert same(serialize._decode(tree, Archive(arrays), serialize._classes()), graph)  # type: ignore[arg-type]


class Archive:
    """Arrays as an archive would give them back."""

    def __init__(self, arrays: list[Any]) -> None:
        self.arrays = arrays

    def read(self, name: str) -> bytes:
        stream = io.BytesIO()
        np.lib.format.write_array(stream, self.arrays[int(name.removesuffix(".npy"))])
        return stream.getvalue()


def test_damage_anywhere_is_one_clear_error(file: Path) -> None:
    data = file.read_bytes()
    for cut in range(0, len(data) - 1, len(data) // 23):
        file.write_bytes(data[:cut])
        with pytest.raises(ModelError, match="tune the network again"):
            load_tuned(file)


@pytest.mark.parametrize("missing", ["tensors", "weights"])
def test_a_network_without_its_scales_is_refused(
    tuned: TunedNetwork, missing: str, tmp_path: Path
) -> None:
    path = tmp_path / "net.mcugen"
    held = dict(getattr(tuned.quantization, missing))
    held.pop("fc_linear")
    changed = replace(tuned.quantization, **{missing: held})
    TunedNetwork(graph=tuned.graph, quantization=changed).save(path)
    with pytest.raises(ModelError, match="fc_linear: no "):
        load_tuned(path)


@pytest.mark.parametrize(
    "change",
    [
        {"ints": np.full((3, 54), 8, np.int8)},  # more than 4 bits hold
        {"ints": np.zeros((3, 53), np.int8)},
        {"ints": np.zeros((3, 54), np.int16)},
        {"scales": np.array([0.1, 0.0, 0.1])},
        {"scales": np.full(3, np.inf)},
        {"bias": np.full(3, np.nan, np.float32)},
        {"bias": "text"},
        {"bits": 3},
    ],
)
def test_integers_that_are_none_are_refused(
    tuned: TunedNetwork, change: dict[str, Any], tmp_path: Path
) -> None:
    weights = dict(tuned.quantization.weights)
    weights["fc_linear"] = replace(weights["fc_linear"], **change)
    changed = replace(tuned.quantization, weights=weights)
    TunedNetwork(graph=tuned.graph, quantization=changed).save(tmp_path / "net.mcugen")
    with pytest.raises(ModelError, match="does not hold a sound network"):
        load_tuned(tmp_path / "net.mcugen")


def test_a_file_that_was_tampered_with_is_one_clear_error(file: Path) -> None:
    """Values of any kind in any place of the JSON: read, or refused, never anything else."""
    members = members_of(file)
    text = members["tuned.json"].decode()
    places = [k for k, c in enumerate(text) if c in "0123456789"]
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.choice(places, 40, replace=False).tolist():
        for value in ("null", "-7", '"x"', "[]", "{}"):
            changed = text[:place] + value + text[place + 1 :]
            write_members(file, members | {"tuned.json": changed.encode()})
            try:
                load_tuned(file)
            except ModelError:
                refused += 1
    assert refused > 60


def test_an_unknown_version_is_told(file: Path) -> None:
    members = members_of(file)
    content = json.loads(members["tuned.json"])
    members["tuned.json"] = json.dumps(content | {"format": 99}).encode()
    write_members(file, members)
    with pytest.raises(ModelError, match="format 99, expected 1"):
        load_tuned(file)


def test_other_files_are_not_tuned_networks(tmp_path: Path) -> None:
    path = tmp_path / "other"
    assert not is_tuned(path)
    path.write_bytes(b"text")
    assert not is_tuned(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("graph.json", "{}")
    assert not is_tuned(path)
    assert not is_tuned(tmp_path)


def test_a_file_of_someone_else_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("mine")
    with pytest.raises(OutputError, match="mcugen did not write it"):
        check_writable(path)
    with pytest.raises(OutputError, match="is a folder"):
        check_writable(tmp_path)
    assert path.read_text() == "mine"


def test_a_folder_on_the_way_is_made(tuned: TunedNetwork, tmp_path: Path) -> None:
    tuned.save(tmp_path / "a" / "b" / "net.mcugen")
    assert is_tuned(tmp_path / "a" / "b" / "net.mcugen")


def test_a_path_that_cannot_be_is_one_clear_error(tuned: TunedNetwork, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        tuned.save(tmp_path / "file" / "net.mcugen")
