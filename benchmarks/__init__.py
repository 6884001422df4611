# SPDX-License-Identifier: Apache-2.0
"""What networks cost on simulated cores; `python -m benchmarks --help`."""
