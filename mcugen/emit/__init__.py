# SPDX-License-Identifier: Apache-2.0
"""Integer graph and plan to the text of C files. Never imports torch, names no operator."""
