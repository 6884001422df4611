# SPDX-License-Identifier: Apache-2.0
"""The choice of bits, zeros and kernels of every layer, under a budget. Names no operator."""
