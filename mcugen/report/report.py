# SPDX-License-Identifier: Apache-2.0
"""report.json: what was built, what it costs, what was proved. Schema in docs/REPORT.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import mcugen
from mcugen.boards import Board
from mcugen.ir.graph import Graph, Node, QParams
from mcugen.ops.base import IntOp

if TYPE_CHECKING:
    from mcugen.evaluate import Accuracy, PruningError
    from mcugen.pipeline import Compilation, PassRecord
    from mcugen.simulate.size import Size
    from mcugen.verify.everywhere import Proof

SCHEMA = 1


def make_report(
    compiled: Compilation,
    board: Board,
    *,
    model_kind: str,
    sqnr: Mapping[str, float],
    size: Size | None,
    accuracy: Accuracy | None,
    pruning: PruningError | None,
    proof: Proof,
    warnings: Sequence[str],
) -> dict[str, Any]:
    """The report as plain values, in the order in which people read them."""
    graph = compiled.graph
    return {
        "schema": SCHEMA,
        "name": graph.name,
        "version": mcugen.__version__,
        "digest": compiled.view.digest,
        "model_kind": model_kind,
        "board": board.name,
        "core": board.core.name,
        "cflags": list(board.core.optimize),
        "macs": compiled.view.macs,
        "arena_bytes": compiled.plan.arena_bytes,
        "arena_bound_bytes": compiled.plan.bound_bytes,
        "arena_peak_layer": compiled.plan.peak,
        "arena_proof": compiled.plan.proof,
        "fast_arena_bytes": compiled.plan.fast_bytes,
        "fast_access_share": round(compiled.plan.fast_share, 4),
        "weight_bytes": compiled.view.weight_bytes,
        "flash_bytes": size and size.flash_bytes,
        "compiler": size and size.compiler,
        "board_ram_bytes": board.ram_bytes_beside_fast
        if compiled.plan.fast_bytes
        else board.ram_bytes,
        "board_fast_ram_bytes": board.fast_region.size_bytes if board.fast_region else 0,
        "board_flash_bytes": board.flash_bytes,
        "row_input": compiled.view.fed is not None,
        "inputs": [_tensor(graph, n) for n in graph.inputs],
        "outputs": [_tensor(graph, n) | {"sqnr_db": _db(sqnr.get(n))} for n in graph.outputs],
        "pruning": _pruning(pruning),
        "accuracy": _accuracy(accuracy),
        **proof_values(proof),
        "passes": [_pass(record) for record in compiled.passes],
        "layers": _layers(compiled, sqnr),
        "warnings": list(warnings),
    }


def proof_values(proof: Proof) -> dict[str, Any]:
    """What was compared on each target, and what could not be."""
    return {
        "verification": {
            v.target: {"inputs": v.inputs, "tensors": v.tensors, "mismatches": v.mismatches}
            for v in proof.verified
        },
        "not_verified": list(proof.missing),
    }


def _db(value: float | None) -> float | None:
    """JSON knows no infinity: an exact tensor has null."""
    return None if value is None or math.isinf(value) else round(value, 2)


def _tensor(graph: Graph, name: str) -> dict[str, Any]:
    node = graph.by_name[name]
    return {"name": name, "shape": list(node.shape)} | _quantization(node.qparams)


def _quantization(qparams: QParams | None) -> dict[str, Any]:
    assert qparams is not None
    return {"scale": qparams.scale, "zero_point": qparams.zero_point, "bits": qparams.bits}


def _accuracy(accuracy: Accuracy | None) -> dict[str, Any] | None:
    if accuracy is None:
        return None
    return {
        "metric": accuracy.metric,
        "samples": accuracy.samples,
        "float": accuracy.float_value,
        "pruned": accuracy.pruned_value,
        "int8": accuracy.int8_value,
    }


def _pruning(error: PruningError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        "samples": error.samples,
        "sqnr_db": _db(error.sqnr_db),
        "same_largest": error.same_largest,
    }


def _pass(record: PassRecord) -> dict[str, Any]:
    before, after = record.before, record.after
    return {
        "name": record.name,
        "layers_saved": before.layers - after.layers,
        "macs_saved": before.macs - after.macs,
        "parameters_saved": before.parameters - after.parameters,
    }


def _weight_bits(node: Node) -> int | None:
    return node.op.bits_per_weight if isinstance(node.op, IntOp) else None


def _zero_share(node: Node) -> float | None:
    share = node.op.zero_share if isinstance(node.op, IntOp) else None
    return None if share is None else round(share, 4)


def _layers(compiled: Compilation, sqnr: Mapping[str, float]) -> list[dict[str, Any]]:
    graph = compiled.graph
    runs = {name: n for chain in compiled.chains for name, n in chain.runs().items()}
    together = {
        name: [layer.node.name for layer in chain.layers]
        for chain in compiled.chains
        for name in chain.nodes
    }
    return [
        {
            "name": layer.node.name,
            "op": layer.node.op.kind,
            "origin": str(layer.node.origin),
            "input_shapes": [list(shape) for shape in graph.input_shapes(layer.node)],
            "output_shape": list(layer.node.shape),
            "macs": layer.node.op.macs(graph.input_shapes(layer.node), layer.node.shape),
            "weight_bits": _weight_bits(layer.node),
            "zero_share": _zero_share(layer.node),
            "skips_zeros": layer.kernel.skips_zeros,
            "weight_bytes": layer.kernel.table_bytes,
            "kernel": " ".join(dict.fromkeys(call.function for call in layer.calls)),
            "variant": layer.kernel.variant,
            "model_cost": round(runs.get(layer.node.name, 1) * layer.kernel.cycles),
            "inserted": layer.node.name not in compiled.float_graph.by_name,
            "together": together.get(layer.node.name, []),
            "sqnr_db": _db(sqnr.get(layer.node.name)),
        }
        | _quantization(layer.node.qparams)
        for layer in compiled.layers
    ]
