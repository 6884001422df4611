# SPDX-License-Identifier: Apache-2.0
"""mcugen: a trained PyTorch network in, verified int8 C99 for a microcontroller out."""

from __future__ import annotations

__version__ = "0.1.0"
