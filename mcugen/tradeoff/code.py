# SPDX-License-Identifier: Apache-2.0
"""How much code each kernel is on a core: compiled alone, with the functions that it calls."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from mcugen.boards import Core
from mcugen.errors import MissingToolError
from mcugen.resources import data_dir
from mcugen.simulate.elf import read_elf
from mcugen.toolchains import cross_compiler

SOURCE = '#include "{header}"\n\nvoid (*const kept)(void) = (void (*)(void)){function};\n'


def code_sizes(core: Core, headers: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """For each function of `headers` (its header), bytes of code by function, its own among them.

    A network's own copies may be smaller, for their parameters are constants. Empty without a
    compiler for the core.
    """
    try:
        compiler = cross_compiler(core)
    except MissingToolError:
        return {}
    found: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory(prefix="mcugen-") as temporary:
        folder = Path(temporary)
        for function, header in headers.items():
            source = folder / f"{function}.c"
            source.write_text(SOURCE.format(header=header, function=function), encoding="utf-8")
            made = compiler.object(
                source,
                source.with_suffix(".o"),
                include=[data_dir("runtime_c")],
                # in one section, functions have addresses of their own in the object
                flags=[*core.optimize, "-fno-function-sections"],
            )
            sizes: dict[str, int] = {}
            for each in read_elf(made).functions:
                # clones of one function have a suffix each
                name = each.name.partition(".")[0]
                sizes[name] = sizes.get(name, 0) + each.size
            found[function] = sizes
    return found
