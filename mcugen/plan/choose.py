# SPDX-License-Identifier: Apache-2.0
"""Which kernel computes each layer, by what the target wants of cycles, flash and RAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcugen.ir.graph import Graph, Node
from mcugen.ops.base import IntOp, Kernel, KernelCall, Optimize, Target

# how much larger than the portable kernel's a layer's tables may be
MAX_FLASH_GROWTH: dict[Optimize, float] = {"balanced": 1.3, "speed": 3.6, "size": 1.1, "ram": 1.3}
# bytes that any layer may grow by: padding of small tables
FREE_BYTES = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerKernel:
    """A layer and the kernel that computes it."""

    node: Node
    kernel: Kernel

    @property
    def calls(self) -> tuple[KernelCall, ...]:
        """The kernel's calls."""
        return self.kernel.calls


def choose_kernels(graph: Graph, target: Target) -> tuple[LayerKernel, ...]:
    """The kernel of every layer of an integer graph, in execution order."""
    chosen = []
    for node in graph.layers:
        assert isinstance(node.op, IntOp)
        kernels = node.op.implementations(graph.input_shapes(node), node.shape, target)
        chosen.append(LayerKernel(node=node, kernel=best_kernel(kernels, target.optimize)))
    return tuple(chosen)


def best_kernel(kernels: Sequence[Kernel], optimize: Optimize) -> Kernel:
    """The fastest one whose tables are not too large; to save RAM, one that may overlap first."""
    limit = MAX_FLASH_GROWTH[optimize] * kernels[0].table_bytes + FREE_BYTES
    small = [kernel for kernel in kernels if kernel.table_bytes <= limit]
    if optimize == "ram":
        small = [kernel for kernel in small if kernel.overlaps] or small
    return min(small, key=lambda kernel: kernel.cycles)
