# SPDX-License-Identifier: Apache-2.0
"""Files that are damaged, truncated or something else: one ModelError each that says so."""

from __future__ import annotations

import json
import os
import random
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from mcugen.errors import ModelError
from mcugen.frontend.load import LoadOptions, load
from tests.model_files import SHAPE, members_of, small_net, with_json, with_member, write_members

OPTIONS = LoadOptions(input_shapes=(SHAPE,))
KINDS = ["pt2", "scripted", "state", "pickled"]
MODEL = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"


def refused(path: Path, pattern: str, options: LoadOptions = OPTIONS) -> None:
    with pytest.raises(ModelError, match=pattern) as caught:
        load(path, options)
    assert str(caught.value).startswith(f"{path}: ")


def test_missing(tmp_path: Path) -> None:
    refused(tmp_path / "n.pt2", "there is no such file")


def test_directory(tmp_path: Path) -> None:
    refused(tmp_path, "this is a directory")


def test_unreadable(pt2: Path, tmp_path: Path) -> None:
    path = tmp_path / "n.pt2"
    path.write_bytes(pt2.read_bytes())
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user reads every file, whatever its mode")
    refused(path, "cannot be read: Permission denied")


@pytest.mark.parametrize(
    ("data", "pattern"),
    [
        (b"", "the file is empty"),
        (b"hello", "no PyTorch model file"),
        (b"\x1c\0\0\0TFL3\0", "a TensorFlow Lite network"),
        (b"\x1c\0\0\0ET12\0", "an ExecuTorch program"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"\x93NUMPY\1\0", "a numpy array"),
        (b'\x40\0\0\0\0\0\0\0{"a"', "a safetensors file"),
        (b"PK\3\4", "damaged or cut short"),
        (b"PK\5\6" + bytes(18), "not written by torch"),
        (b"\x80\x02", "torch.save did not write"),
        (b"\x80\x02}q\0.", "torch.save did not write"),
    ],
)
def test_other_content(data: bytes, pattern: str, tmp_path: Path) -> None:
    path = tmp_path / "n.pt"
    path.write_bytes(data)
    refused(path, pattern)


@pytest.mark.parametrize("kind", KINDS)
def test_truncated(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    data = request.getfixturevalue(kind).read_bytes()
    path = tmp_path / "n.pt"
    for share in (0.2, 0.5, 0.9, 0.999):
        path.write_bytes(data[: int(share * len(data))])
        refused(path, "damaged or cut short")


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_of_any_member(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """torch does not check the CRC of what it reads; a network with one wrong weight would run."""
    source = request.getfixturevalue(kind)
    data = source.read_bytes()
    path = tmp_path / "n.pt"
    with zipfile.ZipFile(source) as archive:
        infos = archive.infolist()
    for info in infos:
        flipped = bytearray(data)
        flipped[content_offset(data, info) + info.compress_size // 2] ^= 0x10
        path.write_bytes(flipped)
        stored = info.compress_type == zipfile.ZIP_STORED
        refused(path, f"CRC.*{re.escape(info.filename)}" if stored else "damaged or cut short")


def content_offset(data: bytes, info: zipfile.ZipInfo) -> int:
    """Where a stored member's bytes begin: behind its local header, name and padding."""
    name_length, extra_length = struct.unpack_from("<HH", data, info.header_offset + 26)
    return int(info.header_offset + 30 + name_length + extra_length)


def test_legacy_file_cut_short(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.pt", tmp_path / "n.pt"
    torch.save(small_net().state_dict(), whole, _use_new_zipfile_serialization=False)
    data = whole.read_bytes()
    for length in (60, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        refused(path, "damaged")


def test_zip_of_something_else(tmp_path: Path) -> None:
    refused(
        write_members(tmp_path / "a.zip", {"a.txt": b"x", "b.txt": b"y"}), "not written by torch"
    )
    refused(write_members(tmp_path / "b.zip", {"root/a.txt": b"x"}), "no kind that torch writes")
    old = {"root/serialized_exported_program.json": b"{}"}
    refused(write_members(tmp_path / "c.zip", old), "before torch 2.8")


def test_zip_bomb_is_refused_by_what_it_declares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcugen.frontend.archive.MAX_BYTES", 1 << 20)
    bomb = {"root/data.pkl": bytes(2 << 20)}
    path = write_members(tmp_path / "n.pt", bomb, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10_000
    refused(path, "says it unpacks to 2,097,152 bytes")


def test_file_that_is_too_large(pt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcugen.frontend.archive.MAX_BYTES", 1000)
    refused(pt2, "at most 1,000 are read")


def test_archive_that_lies_about_a_size(pt2: Path, tmp_path: Path) -> None:
    def edit(program: dict[str, Any]) -> None:
        sizes = program["graph_module"]["graph"]["tensor_values"]["relu"]["sizes"]
        sizes[2] = {"as_int": 5}

    refused(with_json(pt2, tmp_path / "n.pt2", MODEL, edit), r"relu is .*4, 4.* says .*5, 4")


def test_archive_that_lies_about_a_weight(pt2: Path, tmp_path: Path) -> None:
    def edit(program: dict[str, Any]) -> None:
        program["config"]["fc.bias"]["tensor_meta"]["sizes"] = [{"as_int": 4}]

    path = with_json(pt2, tmp_path / "n.pt2", WEIGHTS, edit)
    refused(path, r"data/weights/weight_\d+ does not hold \[4\] values")


def test_weight_that_repeats_its_bytes_without_end(pt2: Path, tmp_path: Path) -> None:
    def edit(program: dict[str, Any]) -> None:
        meta = program["config"]["fc.bias"]["tensor_meta"]
        meta["sizes"], meta["strides"] = [{"as_int": 1 << 36}], [{"as_int": 0}]

    refused(with_json(pt2, tmp_path / "n.pt2", WEIGHTS, edit), r"does not hold \[68719476736\]")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("strides", [{"as_int": 1000}]),
        ("strides", [{"as_int": -1}]),
        ("storage_offset", {"as_int": 1}),
        ("storage_offset", {"as_int": 1 << 50}),
        ("sizes", [{"as_int": -3}]),
    ],
)
def test_weights_outside_their_bytes(field: str, value: object, pt2: Path, tmp_path: Path) -> None:
    def edit(program: dict[str, Any]) -> None:
        program["config"]["fc.bias"]["tensor_meta"][field] = value

    refused(with_json(pt2, tmp_path / "n.pt2", WEIGHTS, edit), "does not hold|a size is expected")


def test_missing_weight(pt2: Path, tmp_path: Path) -> None:
    path = with_json(pt2, tmp_path / "n.pt2", WEIGHTS, lambda c: c["config"].pop("fc.bias"))
    refused(path, r"fc\.bias should be \[3\], it holds nothing")


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"[" * 100_000, b"\xff\xfe", b"null"])
def test_program_that_is_no_json_object(text: bytes, pt2: Path, tmp_path: Path) -> None:
    refused(with_member(pt2, tmp_path / "n.pt2", MODEL, text), "damaged: .* is no JSON")


def test_two_programs(pt2: Path, tmp_path: Path) -> None:
    path = with_member(pt2, tmp_path / "n.pt2", "models/other.json", b"{}")
    refused(path, "must hold one program")


def test_big_endian_archive(pt2: Path, tmp_path: Path) -> None:
    refused(with_member(pt2, tmp_path / "n.pt2", "byteorder", b"big"), "big-endian")


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value below the root of a JSON tree."""
    items = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    found = []
    for key, value in items:
        found += [(*path, key), *places(value, (*path, key))]
    return found


def mutated(text: bytes, generator: random.Random) -> bytes:
    """One value of a JSON text removed or replaced by one of another kind."""
    tree = json.loads(text)
    *way, last = generator.choice(places(tree))
    parent = tree
    for key in way:
        parent = parent[key]
    if generator.random() < 0.3:
        del parent[last]
    else:
        parent[last] = generator.choice(
            [None, -1, 1 << 70, "x", "1e", [], {}, [[]], 0.5, {"as_int": 9}]
        )
    return json.dumps(tree).encode()


@pytest.mark.parametrize("member", [MODEL, WEIGHTS])
@pytest.mark.parametrize("kind", ["pt2", "dynamic_pt2"])
def test_malformed_text_is_read_or_refused(
    member: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source = request.getfixturevalue(kind)
    members = members_of(source)
    [name] = [name for name in members if name.endswith(member)]
    generator = random.Random(5)
    outcomes = {True: 0, False: 0}
    for _ in range(150):
        text = mutated(members[name], generator)
        path = write_members(tmp_path / "n.pt2", {**members, name: text})
        try:
            load(path, OPTIONS)
        except ModelError:
            outcomes[False] += 1
        else:
            outcomes[True] += 1
    assert min(outcomes.values()) > 5  # the mutations reach what is read and what is not
