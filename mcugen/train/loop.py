# SPDX-License-Identifier: Apache-2.0
"""The one training loop: for quantization-aware training, and with masks for pruning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch

from mcugen.errors import OptionError, TrainingError
from mcugen.train.batches import Batch, Batches
from mcugen.train.checkpoint import Checkpoint
from mcugen.train.network import Tensors, TrainableNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """How the loop runs.

    learning_rate: of Adam, at its peak; after the first `warmup` share of all steps, in which it
        rises in a line, it falls to 0 along a cosine.
    gradual: share of all steps over which the rounding is blended in, 0 to round from the start.
    clip_norm: gradients longer than this are shortened to it.
    patience: epochs without a better score after which training stops; 0 never stops it early.
    counts_from: the first epoch whose state may be taken for the best; later than 0, the state
        before training, where masks or anything else still change in the epochs before.
    """

    epochs: int = 5
    learning_rate: float = 1e-3
    warmup: float = 0.1
    gradual: float = 0.0
    clip_norm: float = 1.0
    patience: int = 0
    counts_from: int = 0

    def __post_init__(self) -> None:
        """Raise OptionError that lists every value out of its range."""
        wanted = (
            ("epochs", self.epochs >= 1, "1 or more"),
            ("learning rate", 0.0 < self.learning_rate < math.inf, "above 0"),
            ("warmup", 0.0 <= self.warmup < 1.0, "a share of all steps from 0 to below 1"),
            ("gradual", 0.0 <= self.gradual < 1.0, "a share of all steps from 0 to below 1"),
            ("clip norm", self.clip_norm > 0.0, "above 0"),
            ("patience", self.patience >= 0, "0 or more epochs"),
            ("counts_from", 0 <= self.counts_from <= self.epochs, "0 to the number of epochs"),
        )
        problems = [
            f"{name} is {getattr(self, name.replace(' ', '_'))}; expected {expected}"
            for name, fits, expected in wanted
            if not fits
        ]
        if problems:
            raise OptionError("\n".join(problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of an optimizer, before it is made; both counted from 0."""

    number: int
    total: int
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What one epoch brought: mean loss over its batches, and the score, more being better."""

    number: int  # from 1; 0 is the network before training
    loss: float | None
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A finished run. `best` is the number of the epoch whose state the network now has."""

    epochs: tuple[Epoch, ...]
    best: int


OnStep = Callable[[Step], None]
Progress = Callable[[int, int, str], None]  # steps done, steps in all, what is known in words


class Training:
    """A run: `fit` makes it, all that it needs to go on later is in `state`."""

    def __init__(
        self,
        network: TrainableNetwork,
        batches: Batches,
        loss: Callable[[TrainableNetwork, Batch], torch.Tensor],
        options: TrainOptions,
        *,
        score: Callable[[TrainableNetwork], float] | None = None,
        on_step: OnStep = lambda _: None,
        checkpoint: Checkpoint | None = None,
        progress: Progress = lambda _done, _total, _text: None,
    ) -> None:
        """Nothing runs yet.

        loss: scalar tensor of a batch. score: of the network, more being better; where it is given
        the best epoch's state is kept, else the last one's. on_step: called before every step; it
        may change `network.masks`. Raises OptionError where early stopping lacks a score.
        """
        if options.patience and score is None:
            msg = "patience needs a score to judge by: pass evaluation data as well"
            raise OptionError(msg)
        self.network, self._batches, self._loss, self._options = network, batches, loss, options
        self._score, self._on_step = score, on_step
        self._checkpoint, self._progress = checkpoint, progress
        self._parameters = list(network.parameters().values())
        self._optimizer = torch.optim.Adam(self._parameters, lr=options.learning_rate)
        self._total = options.epochs * len(batches)
        self._epochs: list[Epoch] = []
        self._best: tuple[int, Tensors] = (0, network.state())

    def fit(self, *, resume: bool = False) -> History:
        """Train, and leave the network in its best state.

        With `resume` a run goes on from its checkpoint, if there is one, to the same bits as if it
        had never stopped. Raises TrainingError where the loss is no number any more; the network
        then has the best state so far.
        """
        held = self._checkpoint.load() if resume and self._checkpoint is not None else None
        if held is None:
            self._epochs = [Epoch(number=0, loss=None, score=self._measured())]
        else:
            self._restore(held)
        try:
            while not self._finished():
                self._run_epoch(len(self._epochs))
                if self._checkpoint is not None:
                    self._checkpoint.save(self._state())
        except TrainingError:
            self._keep_best()
            raise
        self._keep_best()
        return History(epochs=tuple(self._epochs), best=self._best[0])

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        """Those that are finished, the state before training included."""
        return tuple(self._epochs)

    @property
    def best(self) -> int:
        """The epoch with the best state so far, 0 for the one before training."""
        return self._best[0]

    def _finished(self) -> bool:
        done = len(self._epochs) - 1
        waited = done - self._best[0]
        return done >= self._options.epochs or 0 < self._options.patience <= waited

    def _run_epoch(self, number: int) -> None:
        """Epoch `number`, counted from 1."""
        total, step = 0.0, (number - 1) * len(self._batches)
        count = 0
        for batch in self._counted(number):
            self._on_step(Step(number=step, total=self._total, epoch=number - 1))
            loss = self._step(batch, step, number)
            total, count, step = total + loss, count + 1, step + 1
            self._progress(step, self._total, f"epoch {number}, loss {total / count:.4g}")
        if not self.network.is_finite():
            msg = (
                f"weights or scales are no numbers any more after step {step} of {self._total} "
                f"(epoch {number}), learning rate up to {self._options.learning_rate:.3g}; "
                "try a lower learning rate"
            )
            raise TrainingError(msg)
        score = self._measured()
        self._epochs.append(Epoch(number=number, loss=total / max(count, 1), score=score))
        self._choose_best(number, score)

    def _counted(self, number: int) -> Iterator[Batch]:
        """The batches of an epoch. Raises OptionError where a loader miscounts them."""
        expected, found = len(self._batches), 0
        for found, batch in enumerate(self._batches.epoch(number - 1), start=1):
            if found > expected:
                break
            yield batch
        if found != expected:
            more = "more" if found > expected else f"{found}"
            msg = f"the training data has {more} batches in an epoch; its length says {expected}"
            raise OptionError(msg)

    def _step(self, batch: Batch, step: int, epoch: int) -> float:
        rate = self._learning_rate(step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        if self.network.quantized:
            self.network.blend = self._blend(step)
        self._optimizer.zero_grad()
        loss = self._loss(self.network, batch)
        torch.autograd.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._options.clip_norm)
        value = float(loss.detach())
        if not (math.isfinite(value) and math.isfinite(float(norm))):
            what = f"loss is {value}" if not math.isfinite(value) else f"gradient is {float(norm)}"
            msg = (
                f"the {what} at step {step + 1} of {self._total} (epoch {epoch}), learning rate "
                f"{rate:.3g}; try a lower learning rate"
            )
            raise TrainingError(msg)
        self._optimizer.step()
        self.network.hold_masks()
        return value

    def _learning_rate(self, step: int) -> float:
        """Source: Loshchilov and Hutter, "SGDR", 2017, equation 5, without restarts."""
        rise = round(self._options.warmup * self._total)
        if step < rise:
            return self._options.learning_rate * (step + 1) / rise
        share = (step - rise) / max(self._total - rise, 1)
        return self._options.learning_rate * 0.5 * (1.0 + math.cos(math.pi * share))

    def _blend(self, step: int) -> float:
        steps = round(self._options.gradual * self._total)
        return 1.0 if step >= steps else step / steps

    def _measured(self) -> float | None:
        """The score of the network as it would be compiled."""
        if self._score is None:
            return None
        if self.network.quantized:
            self.network.blend = 1.0
        return self._score(self.network)

    def _choose_best(self, number: int, score: float | None) -> None:
        best = self._epochs[self._best[0]].score
        uncounted = self._best[0] < self._options.counts_from
        if uncounted or score is None or best is None or score > best:
            self._best = (number, self.network.state())

    def _keep_best(self) -> None:
        self.network.load_state(self._best[1])
        if self.network.quantized:
            self.network.blend = 1.0

    def _state(self) -> dict[str, Any]:
        number, best = self._best
        return {
            "network": self.network.state(),
            "optimizer": self._optimizer.state_dict(),
            "epochs": [asdict(epoch) for epoch in self._epochs],
            "best": number,
            "best network": best,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.network.load_state(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._epochs = [Epoch(**values) for values in state["epochs"]]
        self._best = (state["best"], state["best network"])
