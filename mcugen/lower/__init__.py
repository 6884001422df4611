# SPDX-License-Identifier: Apache-2.0
"""From float graph and choices to the integer graph."""
