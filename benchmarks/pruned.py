# SPDX-License-Identifier: Apache-2.0
"""What `mcugen prune` leaves of networks that this project trains, as int8, from several seeds.

    python -m benchmarks.pruned [NETWORK ...] [--validation] [--seconds N] [--render]

Every case is the command with its defaults, `--distill`, and what the case says; without `--eval`
the last epoch counts. Settings and defaults are chosen by `--validation`: measured on samples that
no training has seen and that are not the test's; nothing is kept of that. Without it the test
samples are measured, once, and figures go to results/pruned.json one by one, so that a run that was
interrupted goes on. `--render` writes the table into docs.

Networks and data are those of benchmarks/pruning.py, and the MNIST network of ../shared/models.
Accuracy in int8 is the integer reference's, which the C equals to the bit.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import nn

from benchmarks import documents
from benchmarks.networks import MODELS, ROOT
from benchmarks.pruning import SEEDS, data_for, trained_model
from benchmarks.training import Labelled, digits, mnist_cnn
from benchmarks.words import words
from mcugen.api import prune
from mcugen.evaluate import accuracy, by_reference, stored_inputs
from mcugen.frontend.load import LoadOptions
from mcugen.lower.integer import to_integer
from mcugen.pipeline import simplified
from mcugen.pruning.options import CHANNEL, WHEN_TRAINED, PruneOptions
from mcugen.source import open_model

DOCUMENT = ROOT / "docs" / "PRUNING.md"
RESULTS = ROOT / "benchmarks" / "results" / "pruned.json"
BEGIN, END = "<!-- pruned: begin -->", "<!-- pruned: end -->"

SETTINGS: dict[str, dict[str, object]] = {
    "unstructured": {"sparsity": 0.75},
    "block2x2": {"sparsity": 0.75, "pattern": "block2x2"},
    "half the products": {
        "pattern": CHANNEL,
        "macs": 0.5,
        "round_to": 2,
        "keep_dense": ("none",),
    },
    "block1x4": {"sparsity": 0.75, "pattern": "block1x4"},
}
MNIST: dict[str, dict[str, object]] = {"block2x2": {"sparsity": 0.8, "pattern": "block2x2"}}
EPOCHS = {"mnist_cnn": 5, "resnet": 20, "ds_cnn": 20}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A network, what goes of it, and the seed of its training and its pruning."""

    network: str
    what: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Top-1 in percent, and how long pruning and training took."""

    case: Case
    exact: float  # of the network before, in float
    int8: float
    seconds: float

    def values(self) -> dict[str, object]:
        """Plain values, for JSON."""
        numbers = {"exact": round(self.exact, 4), "int8": round(self.int8, 4)}
        return asdict(self.case) | numbers | {"seconds": round(self.seconds)}


def cases(networks: Sequence[str] = ()) -> Iterator[Case]:
    """Of some networks or of all; what goes with every seed before the next."""
    for network in networks or EPOCHS:
        for what in MNIST if network == "mnist_cnn" else SETTINGS:
            for seed in SEEDS:
                yield Case(network=network, what=what, seed=seed)


def held_back(network: str) -> tuple[Labelled, Labelled]:
    """Samples to train, and others to choose settings by: every fifth digit, words of their own."""
    train, _ = data_for(network)
    if network == "ds_cnn":
        return train, words(2000, 3)
    held = np.arange(len(train[1])) % 5 == 0
    return (train[0][~held], train[1][~held]), (train[0][held], train[1][held])


def mnist() -> nn.Module:
    """The trained network of ../shared/models, whose parameters have other names there."""
    model = mnist_cnn()
    held = torch.load(MODELS / "mnist_cnn_state.pt", weights_only=True)
    model.load_state_dict(dict(zip(model.state_dict(), held.values(), strict=True)))
    return model.eval()


def measured(case: Case, *, validation: bool) -> Row:
    """Prune, train and measure as the case says."""
    if case.network == "mnist_cnn":
        train, other = digits()
        model = mnist()
    else:
        train, other = (held_back if validation else data_for)(case.network)
        key = "_held_back" if validation else ""
        model = trained_model(case.network, case.seed, train, key)
    settings = (MNIST if case.network == "mnist_cnn" else SETTINGS)[case.what]
    shape = (1, *train[0].shape[1:])
    start = time.monotonic()
    made = prune(
        model,
        options=PruneOptions(criterion=WHEN_TRAINED, seed=case.seed, **settings),  # type: ignore[arg-type]
        train=train,
        distill=True,
        epochs=EPOCHS[case.network],
        seed=case.seed,
        input_shapes=(shape,),
    ).network
    seconds = time.monotonic() - start
    graph = simplified(open_model(model, LoadOptions(input_shapes=(shape,)), name="net").graph)
    integer = to_integer(made.graph, made.quantization, "single")
    found = accuracy(
        graph, integer, by_reference(integer), stored_inputs(graph, [other[0]]), other[1]
    )
    return Row(case=case, exact=found.float_value, int8=found.int8_value, seconds=seconds)


def load() -> dict[Case, Row]:
    """What was measured before."""
    if not RESULTS.exists():
        return {}
    found = {}
    for values in json.loads(RESULTS.read_text("utf-8")):
        case = Case(**{name: values.pop(name) for name in Case.__slots__})
        found[case] = Row(case=case, **values)
    return found


def save(rows: dict[Case, Row]) -> None:
    """Write the results, in the order of `cases`."""
    lines = ",\n".join(json.dumps(rows[case].values()) for case in cases() if case in rows)
    RESULTS.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def table(rows: dict[Case, Row]) -> str:
    """A table in Markdown, between markers: a line for what was measured with every seed."""
    lines = [
        BEGIN,
        "| network | what | epochs | float | int8 | lost, mean | at most |",
        "|---|---|---|---|---|---|---|",
    ]
    for network, what in dict.fromkeys((case.network, case.what) for case in cases()):
        wanted = [Case(network=network, what=what, seed=seed) for seed in SEEDS]
        found = [rows[case] for case in wanted if case in rows]
        if len(found) == len(wanted):
            lost = [row.exact - row.int8 for row in found]
            exact, int8 = (
                ", ".join(f"{x:.2f}" for x in column)
                for column in zip(*((row.exact, row.int8) for row in found), strict=True)
            )
            lines.append(
                f"| `{network}` | {what} | {EPOCHS[network]} | {exact} % | {int8} % "
                f"| {np.mean(lost):.2f} | {max(lost):.2f} |"
            )
    return "\n".join([*lines, END])


def with_table(text: str, rows: dict[Case, Row]) -> str:
    """The document's text with this table. Raises ValueError where it has no markers."""
    return documents.with_block(text, table(rows), DOCUMENT.name)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pruned")
    parser.add_argument("network", nargs="*", choices=[*EPOCHS, []], help="all of them if none")
    parser.add_argument("--validation", action="store_true", help="print, on held-back samples")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which to stop")
    parser.add_argument("--render", action="store_true", help="measure nothing: renew docs")
    given = parser.parse_args(arguments)
    if given.render:
        text = DOCUMENT.read_text("utf-8")
        DOCUMENT.write_text(with_table(text, load()), encoding="utf-8")
        return
    torch.set_num_threads(1)
    end = time.monotonic() + given.seconds
    for case in cases(given.network):
        if given.validation and case.network == "mnist_cnn":
            continue  # trained elsewhere, on what could be held back
        if not given.validation and case in load():
            continue
        if time.monotonic() > end:
            break
        row = measured(case, validation=given.validation)
        if not given.validation:
            save(load() | {case: row})  # another network may have been measured meanwhile
        print(row.values(), flush=True)


if __name__ == "__main__":
    main()
