# SPDX-License-Identifier: Apache-2.0
"""What the second derivatives of a layer's squared error say: what each removal costs at least.

H is the sum of x x^T over samples and positions, x being what an output's weights are multiplied
by, and 1 for the bias. Sources: Hassibi and Stork, "Second order derivatives for network pruning:
Optimal Brain Surgeon", 1993, equation 5; for groups, Kurtic et al., "The Optimal BERT Surgeon",
2022, equation 5; the damping is that of Frantar and Alistarh, "SparseGPT", 2023, section 3.3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mcugen.pruning.patterns import Blocks, Mask, Scores, alike

DAMPING = 0.01  # of the mean diagonal of the Hessian


def damping(hessian: Scores) -> float:
    """What is added to the diagonal, so that the matrix has an inverse."""
    return max(DAMPING * float(np.diagonal(hessian).mean()), 1e-12)


def removal_errors(
    rows: NDArray[np.float64], hessian: Scores, blocks: Blocks, in_ch: int
) -> Scores:
    """For weights [out_ch, taps] the squared error that refitting cannot mend, divided by two.

    A group g of an output's weights costs w_g^T ([H^-1]_gg)^-1 w_g / 2, which is shared among its
    weights; one by itself w^2 / (2 [H^-1]_ii). H is that of the weights which are not zero, for
    only those are refitted.
    """
    full = hessian + damping(hessian) * np.eye(len(hessian))
    found = np.zeros(rows.shape)
    for numbers in alike(rows != 0.0):
        inverse = _inverse(full, rows[numbers[0]] != 0.0)
        stiff = np.linalg.inv(blocks.among_inputs(inverse, in_ch))
        some = blocks.inputs_of(rows[numbers], in_ch)
        errors = some * np.einsum("tgab,ntgb->ntga", stiff, some) / 2.0
        flat = errors.reshape(len(numbers), stiff.shape[0], -1)[..., :in_ch]
        found[numbers] = flat.reshape(len(numbers), -1)
    return found


def _inverse(hessian: Scores, kept: Mask) -> Scores:
    """[taps, taps] of the kept weights, the bias being refitted too; else the unit matrix."""
    chosen = np.flatnonzero(kept)
    among = np.append(chosen, len(kept))
    inverse = np.eye(len(kept))
    inverse[np.ix_(chosen, chosen)] = np.linalg.inv(hessian[np.ix_(among, among)])[:-1, :-1]
    return inverse
