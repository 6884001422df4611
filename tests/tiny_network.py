# SPDX-License-Identifier: Apache-2.0
"""A generated folder in miniature, by hand, without torch: two inputs, two layers, one output."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcugen.emit.render import runtime_headers
from mcugen.simulate.program import Program
from mcugen.verify.inputs import Batch

LEN = 40

HEADER = """
#ifndef TINY_H_INCLUDED
#define TINY_H_INCLUDED
#include <stdint.h>
#define TINY_ARENA_BYTES 128
int8_t *tiny_input0(void *arena);
int8_t *tiny_input1(void *arena);
int8_t *tiny_output(void *arena);
int tiny_invoke(void *arena);
#endif
"""

SOURCE = """
#include "tiny.h"
#include "mcugen.h"

int8_t *tiny_input0(void *arena) { return (int8_t *)arena; }
int8_t *tiny_input1(void *arena) { return (int8_t *)arena + 40; }
int8_t *tiny_output(void *arena) { return (int8_t *)arena; }

static const int8_t table[4] = {3, -1, 4, 1};

int tiny_invoke(void *arena)
{
    int8_t *const base = (int8_t *)arena;

    for (int32_t i = 0; i < 40; i++) {
        base[80 + i] = (int8_t)mcugen_clamp(base[i] + base[40 + i], -128, 127);
    }
    MCUGEN_TRACE_LAYER(0u, base + 80, 40u);
    for (int32_t i = 0; i < 40; i++) {
        base[i] = (int8_t)mcugen_asr32(base[80 + 39 - i] * table[i % 4], 3);
    }
    MCUGEN_TRACE_LAYER(1u, base, 40u);
    return 0;
}
"""


def write_tiny(folder: Path, *changes: tuple[str, str]) -> Program:
    """The network in `folder`, each (old, new) text replaced in its C."""
    files = {"tiny.h": HEADER, "tiny.c": SOURCE} | runtime_headers([])
    for old, new in changes:
        assert any(old in text for text in files.values())
        files = {name: text.replace(old, new) for name, text in files.items()}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return Program(
        folder=folder,
        name="tiny",
        input_bytes=(LEN, LEN),
        output_bytes=(LEN,),
        layer_bytes=(LEN, LEN),
    )


def tiny_inputs(samples: int = 5) -> Batch:
    rng = np.random.default_rng(7)
    return tuple(rng.integers(-128, 128, (samples, LEN), np.int8) for _ in range(2))


def tiny_reference(inputs: Batch) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """All layers' tensors, and the output."""
    added = np.clip(inputs[0].astype(np.int64) + inputs[1], -128, 127)
    factors = np.resize(np.array([3, -1, 4, 1]), LEN)
    output = ((added[:, ::-1] * factors) >> 3).astype(np.int8)
    return np.concatenate([added.astype(np.int8), output], axis=1), output
