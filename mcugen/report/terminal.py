# SPDX-License-Identifier: Apache-2.0
"""What a build, an inspection and a profile look like in the terminal, as text; prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mcugen.report.table import columns, shape_text

WORTH_TELLING = 0.1  # share of zeros


def build_summary(report: Mapping[str, Any], folder: str) -> str:
    """The short table that ends `mcugen build`."""
    rows = [
        ("network", f"{report['name']} for {report['board']}, in {folder}"),
        ("layers", str(len(report["layers"]))),
        ("MACs", f"{report['macs']:,}"),
        ("flash", _flash(report)),
        *(("weights", text) for text in _widths(report["layers"])),
        *(("zeros", text) for text in _zeros(report["layers"])),
        *(("RAM", text) for text in ram_lines(report)),
        *(("activations", text) for text in _activations(report)),
        *_pruning(report["pruning"]),
        (f"{_integers(report)} error", _error(report)),
        *_accuracy(report["accuracy"], _integers(report)),
        *(("pass", text) for text in _passes(report["passes"])),
        *(("verified", text) for text in verification_lines(report)),
    ]
    return "\n".join(columns(_titled(rows)))


def _titled(rows: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Rows of one title in a row show it once."""
    shown, last = [], ""
    for title, text in rows:
        shown.append(("" if title == last else title, text))
        last = title
    return shown


def _share(used: int, available: int) -> str:
    return f"{used:,} of {available:,} bytes ({100 * used / available:.1f} %)"


def ram_lines(report: Mapping[str, Any]) -> list[str]:
    """The blocks of RAM, and whether a better plan may exist."""
    arena = _share(report["arena_bytes"], report["board_ram_bytes"])
    if not report["fast_arena_bytes"]:
        return [f"{arena}, the arena is all", arena_proof_text(report)]
    fast = _share(report["fast_arena_bytes"], report["board_fast_ram_bytes"])
    share = f"{100 * report['fast_access_share']:.1f} % of all accesses"
    proof = "as many as can be, by the solver" if report["arena_proof"] else "not proved to be most"
    return [f"{arena}, the arena", f"{fast} of fast RAM: {share}, {proof}"]


def arena_proof_text(report: Mapping[str, Any]) -> str:
    """Whether there is a smaller arena for the chosen kernels and order."""
    live = (
        f"{report['arena_bound_bytes']:,} bytes are live at once, in {report['arena_peak_layer']}"
    )
    proofs = {"bound": "as small as can be", "solver": "as small as can be, by the solver"}
    return f"{proofs.get(report['arena_proof'], 'not proved to be the smallest')}: {live}"


def _flash(report: Mapping[str, Any]) -> str:
    if report["flash_bytes"] is None:
        return f"{report['weight_bytes']:,} bytes of constants; code not measured (no compiler)"
    share = _share(report["flash_bytes"], report["board_flash_bytes"])
    return f"{share}, {report['weight_bytes']:,} of it constants"


def _widths(layers: Iterable[Mapping[str, Any]]) -> list[str]:
    """Which layers have weights of how many bits, where not all have 8."""
    found: dict[int, list[Mapping[str, Any]]] = {}
    for layer in layers:
        if layer["weight_bits"] is not None:
            found.setdefault(layer["weight_bits"], []).append(layer)
    if not any(bits < 8 for bits in found):
        return []
    return [
        f"int{bits}, {sum(layer['weight_bytes'] for layer in of):,} bytes with biases and scales: "
        + ", ".join(layer["name"] for layer in of)
        for bits, of in sorted(found.items())
    ]


def _activations(report: Mapping[str, Any]) -> list[str]:
    """Which tensors are int16, and where they become int8 or the other way round."""
    tensors = [*report["inputs"], *report["layers"]]
    if all(tensor["bits"] == 8 for tensor in tensors):
        return []
    found: dict[int, list[str]] = {}
    for tensor in tensors:
        if not tensor.get("inserted"):
            found.setdefault(tensor["bits"], []).append(tensor["name"])
    added = [layer["name"] for layer in report["layers"] if layer["inserted"]]
    lines = [f"int{bits}: {', '.join(names)}" for bits, names in sorted(found.items())]
    if added:
        lines.append(f"added, from one to another: {', '.join(added)}")
    return lines


def _integers(report: Mapping[str, Any]) -> str:
    """What is compared with float."""
    bits = {tensor["bits"] for tensor in (*report["inputs"], *report["layers"])}
    return {8: "int8", 16: "int16"}[bits.pop()] if len(bits) == 1 else "integer"


def _zeros(layers: Iterable[Mapping[str, Any]]) -> list[str]:
    """Which layers are computed without their weights of zero, and which in spite of them."""
    found: dict[bool, list[str]] = {True: [], False: []}
    for layer in layers:
        if layer["weight_bits"] == 8 and layer["zero_share"] >= WORTH_TELLING:
            found[layer["skips_zeros"]].append(f"{layer['name']} {100 * layer['zero_share']:.0f} %")
    titles = {True: "skipped", False: "multiplied, as skipping does not pay"}
    return [f"{titles[skips]}: {', '.join(names)}" for skips, names in found.items() if names]


def _error(report: Mapping[str, Any]) -> str:
    outputs = [o["sqnr_db"] for o in report["outputs"]]
    shown = ", ".join("exact" if db is None else f"{db:.1f} dB" for db in outputs)
    known = [layer for layer in report["layers"] if layer["sqnr_db"] is not None]
    worst = min(known, key=lambda layer: layer["sqnr_db"], default=None)
    tail = f"; worst layer {worst['name']} {worst['sqnr_db']:.1f} dB" if worst else ""
    return f"output SQNR {shown}{tail}"


def _pruning(error: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What became of the float network, whether there are labels or not."""
    if error is None:
        return []
    shown = "no change" if error["sqnr_db"] is None else f"output SQNR {error['sqnr_db']:.1f} dB"
    same = error["same_largest"]
    of = f"of {error['samples']:,} calibration samples"
    told = "" if same is None else f"; largest output unchanged in {same:.4g} % {of}"
    return [("pruning error", f"{shown} against the network before{told}")]


def _accuracy(accuracy: Mapping[str, Any] | None, integers: str) -> list[tuple[str, str]]:
    if accuracy is None:
        return []
    unit = " %" if accuracy["metric"] == "top-1" else ""
    pruned = accuracy["pruned"]
    told = "" if pruned is None else f"pruned {pruned:.4g}{unit}, "
    text = (
        f"{accuracy['metric']} float {accuracy['float']:.4g}{unit}, {told}"
        f"{integers} {accuracy['int8']:.4g}{unit} on {accuracy['samples']:,} samples"
    )
    return [("accuracy", text)]


def _passes(passes: Iterable[Mapping[str, Any]]) -> list[str]:
    keys = {"layers_saved": "layers", "macs_saved": "MACs", "parameters_saved": "parameters"}
    lines = []
    for record in passes:
        saved = [f"{-record[key]:+,} {unit}" for key, unit in keys.items() if record[key]]
        if saved:
            lines.append(f"{record['name']}: {', '.join(saved)}")
    return lines


def verification_lines(found: Mapping[str, Any]) -> list[str]:
    """One line for each target, and for each that is missing."""
    done = [
        f"{v['inputs']} inputs, {v['mismatches']} mismatches in {v['tensors']} layers: {target}"
        for target, v in found["verification"].items()
    ]
    return done + [f"not verified: {text}" for text in found["not_verified"]]


def layer_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Layers with shapes, parameters and MACs."""
    head = ("layer", "operator", "input", "output", "parameters", "MACs", "from")
    lines = [
        (
            row["name"],
            row["op"],
            " ".join(shape_text(shape) for shape in row["input_shapes"]),
            shape_text(row["output_shape"]),
            f"{row['parameters']:,}",
            f"{row['macs']:,}",
            row["origin"],
        )
        for row in rows
    ]
    return "\n".join(columns([head, *lines], right=(4, 5)))


def inspection_text(found: Mapping[str, Any]) -> str:
    """Layers, totals, and what cannot be compiled."""
    inputs = ", ".join(f"{i['name']} {shape_text(i['shape'])}" for i in found["inputs"])
    lines = [
        f"{found['name']}: {found['kind']}, input {inputs} (channels last, per sample)",
        layer_table(found["layers"]),
        f"{len(found['layers'])} layers, {found['parameters']:,} parameters, "
        f"{found['macs']:,} MACs, before any pass",
        *(f"warning: {text}" for text in found["warnings"]),
    ]
    if not found["problems"]:
        return "\n".join([*lines, "everything is supported"])
    lines += ["not supported:", *(f"  {problem}" for problem in found["problems"])]
    if found["supported"]:
        lines.append(f"supported operators: {', '.join(found['supported'])}")
    return "\n".join(lines)


def profile_text(found: Mapping[str, Any]) -> str:
    """Layers with their share of the cycles, then the totals.

    Where the folder was built for this core, also each layer's kernel and what its model says, in
    `found["cost_unit"]`, cycles or instructions.
    """
    modelled = found["model_cost"] is not None
    rows = [_profile_row(layer, found) for layer in found["layers"]]
    total = ("total", "", *_counts(found), "", _per_mac(found))
    head = ("layer", "operator", "MACs", "instructions", "cycles", "share", "cycles/MAC")
    lines: list[tuple[str, ...]] = [head, *rows, total]
    if modelled:
        unit = found["cost_unit"]
        titles = ("kernel", f"model {unit}", f"model/{unit}")
        whole = {**found, "variant": "", "together": []}
        models = [_model(layer, found, unit) for layer in (*found["layers"], whole)]
        lines = [line + more for line, more in zip(lines, (titles, *models), strict=True)]
    return "\n".join(
        [
            f"{found['name']} on {found['core']}: {found['engine']}, {found['compiler']}",
            *columns(lines, right=(2, 3, 4, 5, 6, 8, 9)),
            f"stack {found['stack_bytes']:,} bytes, flash {found['flash_bytes']:,} bytes, "
            f"static RAM {found['static_ram_bytes']:,} bytes, arena {found['arena_bytes']:,} bytes",
        ]
    )


def _counted_later(layer: Mapping[str, Any]) -> bool:
    """Layers that are computed together are counted at the last one."""
    return bool(layer["together"]) and layer["together"][-1] != layer["name"]


def _profile_row(layer: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, ...]:
    if _counted_later(layer):
        return (layer["name"], layer["op"], f"{layer['macs']:,}", "", "", "together", "")
    share = 100 * layer["cycles"] / max(1, found["cycles"])
    return (layer["name"], layer["op"], *_counts(layer), f"{share:.1f} %", _per_mac(layer))


def _counts(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{row[key]:,}" for key in ("macs", "instructions", "cycles"))


def _per_mac(row: Mapping[str, Any]) -> str:
    alone = row["macs"] and not row.get("together")
    return f"{row['cycles'] / row['macs']:.2f}" if alone else ""


def _model(row: Mapping[str, Any], found: Mapping[str, Any], unit: str) -> tuple[str, str, str]:
    """The kernel, its modelled cost, and how many times the measured one that is."""
    names = row["together"] or [row["name"]]
    costs = {layer["name"]: layer["model_cost"] for layer in found["layers"]}
    model = sum(costs.get(name, row["model_cost"]) for name in names)
    ratio = f"{model / row[unit]:.2f}" if row[unit] else ""
    return row["variant"], f"{row['model_cost']:,}", ratio
