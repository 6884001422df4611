# SPDX-License-Identifier: Apache-2.0
"""The graph as frozen values, its checks, its printed form and its integer interpreter."""
