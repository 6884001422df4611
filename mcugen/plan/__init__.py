# SPDX-License-Identifier: Apache-2.0
"""Where every tensor lies in the arena, and the proof that no two live ones overlap."""
