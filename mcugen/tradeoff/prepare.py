# SPDX-License-Identifier: Apache-2.0
"""What a search reckons with: the option table of a network, and what makes a choice real."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mcugen.ir.quantization import Quantization
from mcugen.quantize.quantize import quantize
from mcugen.tradeoff.cache import Losses, digest
from mcugen.tradeoff.code import code_sizes
from mcugen.tradeoff.forms import Former
from mcugen.tradeoff.measure import Float, Measure, Tensors
from mcugen.tradeoff.options import Table
from mcugen.tradeoff.problem import Allowed, Arrays, Problem, SearchOptions
from mcugen.tradeoff.realize import Stitcher
from mcugen.tradeoff.schedule import Schedule
from mcugen.tradeoff.sensitivity import cost_table, measure_losses, needed_forms, option_table
from mcugen.tradeoff.solve import Bounds

Status = Callable[[str], None]
Progress = Callable[[int, int, str], None]

FIT_SAMPLES = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """held: samples that losses are measured on. truth: what the float network makes of them."""

    table: Table
    losses: Losses
    stitcher: Stitcher
    held: Arrays
    truth: Tensors


def prepare(
    problem: Problem,
    options: SearchOptions,
    allowed: Allowed,
    bounds: Bounds,
    measure: Measure,
    status: Status,
    progress: Progress,
) -> Prepared:
    """Plan the network with most bits, and find what each form of each layer costs and loses."""
    quant = problem.compiling.quant
    status("looking at the layers")
    fit, held = halves(problem.calibration, options.samples)
    widest = {name: max(form.bits for form in forms) for name, forms in allowed.items()}
    # bits of nearest rounding: what a method learns comes when a choice is made real
    plain = replace(quant, method="mean_rounding") if quant.method == "adaround" else quant
    quantization = problem.quantization or quantize(
        problem.graph, problem.calibration, plain, widest
    )
    schedule = _scheduled(problem, quantization, bounds)
    exact = Float(problem.graph, held, measure)
    former = _former(problem, options, schedule, Float(problem.graph, fit, measure), fit)
    losses = Losses("" if problem.quantization else _key(problem, options, measure), options.cache)
    table = _table(problem, options, allowed, former, exact, losses, status, progress)
    used = {f for each in table.layers for option in each for f in option.functions}
    headers = {f: schedule.headers[f] for f in sorted(used)}
    parent = problem.parent
    return Prepared(
        table=replace(table, code_of=code_sizes(problem.board.core, headers)),
        losses=losses,
        stitcher=Stitcher(former=former, quant=quant, calibration=problem.calibration, refit=fit),
        held=held,
        truth=exact.exact if parent is None else Float(parent, held, measure).exact,
    )


def _scheduled(problem: Problem, quantization: Quantization, bounds: Bounds) -> Schedule:
    options = problem.compiling
    assert bounds.ram is not None
    return Schedule.of(
        problem.graph,
        quantization,
        options.target,
        requant=options.requant,
        ram_bytes=int(bounds.ram),
        row_input=options.row_input,
        removing="remove_channels" not in options.skip_passes,
    )


def _former(
    problem: Problem, options: SearchOptions, schedule: Schedule, read: Float, fit: Arrays
) -> Former:
    return Former(
        graph=problem.graph,
        schedule=schedule,
        quant=problem.compiling.quant,
        criterion=options.forms.criterion,
        samples=fit,
        operands={name: read.operand(name) for name in schedule.weighted},
    )


def _table(
    problem: Problem,
    options: SearchOptions,
    allowed: Allowed,
    former: Former,
    exact: Float,
    losses: Losses,
    status: Status,
    progress: Progress,
) -> Table:
    schedule = former.schedule
    if problem.quantization is not None:
        return option_table(schedule, {}, {}, losses)
    costs = cost_table(schedule, former, allowed)
    wanted = {
        name: tuple(each) if options.complete else needed_forms(each)
        for name, each in costs.items()
    }
    status("measuring what each layer loses")
    measure_losses(former, exact, wanted, losses, progress)
    return option_table(schedule, costs, wanted, losses)


def _key(problem: Problem, options: SearchOptions, measure: Measure) -> str:
    return digest(
        problem.graph,
        problem.calibration,
        (
            problem.compiling.quant.text(),
            options.forms.criterion,
            str(options.samples),
            measure.title,
            *measure.tensors,
        ),
    )


def halves(samples: Arrays, most: int) -> tuple[Arrays, Arrays]:
    """Samples to refit weights to, and others to measure losses on; the same where there are few.

    What was fitted to a sample looks too good on it.
    """
    count = len(samples[0])
    if count < 2 * most:
        most = count // 2 or count
    if count < 8:
        return samples, samples
    chosen = np.linspace(0, count - 1, most).astype(np.int64)
    others = np.setdiff1d(np.arange(count), chosen)
    fit = others[np.linspace(0, len(others) - 1, min(len(others), FIT_SAMPLES)).astype(np.int64)]
    return [x[fit] for x in samples], [x[chosen] for x in samples]
