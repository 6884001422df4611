# SPDX-License-Identifier: Apache-2.0
"""Setting weights to zero: criteria, patterns, schedules. Knows no operator by name."""
