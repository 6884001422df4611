# SPDX-License-Identifier: Apache-2.0
"""View and templates to files, as text in memory; nothing is written here."""

from __future__ import annotations

import re
from collections.abc import Iterable

import jinja2

from mcugen.emit.view import NetworkView
from mcugen.resources import data_dir

_FILES = {
    "model.h.j2": "{name}.h",
    "model.c.j2": "{name}.c",
    "weights.h.j2": "{name}_weights.h",
    "CMakeLists.txt.j2": "CMakeLists.txt",
}


def environment() -> jinja2.Environment:
    """Jinja as the templates expect it: undefined names fail, whitespace is as written."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_dir("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        newline_sequence="\n",
        autoescape=False,
    )


def render(view: NetworkView) -> dict[str, str]:
    """The files of a generated folder by name, the runtime's headers included."""
    env = environment()
    files = {
        target.format(name=view.name): env.get_template(source).render(net=view)
        for source, target in _FILES.items()
    }
    return files | runtime_headers(view.headers)


def runtime_headers(headers: Iterable[str]) -> dict[str, str]:
    """The named headers of runtime_c/ and all they include, by name."""
    found: dict[str, str] = {}
    queue = ["mcugen.h", *headers]
    while queue:
        name = queue.pop()
        if name not in found:
            found[name] = (data_dir("runtime_c") / name).read_text(encoding="utf-8")
            queue.extend(re.findall(r'#include "(mcugen[a-z0-9_]*\.h)"', found[name]))
    return dict(sorted(found.items()))
