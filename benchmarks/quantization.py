# SPDX-License-Identifier: Apache-2.0
"""What each method of quantization does to the public reference networks, as the table in docs.

    python -m benchmarks.quantization [--width int4] [NETWORK ...]

The networks and data are in ../shared. Figures are the integer reference's, whose bits are the C's.
Nothing is measured on the samples that set the ranges, except where there are hardly any others:
person detection and image classification have 11 and 20 pictures, of which every other one
calibrates. One thread and fixed seeds, so that figures repeat.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mcugen.quantize.options import QuantOptions
from mcugen.report.study import db_text
from mcugen.study import Choice, Study, StudyOptions, study

SHARED = Path(__file__).resolve().parents[2] / "shared"
SAMPLES = 1000  # to measure on, at most

Floats = NDArray[np.float32]
Data = tuple[Floats, Floats, NDArray[np.int64] | None]  # to calibrate, to measure, classes


def _load(name: str) -> dict[str, NDArray[np.generic]]:
    with np.load(SHARED / name) as archive:
        return dict(archive)


def mnist() -> Data:
    """500 digits to calibrate, others to measure."""
    held = _load("data/mnist_small.npz")

    def pixels(images: NDArray[np.generic]) -> Floats:
        return (images.astype(np.float32) / np.float32(255))[:, None]

    return pixels(held["x_cal"]), pixels(held["x_test"]), held["y_test"].astype(np.int64)


def words() -> Data:
    """Every other spoken word calibrates."""
    held = _load("data/kws_synth_260.npz")
    x, y = held["mfcc"][:, None].astype(np.float32), held["y"].astype(np.int64)
    return x[::2], x[1::2], y[1::2]


def pictures(name: str) -> Data:
    """Every other picture calibrates."""
    held = _load(f"models/{name}_golden.npz")
    x, y = held["x"].astype(np.float32), held["label"].astype(np.int64)
    return x[::2], x[1::2], y[1::2]


def frames() -> Data:
    """Every other stretch of one clip calibrates; there are no classes."""
    clip = _load("data/ad_toycar_normal_id_01_00000000.npz")["frames"].astype(np.float32)
    x = np.stack([clip[t : t + 5].ravel() for t in range(len(clip) - 4)])
    return x[::2], x[1::2], None


NETWORKS: dict[str, tuple[str, Callable[[], Data]]] = {
    "mnist": ("mnist_cnn", mnist),
    "kws": ("kws_dscnn_asdeployed_logits", words),
    "vww": ("vww_mobilenet_v1_025_logits", lambda: pictures("vww_mobilenet_v1_025")),
    "ic": ("ic_resnet8_logits", lambda: pictures("ic_resnet8")),
    "ad": ("ad_autoencoder_asdeployed", frames),
}


def compare(name: str, quant: QuantOptions) -> Study:
    """All methods on one network."""
    file, data = NETWORKS[name]
    calibration, x, y = data()
    # without classes, the input itself is the target: what an autoencoder is for
    labels = x if y is None else y
    options = StudyOptions(
        calibration=calibration, evaluation=(x, labels), quant=quant, samples=SAMPLES
    )
    return study(SHARED / "models" / f"{file}.pt2", options)


def rows(name: str, found: Study) -> Iterator[str]:
    """Lines of a Markdown table."""
    for choice in found.choices:
        cells = (name, choice.title, db_text(choice.output_sqnr_db), *_measured(choice))
        yield f"| {' | '.join(cells)} | {choice.seconds:.1f} |"


def _measured(choice: Choice) -> tuple[str, str]:
    held = choice.accuracy
    assert held is not None
    form = "{:.2f} %" if held.metric == "top-1" else "error {:.4f}"
    return form.format(held.float_value), form.format(held.int8_value)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--width", default="int8", help="of the weights: int8, int4 or int2")
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.networks) - set(NETWORKS))
    if unknown:
        parser.error(f"unknown network {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    torch.set_num_threads(1)
    widths = () if given.width == "int8" else (given.width,)
    print("| network | method | output SQNR | float | quantized | seconds |")
    print("|---|---|---|---|---|---|")
    for name in given.networks or NETWORKS:
        for line in rows(name, compare(name, QuantOptions(weights=widths))):
            print(line, flush=True)


if __name__ == "__main__":
    main()
