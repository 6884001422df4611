# SPDX-License-Identifier: Apache-2.0
"""Measure networks on simulated cores: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import get_args

from benchmarks import baseline, results
from benchmarks.measure import Case, Meter, Row
from benchmarks.networks import networks
from mcugen.config import Optimize
from mcugen.errors import McugenError

# Beside `balanced` on every core, what the choices between cycles and bytes come to on one.
BOTH_WAYS = ("cortex-m4", ("speed", "ram"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit code."""
    options = _parser().parse_args(arguments)
    if options.readme:
        text = results.README.read_text("utf-8")
        results.README.write_text(results.with_block(text, results.load()), encoding="utf-8")
        return 0
    try:
        if options.update_baseline:
            baseline.save(measured(baseline.CASES))
            return 0
        held = results.load()
        for row in measured(chosen(options.network, options.core, options.optimize)):
            held = results.renewed(held, row)
            results.save(held)  # each at once: a run that is interrupted keeps what it has
    except McugenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Build networks, count one inference on simulated cores, and write "
        "benchmarks/results. Without options: all networks on all cores, and on the Cortex-M4 "
        "also what --optimize speed and ram come to.",
    )
    choices: tuple[tuple[str, Sequence[str]], ...] = (
        ("network", list(networks())),
        ("core", results.CORES),
        ("optimize", get_args(Optimize)),
    )
    for name, known in choices:
        parser.add_argument(f"--{name}", action="append", choices=known, help="may be repeated")
    parser.add_argument(
        "--readme", action="store_true", help="measure nothing: renew the README's table"
    )
    parser.add_argument(
        "--update-baseline",
        action="store_true",
        help="take over what the regression test compares with",
    )
    return parser


def chosen(
    names: Sequence[str] | None, cores: Sequence[str] | None, optimize: Sequence[Optimize] | None
) -> list[Case]:
    """The cases that the options stand for."""
    cases = [
        Case(network=name, core=core, optimize=choice)
        for name, core, choice in product(
            names or list(networks()), cores or results.CORES, optimize or ("balanced",)
        )
    ]
    if cores is None and optimize is None:
        core, more = BOTH_WAYS
        cases += [
            Case(network=name, core=core, optimize=choice)  # type: ignore[arg-type]
            for name, choice in product(names or list(networks()), more)
        ]
    return cases


def measured(cases: Sequence[Case]) -> Iterator[Row]:
    """Measure one after the other, and say so."""
    meter, known = Meter(), networks()
    with tempfile.TemporaryDirectory() as temporary:
        for k, case in enumerate(cases):
            row = meter.measure(known[case.network], case, Path(temporary) / str(k))
            print(f"{case}: {row.cycles:,} cycles, {row.cycles_per_mac:.2f} a MAC", flush=True)
            yield row


if __name__ == "__main__":
    sys.exit(main())
