# SPDX-License-Identifier: Apache-2.0
"""Generated C on simulated cores: test programs, QEMU, unicorn, counted instructions."""
