# SPDX-License-Identifier: Apache-2.0
"""Which operators a model file may name: those that compute and do nothing else."""

from __future__ import annotations

import importlib
import re

import torch
from torch._ops import OpOverload

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What the text arguments of computing operators are called; `filename` of aten::save and
# aten::from_file, which touch the disk, is none of them.
_TEXT_ARGUMENTS = re.compile(
    "padding|padding_side|pad_mode|mode|approximate|rounding_mode|interpolation|equation|indexing"
    "|reduce|norm|ord|p|side|assert_msg|UPLO|driver"
)
_MAKERS = re.compile(
    "aten::(arange|range|linspace|logspace|eye|zeros|ones|full|empty|empty_permuted|empty_strided"
    "|scalar_tensor|tril_indices|triu_indices)"
)


QUANTIZED = "quantized_decomposed"
_QUANTIZED_NAMES = re.compile(
    "(de)?quantize_per_tensor.(default|tensor|tensor2)|(de)?quantize_per_channel.default"
    "|choose_qparams(_symmetric)?.tensor"
)


def known_operator(target: str) -> OpOverload | None:
    """The operator that `torch.ops.` and a target name, None for what is no harmless one."""
    return aten_operator(target) or _quantized_operator(target)


def _quantized_operator(target: str) -> OpOverload | None:
    """Those of torch's quantization (pt2e), which torch defines where they are asked for alone."""
    namespace, _, name = target.removeprefix("torch.ops.").partition(".")
    if namespace != QUANTIZED or not _QUANTIZED_NAMES.fullmatch(name):
        return None
    importlib.import_module("torch.ao.quantization.fx._decomposed")
    packet, _, overload = name.partition(".")
    found = getattr(getattr(getattr(torch.ops, namespace), packet), overload)
    return found if isinstance(found, OpOverload) else None


def aten_operator(target: str) -> OpOverload | None:
    """The operator of `torch.ops.aten.NAME.OVERLOAD`, or None for what is no harmless one."""
    parts = target.split(".")
    if parts[:3] != ["torch", "ops", "aten"] or len(parts) != 5:
        return None
    if not all(_NAME.fullmatch(part) for part in parts[3:]):
        return None
    packet = getattr(torch.ops.aten, parts[3], None)
    found = getattr(packet, parts[4], None)
    return found if isinstance(found, OpOverload) and computes_only(found._schema) else None


def computes_only(schema: torch.FunctionSchema) -> bool:
    """True for an operator on tensors, or that makes one, without access to anything else."""
    texts = {a.name for a in schema.arguments if "str" in str(a.type)}
    if not all(_TEXT_ARGUMENTS.fullmatch(text) for text in texts):
        return False
    on_tensors = any("Tensor" in str(a.type) for a in schema.arguments)
    return on_tensors or _MAKERS.fullmatch(schema.name) is not None
