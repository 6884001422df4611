# SPDX-License-Identifier: Apache-2.0
"""From integer graph and plan to the text of C files. Never imports torch, never names an operator."""
