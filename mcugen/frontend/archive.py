# SPDX-License-Identifier: Apache-2.0
"""Reads a model file whole and tells by its content what it is; executes nothing of it."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mcugen.errors import ModelError
from mcugen.files import MAX_BYTES, read_file

FileKind = Literal["exported", "torchscript", "pickle zip", "pickle"]

_MAX_MEMBERS = 100_000

_ZIP = b"PK"
_PICKLE = b"\x80"
# What people pass by mistake: (offset, bytes there, what it is).
_OTHERS = (
    (4, b"TFL3", "a TensorFlow Lite network"),
    (4, b"ET12", "an ExecuTorch program"),
    (0, b"\x89HDF", "an HDF5 file (Keras?)"),
    (0, b"\x93NUMPY", "a numpy array"),
    (8, b'{"', "a safetensors file"),
)

EXPORT_RECIPE = (
    "export it where it was trained:\n"
    "    program = torch.export.export(model.eval(), (torch.zeros(1, 1, 28, 28),))\n"
    '    torch.export.save(program, "model.pt2")'
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelFile:
    """A file's content. `members` are a zip archive's, by their path below its one root folder."""

    kind: FileKind
    data: bytes
    members: Mapping[str, bytes]


def read_model_file(path: Path) -> ModelFile:
    """Read and classify a file.

    Raises ModelError where it cannot be read, is damaged or is of no kind that is known.
    """
    data = _read_bytes(path)
    if data.startswith(_ZIP):
        members = _below_root(_read_members(data))
        return ModelFile(kind=_zip_kind(members), data=data, members=members)
    if data.startswith(_PICKLE):
        return ModelFile(kind="pickle", data=data, members={})
    for offset, magic, what in _OTHERS:
        if data[offset:].startswith(magic):
            msg = f"this is {what}, not a PyTorch network; {EXPORT_RECIPE}"
            raise ModelError(msg)
    msg = f"this is no PyTorch model file (it begins with {data[:8]!r}); {EXPORT_RECIPE}"
    raise ModelError(msg)


def repacked(members: Mapping[str, bytes]) -> io.BytesIO:
    """A new archive of exactly these members, so that what was checked is what torch reads.

    Two readers may see different members in one crafted zip file; in this one they cannot.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(f"archive/{name}", data)
    buffer.seek(0)
    return buffer


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            msg = "this is a directory; pass the model file"
            raise ModelError(msg)
        data = read_file(path, MAX_BYTES)
    except FileNotFoundError as error:
        msg = "there is no such file"
        raise ModelError(msg) from error
    except OSError as error:
        msg = f"the file cannot be read: {error.strerror or error}"
        raise ModelError(msg) from error
    if not data:
        msg = "the file is empty"
        raise ModelError(msg)
    return data


def _read_members(data: bytes) -> dict[str, bytes]:
    """Every member, its CRC checked, which torch's own reader does not do."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check_directory(infos)
            return {info.filename: archive.read(info) for info in infos if not info.is_dir()}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError) as error:
        msg = f"the archive is damaged or cut short ({error}); copy or export it again"
        raise ModelError(msg) from error
    except (NotImplementedError, RuntimeError) as error:
        msg = f"the archive is compressed or encrypted as torch never does ({error})"
        raise ModelError(msg) from error


def _check_directory(infos: list[zipfile.ZipInfo]) -> None:
    total = sum(info.file_size for info in infos)
    if total > MAX_BYTES or len(infos) > _MAX_MEMBERS:
        msg = (
            f"the archive says it unpacks to {total:,} bytes in {len(infos):,} files; "
            f"at most {MAX_BYTES:,} bytes in {_MAX_MEMBERS:,} files are read"
        )
        raise ModelError(msg)
    if min((info.header_offset for info in infos), default=0) > 0:
        # Cut short, the end of a smaller archive inside may now be the last one.
        msg = "the archive is damaged or cut short (it does not begin where the file does)"
        raise ModelError(msg)
    names = [info.filename for info in infos]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        msg = f"the archive holds two files of one name: {', '.join(twice)}"
        raise ModelError(msg)


def _below_root(members: Mapping[str, bytes]) -> dict[str, bytes]:
    roots = {name.partition("/")[0] for name in members if "/" in name}
    if len(roots) != 1 or not all("/" in name for name in members):
        msg = f"this zip archive was not written by torch; {EXPORT_RECIPE}"
        raise ModelError(msg)
    return {name.partition("/")[2]: data for name, data in members.items()}


def _zip_kind(members: Mapping[str, bytes]) -> FileKind:
    if members.get("archive_format") == b"pt2":
        return "exported"
    if "constants.pkl" in members and any(name.startswith("code/") for name in members):
        return "torchscript"
    if "data.pkl" in members:
        return "pickle zip"
    if "serialized_exported_program.json" in members:
        msg = "this torch.export archive is of a format before torch 2.8; export it again"
        raise ModelError(msg)
    msg = f"this zip archive is of no kind that torch writes; {EXPORT_RECIPE}"
    raise ModelError(msg)
