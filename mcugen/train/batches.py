# SPDX-License-Identifier: Apache-2.0
"""Training data as batches in stored layout: from arrays, or from a caller's own DataLoader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from mcugen.errors import CalibrationError, OptionError
from mcugen.ir.graph import Graph
from mcugen.train.forward import to_stored

# inputs float32 [N, *shape] in stored layout; targets as the caller gave them, or None
Batch = tuple[tuple[torch.Tensor, ...], "torch.Tensor | None"]


class Batches(Protocol):
    """A data set that is run through once an epoch, always in the same order for one epoch."""

    def __len__(self) -> int:
        """Batches in an epoch."""
        ...

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch `number`, counted from 0."""
        ...


def epoch_seed(seed: int, number: int) -> int:
    """A seed for one epoch of a run, whichever epochs ran before it in this process."""
    return (seed * 1_000_003 + number) % 2**63


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrayBatches:
    """Arrays in memory, shuffled anew each epoch."""

    inputs: tuple[torch.Tensor, ...]  # stored layout
    targets: torch.Tensor | None
    batch_size: int
    seed: int = 0

    def __len__(self) -> int:
        """Batches in an epoch, the last one smaller where it does not come out even."""
        return -(-len(self.inputs[0]) // self.batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """A permutation that depends on the seed and the number alone."""
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, number))
        order = torch.randperm(len(self.inputs[0]), generator=generator)
        for chosen in torch.split(order, self.batch_size):
            targets = None if self.targets is None else self.targets[chosen]
            yield tuple(x[chosen] for x in self.inputs), targets

    def in_order(self) -> Iterator[Batch]:
        """All samples as they stand, for measuring."""
        count = len(self.inputs[0])
        for start in range(0, count, self.batch_size):
            part = slice(start, start + self.batch_size)
            targets = None if self.targets is None else self.targets[part]
            yield tuple(x[part] for x in self.inputs), targets


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoaderBatches:
    """A DataLoader, or anything with a length that iterates over batches.

    A batch is inputs and targets (x, y), ((x1, x2), y), or inputs alone; inputs are in the model's
    own axis order. Torch's random numbers, and the loader's own generator, begin each epoch at a
    seed of its own, so that an interrupted run can go on as if nothing had happened.
    """

    loader: Iterable[Any]
    graph: Graph
    seed: int = 0

    def __len__(self) -> int:
        """Batches in an epoch. Raises OptionError where the loader does not tell."""
        try:
            return len(self.loader)  # type: ignore[arg-type]  # that is the question
        except TypeError as error:
            msg = (
                f"the training data of type {type(self.loader).__name__} has no length; the "
                "learning rate's schedule needs one: give it a __len__ that returns its batches"
            )
            raise OptionError(msg) from error

    def epoch(self, number: int) -> Iterator[Batch]:
        """The loader's batches, checked and in stored layout."""
        seed = epoch_seed(self.seed, number)
        generator = getattr(self.loader, "generator", None)
        if isinstance(generator, torch.Generator):
            generator.manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for item in self.loader:
                inputs, targets = _parts(item, len(self.graph.inputs))
                yield _stored(inputs, self.graph), targets


def _parts(item: Any, count: int) -> tuple[Sequence[Any], torch.Tensor | None]:
    """Inputs and targets of what a loader yields."""
    if isinstance(item, torch.Tensor):
        return (item,), None
    if isinstance(item, (tuple, list)):
        if len(item) == 2 and isinstance(item[0], (tuple, list)):
            return tuple(item[0]), torch.as_tensor(item[1])
        if len(item) == count + 1:
            return tuple(item[:count]), torch.as_tensor(item[count])
        if len(item) == count:
            return tuple(item), None
    msg = (
        f"a batch of the training data is a {type(item).__name__}; expected inputs and targets "
        f"(x, y) with {count} input{'s' if count > 1 else ''}, as tensors"
    )
    raise CalibrationError(msg)


def _stored(inputs: Sequence[Any], graph: Graph) -> tuple[torch.Tensor, ...]:
    found = []
    if len(inputs) != len(graph.inputs):
        msg = f"a batch has {len(inputs)} inputs; the network takes {len(graph.inputs)}"
        raise CalibrationError(msg)
    for name, given, layout in zip(graph.inputs, inputs, graph.input_layouts, strict=True):
        x = torch.as_tensor(given).float()
        shape = graph.by_name[name].shape
        wanted = [shape[layout.index(axis)] for axis in range(len(layout))]
        if list(x.shape[1:]) != wanted or x.dim() != len(wanted) + 1:
            sizes = ", ".join(["N", *map(str, wanted)])
            msg = f"a batch of input {name!r} has shape {list(x.shape)}; expected [{sizes}]"
            raise CalibrationError(msg)
        found.append(to_stored(x, layout))
    return tuple(found)
