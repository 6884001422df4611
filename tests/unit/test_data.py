# SPDX-License-Identifier: Apache-2.0
"""Calibration and evaluation data from every kind of source, and each mistake's own message."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mcugen.data import load_calibration, load_eval, synthetic_inputs
from mcugen.errors import CalibrationError

IMAGE = (3, 4, 5)
SHAPES: list[tuple[int, ...]] = [IMAGE]
SAMPLES = np.random.default_rng(0).standard_normal((7, *IMAGE)).astype(np.float32)


def npz(path: Path, **arrays: NDArray[Any]) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def refused(source: object, pattern: str, shapes: list[tuple[int, ...]] = SHAPES) -> None:
    with pytest.raises(CalibrationError, match=pattern):
        load_calibration(source, shapes)


def source_of(kind: str, folder: Path) -> object:
    if kind == "npy":
        np.save(folder / "x.npy", SAMPLES)
        return folder / "x.npy"
    makers: dict[str, Callable[[], object]] = {
        "npz": lambda: npz(folder / "x.npz", x=SAMPLES, y=np.arange(7)),
        "npz of another name": lambda: npz(folder / "o.npz", images=SAMPLES, y=np.arange(7)),
        "npz without names": lambda: npz(folder / "a.npz", arr_0=SAMPLES),
        "npz with more": lambda: npz(folder / "m.npz", other=np.zeros(2), x=SAMPLES),
        "path as text": lambda: str(npz(folder / "t.npz", x=SAMPLES)),
        "array": lambda: SAMPLES,
        "tensor": lambda: torch.from_numpy(SAMPLES),
        "tensor with gradient": lambda: torch.from_numpy(SAMPLES).requires_grad_(),
        "list of one": lambda: [SAMPLES],
        "list of samples": lambda: list(SAMPLES),
        "nested lists": lambda: SAMPLES.tolist(),
        "mapping": lambda: {"x": SAMPLES, "y": np.arange(7)},
        "double": lambda: SAMPLES.astype(np.float64),
        "not contiguous": lambda: np.asfortranarray(SAMPLES),
    }
    return makers[kind]()


@pytest.mark.parametrize(
    "kind",
    [
        "npy", "npz", "npz of another name", "npz without names", "npz with more", "path as text",
        "array", "tensor", "tensor with gradient", "list of one", "list of samples",
        "nested lists", "mapping", "double", "not contiguous",
    ],
)  # fmt: skip
def test_sources(kind: str, tmp_path: Path) -> None:
    [x] = load_calibration(source_of(kind, tmp_path), SHAPES)
    assert x.dtype == np.float32 and x.flags.c_contiguous
    assert np.array_equal(x, SAMPLES)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.bool_, np.float16])
def test_numbers_are_taken_as_they_are(dtype: type[np.generic]) -> None:
    given = np.arange(120).reshape(2, *IMAGE).astype(dtype)
    [x] = load_calibration(given, SHAPES)
    assert np.array_equal(x, given.astype(np.float32))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.int32])
def test_tensors_of_other_types(dtype: torch.dtype) -> None:
    given = torch.arange(120).reshape(2, *IMAGE).to(dtype)
    [x] = load_calibration(given, SHAPES)
    assert np.array_equal(x, given.float().numpy())


def test_one_sample_without_batch_axis() -> None:
    [x] = load_calibration(SAMPLES[0], SHAPES)
    assert np.array_equal(x, SAMPLES[:1])


def test_several_inputs(tmp_path: Path) -> None:
    audio, image = np.ones((7, 9), np.float32), SAMPLES
    shapes = [(9,), IMAGE]
    pair: list[object] = [
        npz(tmp_path / "n.npz", audio=audio, image=image, y=np.arange(7)),
        npz(tmp_path / "p.npz", arr_0=audio, arr_1=image),
        [audio, image],
        (audio, image),
        {"audio": audio, "image": image},
    ]
    for source in pair:
        a, b = load_calibration(source, shapes)
        assert np.array_equal(a, audio) and np.array_equal(b, image)
    refused([audio[:3], image], "same number of samples, got x0: 3, x1: 7", shapes)
    refused({"audio": audio}, "needs 2 arrays, one for each input in order; it has audio", shapes)


@pytest.mark.parametrize(
    ("shape", "pattern"),
    [
        ((7, 4, 5, 3), r"\[7, 4, 5, 3\]; expected \[N, 3, 4, 5\]; .*x\.transpose\(0, 3, 1, 2\)"),
        ((7, 4, 5), r"expected \[N, 3, 4, 5\]$"),
        ((7, 60), r"the number of values fits: x\.reshape\(-1, 3, 4, 5\)"),
        ((7, 3, 4, 6), r"expected \[N, 3, 4, 5\]$"),
        ((7, 1, 3, 4, 5), r"expected \[N, 3, 4, 5\]; the number of values fits"),
        ((), r"has shape \[\]; expected \[N, 3, 4, 5\]$"),
    ],
)
def test_wrong_shape(shape: tuple[int, ...], pattern: str) -> None:
    refused(np.zeros(shape, np.float32), pattern)


def test_the_hint_about_axes_is_right() -> None:
    channels_last = np.moveaxis(SAMPLES, 1, -1)
    [x] = load_calibration(channels_last.transpose(0, 3, 1, 2), SHAPES)
    assert np.array_equal(x, SAMPLES)


def test_missing_channel_axis() -> None:
    refused(np.zeros((7, 4, 5)), r"lacks the channel axis: x\[:, None\]", [(1, 4, 5)])


def test_no_samples() -> None:
    refused(np.zeros((0, *IMAGE)), r"holds no samples \(shape \[0, 3, 4, 5\]\)")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, *IMAGE), np.complex64),
        np.full((2, *IMAGE), "text"),
        np.full((2, *IMAGE), None),
        np.zeros((2, *IMAGE), "datetime64[s]"),
    ],
)
def test_wrong_type(array: NDArray[Any]) -> None:
    refused(array, "has values of type .*; expected real numbers")


def test_ragged_lists() -> None:
    refused([[1.0], [1.0, 2.0]], "is no array", [(2,), (2,), (2,)])


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (1e300, "inf")])
def test_not_finite(value: float, shown: str) -> None:
    x = SAMPLES.astype(np.float64)
    x[4, 1, 2, 3] = x[5, 0, 0, 0] = value
    refused(x, rf"2 values that are not finite; first: {shown} at sample 4, index \[1, 2, 3\]")


def test_object_arrays_are_not_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "mark",)

    evil = np.full((1, *IMAGE), Evil(), object)
    np.save(tmp_path / "x.npy", evil, allow_pickle=True)
    refused(npz(tmp_path / "x.npz", x=evil), "no complete .npz or .npy file of plain numbers")
    refused(tmp_path / "x.npy", "Object arrays cannot be loaded")
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(evil))
    refused(tmp_path / "x.pkl", "no complete .npz or .npy file")
    assert not (tmp_path / "mark").exists()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    refused(tmp_path / "none.npz", "cannot be read: No such file")
    refused(tmp_path, "cannot be read: Is a directory")
    (tmp_path / "e.npz").write_bytes(b"")
    refused(tmp_path / "e.npz", "no complete")
    (tmp_path / "t.npz").write_text("1,2,3\n")
    refused(tmp_path / "t.npz", "no complete")


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_truncated_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    (np.save if suffix == ".npy" else np.savez)(path, SAMPLES)
    data = path.read_bytes()
    for length in (5, 20, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        refused(path, "no complete .npz or .npy file")


def test_damaged_file(tmp_path: Path) -> None:
    path = npz(tmp_path / "x.npz", x=SAMPLES)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    refused(path, "Bad CRC-32")


def test_zip_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcugen.data.MAX_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(5000))
    refused(tmp_path / "x.npz", "unpacks to 5,000 bytes; at most 1,000")


def test_data_without_inputs(tmp_path: Path) -> None:
    path = npz(tmp_path / "x.npz", x_train=SAMPLES, x_test=SAMPLES)
    refused(path, "needs an array 'x'; it has x_train, x_test")


LABELS = np.arange(7)


@pytest.mark.parametrize("label", ["y", "label", "labels"])
def test_labels_of_a_file(label: str, tmp_path: Path) -> None:
    [x], y = load_eval(
        npz(tmp_path / "e.npz", x=SAMPLES, **{label: LABELS.astype(np.uint8)}), SHAPES
    )
    assert np.array_equal(x, SAMPLES)
    assert y.dtype == np.int64 and np.array_equal(y, LABELS)


@pytest.mark.parametrize("given", [LABELS, torch.arange(7), LABELS[:, None], LABELS.tolist()])
def test_class_indices(given: Any) -> None:
    [x], y = load_eval((SAMPLES, given), SHAPES)
    assert np.array_equal(x, SAMPLES)
    assert y.dtype == np.int64 and np.array_equal(y, LABELS)


def test_targets_of_a_regression() -> None:
    targets = np.random.default_rng(1).random((7, 2))
    _, y = load_eval({"x": SAMPLES, "y": targets}, SHAPES)
    assert y.dtype == np.float32 and np.array_equal(y, targets.astype(np.float32))


def test_labels_of_several_inputs() -> None:
    other = np.zeros((7, 2), np.float32)
    inputs, y = load_eval(([SAMPLES, other], LABELS), [IMAGE, (2,)])
    assert [x.shape for x in inputs] == [(7, *IMAGE), (7, 2)] and np.array_equal(y, LABELS)


@pytest.mark.parametrize(
    ("labels", "pattern"),
    [
        (LABELS[:3], r"there are 7 samples, but labels 'y' have shape \[3\]"),
        (np.int64(3), r"labels 'y' have shape \[\]"),
        (np.full(7, "cat"), "expected class indices or real targets"),
        (np.full(7, np.nan), "'y' has 7 values that are not finite; first: nan at sample 0$"),
    ],
)
def test_wrong_labels(labels: NDArray[Any], pattern: str) -> None:
    with pytest.raises(CalibrationError, match=pattern):
        load_eval((SAMPLES, labels), SHAPES)


def test_missing_labels(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="needs labels 'y' beside 'x'; it has x"):
        load_eval(npz(tmp_path / "e.npz", x=SAMPLES), SHAPES)


def test_synthetic_inputs_are_the_same_each_time() -> None:
    shapes = [IMAGE, (40,)]
    first, again, other = (synthetic_inputs(shapes, 12, seed) for seed in (0, 0, 1))
    assert [x.shape for x in first] == [(12, *IMAGE), (12, 40)]
    assert {x.dtype for x in first} == {np.dtype(np.float32)}
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_synthetic_inputs_are_of_three_kinds() -> None:
    [x] = synthetic_inputs([(40, 30)], 30)
    normal, uniform, smooth = x[0::3], x[1::3], x[2::3]
    assert abs(normal.mean()) < 0.05 and abs(normal.std() - 1) < 0.05
    assert 0 <= uniform.min() < 0.01 and 0.99 < uniform.max() <= 1
    assert np.abs(smooth).max() <= 1
    assert np.abs(np.diff(smooth, axis=1)).max() < 0.4


def test_importing_it_does_not_import_torch() -> None:
    code = "import sys, mcugen.data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
