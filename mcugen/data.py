# SPDX-License-Identifier: Apache-2.0
"""Calibration and evaluation data: from the user's arrays to float32 [N, *shape] per input.

Shapes are those that the network itself takes, without the batch axis. Values are taken as they
are: integers become floats of the same value, so scaling that the training did has to be done.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import CalibrationError
from mcugen.files import MAX_BYTES, read_file
from mcugen.ir.graph import Shape

Floats = NDArray[np.float32]
Arrays = Mapping[str, NDArray[Any]]

_LABELS = ("y", "label", "labels")
_NUMBERS = "fiub"  # numpy's kinds: float, int, unsigned, bool


def load_calibration(source: object, shapes: Sequence[Shape]) -> list[Floats]:
    """Samples of every input, float32 [N, *shape] each.

    `source` is a path to .npz or .npy, an array or tensor, a list with one of them per input, or a
    mapping of names to arrays. Of named arrays `x` is taken where the network has one input, and
    all but `y` in their order where it has several. One sample without the batch axis is N = 1.

    Raises CalibrationError, which names the input, what was expected and what was found.
    """
    arrays = _inputs(_named(source, len(shapes)), len(shapes))
    samples = [
        _samples(name, array, tuple(shape))
        for (name, array), shape in zip(arrays.items(), shapes, strict=True)
    ]
    counts = [len(x) for x in samples]
    if len(set(counts)) > 1:
        shown = ", ".join(f"{name}: {n}" for name, n in zip(arrays, counts, strict=True))
        msg = f"all inputs need the same number of samples, got {shown}"
        raise CalibrationError(msg)
    return samples


def load_eval(source: object, shapes: Sequence[Shape]) -> tuple[list[Floats], NDArray[np.generic]]:
    """Samples as in `load_calibration` and their labels `y`.

    Labels are class indices, int64 [N], or float targets of the output's shape, float32 [N, ...].
    `source` is a path to .npz, a mapping, or a pair (x, y). Raises CalibrationError.
    """
    named = _named_with_labels(source, len(shapes))
    samples, labels = _samples_and_labels(named, shapes)
    if labels is None:
        found = ", ".join(named) or "nothing"
        msg = f"evaluation data needs labels 'y' beside 'x'; it has {found}"
        raise CalibrationError(msg)
    return samples, labels


def load_labelled(
    source: object, shapes: Sequence[Shape]
) -> tuple[list[Floats], NDArray[np.generic] | None]:
    """The same, with None for labels that are not there."""
    return _samples_and_labels(_named_with_labels(source, len(shapes)), shapes)


def _named_with_labels(source: object, inputs: int) -> dict[str, NDArray[Any]]:
    if isinstance(source, tuple) and len(source) == 2:
        x, y = source
        return {**_named(x, inputs), "y": _array(y)}
    return _named(source, inputs)


def _samples_and_labels(
    named: Arrays, shapes: Sequence[Shape]
) -> tuple[list[Floats], NDArray[np.generic] | None]:
    label = next((name for name in _LABELS if name in named), None)
    samples = load_calibration(named, shapes)
    return samples, None if label is None else _targets(named[label], len(samples[0]))


def synthetic_inputs(shapes: Sequence[Shape], count: int, seed: int = 0) -> list[Floats]:
    """Inputs for when there is no calibration data, the same for the same seed.

    In turn: noise of mean 0 and deviation 1, as of standardized data; noise in [0, 1], as of
    pixels; and smooth waves in [-1, 1], as of images and signals, which noise does not resemble.
    Ranges observed on them are a guess: real samples give a more exact network.
    """
    generator = np.random.default_rng(seed)
    kinds = (
        lambda shape: generator.standard_normal(shape),
        lambda shape: generator.random(shape),
        lambda shape: _wave(shape, generator),
    )
    return [
        np.stack([kinds[i % len(kinds)](shape) for i in range(count)]).astype(np.float32)
        for shape in shapes
    ]


def _wave(shape: Shape, generator: np.random.Generator) -> NDArray[np.float64]:
    """A product of one cosine along each axis, of up to two periods, float64 in [-1, 1]."""
    wave = np.ones(shape)
    for axis, size in enumerate(shape):
        frequency, phase = generator.uniform(0.0, 2.0), generator.uniform(0.0, 1.0)
        line = np.cos(2 * np.pi * (frequency * np.arange(size) / size + phase))
        wave *= line.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return wave


def _named(source: object, inputs: int) -> dict[str, NDArray[Any]]:
    """Arrays by name, from whatever the user passed."""
    if isinstance(source, (str, Path)):
        return read_arrays(Path(source))
    if isinstance(source, Mapping):
        return {str(name): _array(value) for name, value in source.items()}
    if isinstance(source, (list, tuple)) and len(source) == inputs:
        names = ["x"] if inputs == 1 else [f"x{i}" for i in range(inputs)]
        return {name: _array(value) for name, value in zip(names, source, strict=True)}
    return {"x": _array(source)}


def _array(value: object) -> NDArray[Any]:
    """A numpy array of an array, a torch tensor (told by its methods) or nested lists."""
    held: Any = value
    if hasattr(held, "detach") and hasattr(held, "cpu"):
        held = held.detach().cpu()
        held = held.float() if held.is_floating_point() else held  # numpy has no bfloat16
    try:
        return np.asarray(held)
    except (ValueError, TypeError) as error:
        msg = f"data of type {type(value).__name__} is no array: {error}"
        raise CalibrationError(msg) from error


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz file by name, or that of a .npy file as `x`. Raises CalibrationError."""
    try:
        data = read_file(path, MAX_BYTES)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise CalibrationError(msg) from error
    try:
        if data.startswith(b"\x93NUMPY"):
            return {"x": _read_array(data)}
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _read_members(path, archive)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        msg = f"{path} is no complete .npz or .npy file of plain numbers: {error}"
        raise CalibrationError(msg) from error


def _read_members(path: Path, archive: zipfile.ZipFile) -> dict[str, NDArray[Any]]:
    infos = archive.infolist()
    total = sum(info.file_size for info in infos)
    if total > MAX_BYTES:
        msg = f"{path} unpacks to {total:,} bytes; at most {MAX_BYTES:,} are read"
        raise CalibrationError(msg)
    return {info.filename.removesuffix(".npy"): _read_array(archive.read(info)) for info in infos}


def _read_array(data: bytes) -> NDArray[Any]:
    """Object arrays are pickles, which can run code: numpy refuses them with ValueError."""
    array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return array


def _inputs(named: Arrays, count: int) -> dict[str, NDArray[Any]]:
    """The arrays of the network's inputs, in its order."""
    others = {name: array for name, array in named.items() if name not in _LABELS}
    if count == 1 and "x" in others:
        return {"x": others["x"]}
    if len(others) != count:
        shown = ", ".join(named) or "nothing"
        wanted = "an array 'x'" if count == 1 else f"{count} arrays, one for each input in order"
        msg = f"the data needs {wanted}; it has {shown}"
        raise CalibrationError(msg)
    return others


def _samples(name: str, array: NDArray[Any], shape: Shape) -> Floats:
    if array.dtype.kind not in _NUMBERS:
        msg = f"input {name!r} has values of type {array.dtype}; expected real numbers"
        raise CalibrationError(msg)
    batch = array[np.newaxis] if array.shape == shape else array
    if batch.shape[1:] != shape or batch.ndim != len(shape) + 1:
        wanted = ", ".join(["N", *map(str, shape)])
        msg = f"input {name!r} has shape {list(array.shape)}; expected [{wanted}]"
        raise CalibrationError(msg + _shape_hint(array.shape, shape))
    if len(batch) == 0:
        msg = f"input {name!r} holds no samples (shape {list(array.shape)})"
        raise CalibrationError(msg)
    with np.errstate(over="ignore"):  # what overflows is reported as infinite
        floats = np.ascontiguousarray(batch, np.float32)
    _check_finite(name, floats)
    return floats


def _check_finite(name: str, values: NDArray[Any]) -> None:
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        sample, *index = (int(i) for i in bad[0])
        value = values[tuple(bad[0])]
        msg = (
            f"{name!r} has {len(bad)} values that are not finite; first: {value} at sample {sample}"
        )
        raise CalibrationError(f"{msg}, index {index}" if index else msg)


def _shape_hint(got: Shape, shape: Shape) -> str:
    """A guess at what went wrong, or nothing."""
    rank = len(shape)
    if rank > 1 and got[1:] == (*shape[1:], shape[0]):
        order = ", ".join(map(str, [0, rank, *range(1, rank)]))
        return (
            f"; it looks channels-last and the network takes channels first: x.transpose({order})"
        )
    if shape and shape[0] == 1 and got[1:] == shape[1:]:
        return "; it lacks the channel axis: x[:, None]"
    if len(got) > 1 and math.prod(got[1:]) == math.prod(shape):
        return f"; the number of values fits: x.reshape(-1, {', '.join(map(str, shape))})"
    return ""


def _targets(labels: NDArray[Any], count: int) -> NDArray[np.generic]:
    if labels.dtype.kind not in _NUMBERS:
        msg = f"labels 'y' are of type {labels.dtype}; expected class indices or real targets"
        raise CalibrationError(msg)
    if labels.ndim == 0 or len(labels) != count:
        msg = f"there are {count} samples, but labels 'y' have shape {list(labels.shape)}"
        raise CalibrationError(msg)
    if labels.dtype.kind == "f":
        targets = labels.astype(np.float32)
        _check_finite("y", targets)
        return targets
    indices = labels.astype(np.int64)
    return indices[:, 0] if indices.shape == (count, 1) else indices
