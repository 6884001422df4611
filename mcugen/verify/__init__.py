# SPDX-License-Identifier: Apache-2.0
"""The proof: reference == generated C on the host == generated C on the simulated core."""
