# SPDX-License-Identifier: Apache-2.0
"""What a training run begins with, in a few letters, to tell its checkpoint from others."""

from __future__ import annotations

import hashlib

import numpy as np

from mcugen.ir.graph import Graph
from mcugen.ir.quantization import Quantization
from mcugen.ir.text import to_text
from mcugen.train.batches import ArrayBatches, Batches


def network_digest(graph: Graph, quantization: Quantization) -> str:
    """Of the structure, the ranges and the integers."""
    digest = hashlib.sha256(to_text(graph).encode())
    digest.update(str(sorted(quantization.tensors.items())).encode())
    for name, chosen in sorted(quantization.weights.items()):
        digest.update(name.encode())
        for array in (chosen.ints, chosen.scales, chosen.bias):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def data_digest(batches: Batches) -> str:
    """Of a loader only its length is known without running it."""
    if not isinstance(batches, ArrayBatches):
        return f"{len(batches)} batches"
    digest = hashlib.sha256()
    for x in (*batches.inputs, *(() if batches.targets is None else (batches.targets,))):
        digest.update(str(tuple(x.shape)).encode() + x.contiguous().numpy().tobytes())
    return f"{digest.hexdigest()[:16]} in batches of {batches.batch_size}"
