# SPDX-License-Identifier: Apache-2.0
"""Statistics, ranges and the quantization of every tensor."""
