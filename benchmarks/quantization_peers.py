# SPDX-License-Identifier: Apache-2.0
"""Quantization by other tools beside mcugen's, on the same networks and data, as the table in docs.

    python -m benchmarks.quantization_peers [NETWORK ...] [--by TOOL ...]

torchao's pt2e flow, NNCF and AIMET, as their documentation says for int8 after training, and with
plain extremes: weights symmetric and by output channel, activations affine (by NNCF's default
symmetric). A tool that is not installed is named and left out; none is a dependency. All of them
compute in float with rounded values, and mcugen with its integers. NNCF alone leaves the outputs of
the network unrounded. Networks, data and what is measured on what: `benchmarks.quantization`. One
thread and fixed seeds.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.quantization import NETWORKS, SAMPLES, SHARED, Floats
from mcugen.evaluate import sqnr_db, stored_inputs
from mcugen.frontend.load import LoadOptions
from mcugen.frontend.state import state_dict_of
from mcugen.ir.graph import Graph
from mcugen.ir.interp import run
from mcugen.ir.quantization import Quantization
from mcugen.lower.integer import to_integer
from mcugen.pipeline import simplified
from mcugen.quantize.options import QuantOptions
from mcugen.quantize.quantize import quantize
from mcugen.quantize.stated import settle
from mcugen.source import open_model
from mcugen.verify.inputs import quantize_inputs

BATCH = 64
METHODS = ("mean_rounding", "estimate", "adaround")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """A float network, and float32 [N, *shape] to calibrate and to measure on."""

    name: str
    module: nn.Module
    calibration: Floats
    x: Floats

    @property
    def sample(self) -> torch.Tensor:
        """One input with its batch axis."""
        return torch.from_numpy(self.calibration[:1])

    def fed(self, network: Callable[[torch.Tensor], Any], batch: int = 1) -> None:
        """Show the calibration data to a network, so many samples at a time."""
        outputs_of(network, self.calibration, batch)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """A quantized network's outputs, float32 [N, ...], and how long quantizing it took."""

    title: str
    outputs: Floats
    seconds: float


Runner = Callable[[Task], Iterator[Outcome]]


def outputs_of(network: Callable[[torch.Tensor], Any], x: Floats, batch: int = BATCH) -> Floats:
    """What a network in torch gives for all samples."""
    with torch.no_grad():
        parts = [network(torch.from_numpy(x[k : k + batch])) for k in range(0, len(x), batch)]
    return torch.cat(parts).numpy()


def by_mcugen(task: Task) -> Iterator[Outcome]:
    """Three of the methods, at their defaults."""
    file, _ = NETWORKS[task.name]
    source = open_model(SHARED / "models" / f"{file}.pt2", LoadOptions())
    samples = stored_inputs(source.graph, [task.calibration])
    for method in METHODS:
        start = time.perf_counter()
        options = QuantOptions(method=method)
        graph = simplified(source.graph, options)
        made = quantize(graph, samples, options)
        seconds = time.perf_counter() - start
        outputs = integer_outputs(graph, made, task.x)
        yield Outcome(title=f"mcugen {method}", outputs=outputs, seconds=seconds)


def integer_outputs(graph: Graph, quantization: Quantization, x: Floats) -> Floats:
    """What the C computes, in real numbers."""
    integer = to_integer(graph, quantization, "single")
    parts = []
    for k in range(0, len(x), BATCH):
        batch = quantize_inputs(integer, stored_inputs(graph, [x[k : k + BATCH]]))
        parts.append(run(integer, batch)[0])
    q = quantization.tensors[graph.outputs[0]]
    real: Floats = ((np.concatenate(parts) - q.zero_point) * q.scale).astype(np.float32)
    return real


def by_torchao(task: Task) -> Iterator[Outcome]:
    """Observers of extremes and of histograms; and C made of the scales that the latter gave."""
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    for title in ("minmax", "histogram"):
        start = time.perf_counter()
        traced: Any = torch.export.export(task.module, (task.sample,)).module()
        prepared = prepare_pt2e(traced, torchao_quantizer(title))
        task.fed(prepared)
        converted = convert_pt2e(prepared)
        seconds = time.perf_counter() - start
        outputs = outputs_of(converted, task.x, 1)
        yield Outcome(title=f"torchao {title}", outputs=outputs, seconds=seconds)
    source = open_model(torch.export.export(converted, (task.sample,)), LoadOptions())
    samples = stored_inputs(source.graph, [task.calibration])
    settled = settle(simplified(source.graph), samples)
    yield Outcome(
        title="torchao histogram, built by mcugen",
        outputs=integer_outputs(settled.graph, settled.quantization, task.x),
        seconds=seconds,
    )


def torchao_quantizer(observer: str) -> Any:
    """XNNPACK's rules for what is rounded together: all operators that it knows."""
    from torchao.quantization.pt2e import (
        HistogramObserver,
        MinMaxObserver,
        PerChannelMinMaxObserver,
    )
    from torchao.quantization.pt2e.quantizer import QuantizationSpec
    from torchao.testing.pt2e._xnnpack_quantizer import XNNPACKQuantizer
    from torchao.testing.pt2e._xnnpack_quantizer_utils import QuantizationConfig

    activation = QuantizationSpec(
        dtype=torch.int8,
        quant_min=-128,
        quant_max=127,
        qscheme=torch.per_tensor_affine,
        observer_or_fake_quant_ctr={"minmax": MinMaxObserver, "histogram": HistogramObserver}[
            observer
        ].with_args(eps=2**-12),
    )
    weight = QuantizationSpec(
        dtype=torch.int8,
        quant_min=-127,
        quant_max=127,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
        observer_or_fake_quant_ctr=PerChannelMinMaxObserver.with_args(eps=2**-12),
    )
    return XNNPACKQuantizer().set_global(QuantizationConfig(activation, activation, weight, None))


def by_nncf(task: Task) -> Iterator[Outcome]:
    """The default, and affine activations that span all samples, biases left as they are."""
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    minmax = AdvancedQuantizationParameters(
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
        disable_bias_correction=True,
    )
    presets = nncf.QuantizationPreset
    for title, preset, advanced in (
        ("NNCF performance", presets.PERFORMANCE, None),
        ("NNCF mixed, min-max", presets.MIXED, minmax),
    ):
        start = time.perf_counter()
        samples = [torch.from_numpy(x[None]) for x in task.calibration]
        made: Any = nncf.quantize(
            task.module,
            nncf.Dataset(samples),
            subset_size=len(samples),
            preset=preset,
            advanced_parameters=advanced,
        )
        seconds = time.perf_counter() - start
        yield Outcome(title=title, outputs=outputs_of(made, task.x), seconds=seconds)


def by_aimet(task: Task) -> Iterator[Outcome]:
    """Scales of the extremes and of least noise; batch norms folded, channels of weights apart."""
    from aimet_torch import QuantizationSimModel
    from aimet_torch.batch_norm_fold import fold_all_batch_norms
    from aimet_torch.common.defs import QuantScheme
    from aimet_torch.common.quantsim_config.utils import get_path_for_per_channel_config
    from aimet_torch.model_preparer import prepare_model

    schemes = {"min-max": QuantScheme.min_max, "tf_enhanced": QuantScheme.post_training_tf_enhanced}
    for title, scheme in schemes.items():
        start = time.perf_counter()
        prepared = prepare_model(copy.deepcopy(task.module))  # folding changes its weights
        fold_all_batch_norms(prepared, tuple(task.sample.shape))
        simulated: Any = QuantizationSimModel(
            prepared, task.sample, scheme, config_file=get_path_for_per_channel_config()
        )
        simulated.compute_encodings(lambda network, _: task.fed(network, BATCH), None)
        seconds = time.perf_counter() - start
        outputs = outputs_of(simulated.model, task.x)
        yield Outcome(title=f"AIMET {title}", outputs=outputs, seconds=seconds)


RUNNERS: dict[str, Runner] = {
    "mcugen": by_mcugen,
    "torchao": by_torchao,
    "nncf": by_nncf,
    "aimet_torch": by_aimet,
}


def module_of(name: str) -> nn.Module:
    """The float network with its trained weights, as its own file defines it."""
    file, _ = NETWORKS[name]
    stem = file.removesuffix("_logits")
    path = SHARED / "models" / f"{stem}.py"
    spec = importlib.util.spec_from_file_location(stem, path)
    assert spec is not None and spec.loader is not None
    definition = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(definition)
    module = definition.build(softmax=False) if file != stem else definition.build()
    assert isinstance(module, nn.Module)
    held = torch.load(SHARED / "models" / f"{stem}_state.pt", weights_only=True)
    module.load_state_dict(state_dict_of(held))
    return module.eval()


def figure(outputs: Floats, target: np.ndarray[Any, Any], labelled: bool) -> str:
    """Right answers in percent, or the mean absolute error where there are no classes."""
    if labelled:
        return (
            f"{100.0 * np.mean(outputs.reshape(len(outputs), -1).argmax(axis=1) == target):.2f} %"
        )
    return f"error {np.abs(outputs.reshape(target.shape) - target).mean():.4f}"


def rows(name: str, tools: Sequence[str]) -> Iterator[str]:
    """Lines of a Markdown table."""
    calibration, x, y = NETWORKS[name][1]()
    x, labels = x[:SAMPLES], None if y is None else y[:SAMPLES]
    target: np.ndarray[Any, Any] = x if labels is None else labels
    task = Task(name=name, module=module_of(name), calibration=calibration, x=x)
    exact = outputs_of(task.module, x)
    plain = figure(exact, target, labels is not None)
    for package in tools:
        if importlib.util.find_spec(package) is None:
            print(f"{package} is not installed: left out", file=sys.stderr)
            continue
        torch.manual_seed(0)
        for made in RUNNERS[package](task):
            sqnr = f"{sqnr_db(exact, made.outputs.reshape(exact.shape)):.1f} dB"
            got = figure(made.outputs, target, labels is not None)
            yield f"| {' | '.join((name, made.title, sqnr, plain, got))} | {made.seconds:.1f} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--by", nargs="+", default=[*RUNNERS], choices=[*RUNNERS], metavar="TOOL")
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.networks) - set(NETWORKS))
    if unknown:
        parser.error(f"unknown network {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print("| network | quantized by | output SQNR | float | quantized | seconds |")
    print("|---|---|---|---|---|---|")
    for name in given.networks or NETWORKS:
        for line in rows(name, given.by):
            print(line, flush=True)


if __name__ == "__main__":
    main()
