# SPDX-License-Identifier: Apache-2.0
"""The option table of a network: what each form of each layer costs, and what it loses.

The loss is measured: the layer alone is replaced by what its integers mean, all else stays float.
Costs come first, for they take no data: a form all of whose kernels are beaten by those of a
gentler one is never worth its loss, and is not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from mcugen.quantize.walk import with_quantized_weights
from mcugen.tradeoff.cache import Losses
from mcugen.tradeoff.forms import Former
from mcugen.tradeoff.measure import Float
from mcugen.tradeoff.options import Form, Option, Table
from mcugen.tradeoff.problem import Allowed
from mcugen.tradeoff.schedule import Schedule

Progress = Callable[[int, int, str], None]  # steps done, steps in all, what is being done
Costs = dict[str, dict[Form, tuple[Option, ...]]]  # by layer and form, with no loss yet


def cost_table(schedule: Schedule, former: Former, allowed: Allowed) -> Costs:
    """The kernels of every layer in every form that it can have."""
    found: Costs = {name: {} for name in schedule.weighted}
    for form in dict.fromkeys(form for name in found for form in allowed[name]):
        names = [node.name for node in former.layers(form, allowed)]
        graph, weights = former.weights(form, names, refit=False)
        for name, options in schedule.options(form, weights, graph).items():
            found[name][form] = options
    return found


def needed_forms(costs: Mapping[Form, Sequence[Option]]) -> tuple[Form, ...]:
    """The forms of one layer that save something over all gentler ones."""

    def saves(form: Form) -> bool:
        gentler = [
            option
            for other, options in costs.items()
            if other != form and other.gentler(form)
            for option in options
        ]
        return any(not any(o.beats(option) for o in gentler) for option in costs[form])

    return tuple(form for form in costs if saves(form))


def measure_losses(
    former: Former,
    network: Float,
    wanted: Mapping[str, Sequence[Form]],
    losses: Losses,
    progress: Progress = lambda _done, _total, _text: None,
) -> None:
    """Measure what is wanted and not known yet, form after form; keep it if interrupted."""
    try:
        _measure(former, network, wanted, losses, progress)
    finally:
        losses.save()


def _measure(
    former: Former,
    network: Float,
    wanted: Mapping[str, Sequence[Form]],
    losses: Losses,
    progress: Progress,
) -> None:
    former.score(
        {name: [f for f in forms if losses.get(name, f) is None] for name, forms in wanted.items()}
    )
    total = sum(map(len, wanted.values()))
    done = 0
    for form in sorted({form for forms in wanted.values() for form in forms}):
        names = [name for name, forms in wanted.items() if form in forms]
        missing = [name for name in names if losses.get(name, form) is None]
        done += len(names) - len(missing)
        _, weights = former.weights(form, missing, refit=True)
        for name in missing:
            made = former.repaired(name, weights[name])
            op = with_quantized_weights(former.op(name, form, refit=False), made)
            losses.put(name, form, network.loss(name, op))
            done += 1
            progress(done, total, f"{name} as {form.text()}")


def option_table(
    schedule: Schedule, costs: Costs, wanted: Mapping[str, Sequence[Form]], losses: Losses
) -> Table:
    """All options with their losses, without those that others beat."""

    def options(name: str) -> tuple[Option, ...]:
        if name not in costs:
            return schedule.fixed_options(name)
        return tuple(
            replace(option, loss=_known(losses, name, form))
            for form in wanted[name]
            for option in costs[name][form]
        )

    return replace(
        Table.of(options(node.name) for node in schedule.graph.layers), moves=schedule.moves
    )


def _known(losses: Losses, name: str, form: Form) -> float:
    loss = losses.get(name, form)
    assert loss is not None, "measured before"
    return loss
