# SPDX-License-Identifier: Apache-2.0
"""`python -m mcugen` is `mcugen`."""

from mcugen.cli import main

main()
