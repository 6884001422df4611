# SPDX-License-Identifier: Apache-2.0
"""mcugen: a trained PyTorch network in, verified int8 C99 for a microcontroller out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcugen.api import (
        Budget,
        BuildResult,
        CompiledNetwork,
        Distill,
        FinetuneResult,
        PruneOptions,
        QuantOptions,
        SearchResult,
        Study,
        TunedNetwork,
        build,
        compare,
        finetune,
        load,
        prune,
        search,
    )

__version__ = "0.1.0"
__all__ = [
    "Budget",
    "BuildResult",
    "CompiledNetwork",
    "Distill",
    "FinetuneResult",
    "PruneOptions",
    "QuantOptions",
    "SearchResult",
    "Study",
    "TunedNetwork",
    "__version__",
    "build",
    "compare",
    "finetune",
    "load",
    "prune",
    "search",
]


def __getattr__(name: str) -> Any:
    """The API on first use: it imports torch, which `mcugen --help` need not wait for."""
    if name in __all__:
        from mcugen import api

        return getattr(api, name)
    msg = f"module 'mcugen' has no attribute {name!r}"
    raise AttributeError(msg)
