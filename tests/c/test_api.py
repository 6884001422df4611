# SPDX-License-Identifier: Apache-2.0
"""The C API keeps its promises: macros, null pointers, bounds of buffers, two threads at once."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cffi
import numpy as np
import pytest
from numpy.typing import NDArray

from mcugen.errors import MissingToolError
from mcugen.ir.graph import Node
from mcugen.toolchains import host_compiler
from mcugen.verify.inputs import Batch
from tests.c.networks import Folder, reference
from tests.c.toolchains import Tool, check_run

NAMES = ("picture", "rows")
CANARY = 0x5A
MARGIN = 256
SAMPLES = 12


class Library:
    """Both networks in one shared library."""

    def __init__(self, folder: Folder, path: Path) -> None:
        self.folder = folder
        sources = [folder.path / name for name in folder.sources]
        host_compiler().shared_library(sources, path, flags=["-O2"])
        self.ffi = cffi.FFI()
        for name in folder.sources:
            header = (folder.path / name).with_suffix(".h").read_text("utf-8")
            self.ffi.cdef("\n".join(re.findall(r"^int[^;{}]+\);", header, re.MULTILINE)))
        self.lib: Any = self.ffi.dlopen(str(path))

    def run(self, name: str, buffers: Sequence[NDArray[np.int8] | None]) -> int:
        """NAME_run on inputs, outputs and arena; None is a null pointer."""
        pointers = [
            self.ffi.NULL if b is None else self.ffi.from_buffer("int8_t *", b) for b in buffers
        ]
        return int(getattr(self.lib, f"{name}_run")(*pointers))

    def arena(self, name: str, margin: int = 0) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """Exactly the promised bytes, aligned, and the memory that they lie in."""
        size = self.folder.networks[name].plan.arena_bytes
        whole = np.full(size + 2 * margin + 16, CANARY, np.int8)
        start = margin + -(whole.ctypes.data + margin) % 16
        return whole[start : start + size], whole

    def outputs(self, name: str) -> list[NDArray[np.int8]]:
        """Buffers for the outputs, filled with rubbish."""
        return [np.full(len_, CANARY, np.int8) for len_ in self.lens(name, "outputs")]

    def lens(self, name: str, role: str) -> list[int]:
        """Lengths of all inputs or outputs, as the graph tells them."""
        return [int(np.prod(node.shape)) for node in nodes_of(self.folder, name, role)]


def nodes_of(folder: Folder, name: str, role: str) -> list[Node]:
    graph = folder.networks[name].graph
    return [graph.by_name[tensor] for tensor in getattr(graph, role)]


@pytest.fixture(scope="module")
def library(folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    try:
        host_compiler()
    except MissingToolError as missing:
        pytest.skip(str(missing))
    made = Library(folder, tmp_path_factory.mktemp("library") / "networks.so")
    yield made
    made.ffi.dlclose(made.lib)


def flat(batch: Batch, sample: int) -> list[NDArray[np.int8]]:
    return [np.ascontiguousarray(x[sample]).reshape(-1) for x in batch]


def macros(path: Path, tool: Tool) -> dict[str, str]:
    """The macros that a header defines, as the preprocessor sees them."""
    command = [tool("gcc"), "-std=c99", "-E", "-dM", str(path)]
    lines = check_run(command, path.parent).splitlines()
    return dict(re.findall(r"#define (\w+) (.+)", "\n".join(lines)))


@pytest.mark.parametrize("name", NAMES)
def test_every_macro_tells_the_truth(folder: Folder, tool: Tool, name: str) -> None:
    found = {
        key: value.strip("()")
        for key, value in macros(folder.path / f"{name}.h", tool).items()
        if key.startswith(name.upper())
    }
    expected = {f"{name.upper()}_ARENA_BYTES": str(folder.networks[name].plan.arena_bytes)}
    for role in ("inputs", "outputs"):
        nodes = nodes_of(folder, name, role)
        for k, node in enumerate(nodes):
            assert node.qparams is not None
            number = str(k) if len(nodes) > 1 else ""
            macro = f"{name.upper()}_{role[:-1].upper()}{number}"
            expected[f"{macro}_LEN"] = str(int(np.prod(node.shape)))
            expected[f"{macro}_ZERO_POINT"] = str(node.qparams.zero_point)
            scale = found.pop(f"{macro}_SCALE")
            assert scale.endswith("f")
            assert float(np.float32(scale[:-1])) == node.qparams.scale
    assert {k: v for k, v in found.items() if not k.endswith("_INCLUDED")} == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_null_pointer_is_refused_and_nothing_is_written(library: Library, name: str) -> None:
    inputs = flat(reference(library.folder.networks[name], 1, seed=1)[0], 0)
    arena, whole = library.arena(name)
    buffers: list[NDArray[np.int8] | None] = [*inputs, *library.outputs(name), arena]
    assert len(buffers) == {"picture": 5, "rows": 3}[name]
    for k in range(len(buffers)):
        assert library.run(name, [*buffers[:k], None, *buffers[k + 1 :]]) == -1
    outputs = [b for b in buffers[len(inputs) : -1] if b is not None]
    assert all((written == CANARY).all() for written in (*outputs, whole))
    assert library.run(name, buffers) == 0
    assert not any((output == CANARY).all() for output in outputs)


@pytest.mark.parametrize("name", NAMES)
def test_invoke_refuses_a_null_arena(library: Library, name: str) -> None:
    assert getattr(library.lib, f"{name}_invoke")(library.ffi.NULL) == -1


@pytest.mark.parametrize("name", NAMES)
def test_results_are_right_and_nothing_around_the_buffers_changes(
    library: Library, name: str
) -> None:
    inputs, wanted = reference(library.folder.networks[name], SAMPLES, seed=2)
    for sample in range(SAMPLES):
        arena, memory = library.arena(name, MARGIN)
        given = flat(inputs, sample)
        kept = [x.copy() for x in given]
        results = [np.full(n + 2 * MARGIN, CANARY, np.int8) for n in library.lens(name, "outputs")]
        outputs = [y[MARGIN:-MARGIN] for y in results]
        assert library.run(name, [*given, *outputs, arena]) == 0
        for got, want in zip(outputs, flat(wanted, sample), strict=True):
            np.testing.assert_array_equal(got, want)
        for before, after in zip(kept, given, strict=True):
            np.testing.assert_array_equal(before, after)
        arena[:] = CANARY
        for output in outputs:
            output[:] = CANARY
        assert all((around == CANARY).all() for around in (memory, *results))


def test_an_output_may_take_the_place_of_an_input(library: Library) -> None:
    inputs, wanted = reference(library.folder.networks["rows"], 1, seed=3)
    arena, _ = library.arena("rows")
    buffer = np.zeros(max(inputs[0].size, wanted[0].size), np.int8)
    buffer[: inputs[0].size] = inputs[0].ravel()
    assert library.run("rows", [buffer, buffer, arena]) == 0
    np.testing.assert_array_equal(buffer[: wanted[0].size], wanted[0].ravel())


def test_what_the_arena_held_does_not_matter(library: Library) -> None:
    """Another network's tensors, or its own of the last run."""
    size = max(library.arena(name)[0].size for name in NAMES)
    arena = np.random.default_rng(0).integers(-128, 128, size + 16, np.int8)
    arena = arena[-arena.ctypes.data % 16 :]
    for seed in range(4):
        for name in NAMES:
            inputs, wanted = reference(library.folder.networks[name], 1, seed)
            outputs = library.outputs(name)
            assert library.run(name, [*flat(inputs, 0), *outputs, arena]) == 0
            for got, want in zip(outputs, flat(wanted, 0), strict=True):
                np.testing.assert_array_equal(got, want)


def test_threads_with_arenas_of_their_own_do_not_disturb_each_other(library: Library) -> None:
    """Four at once, two for each network; cffi lets go of Python's lock while C runs."""
    together = threading.Barrier(4)

    def work(name: str, seed: int) -> int:
        inputs, wanted = reference(library.folder.networks[name], SAMPLES, seed)
        arena, outputs = library.arena(name)[0], library.outputs(name)
        together.wait()
        wrong = 0
        for sample in [*range(SAMPLES)] * 8:
            code = library.run(name, [*flat(inputs, sample), *outputs, arena])
            pairs = zip(outputs, flat(wanted, sample), strict=True)
            wrong += code != 0 or not all(np.array_equal(got, want) for got, want in pairs)
        return wrong

    jobs = [(name, seed) for name in NAMES for seed in (4, 5)]
    with ThreadPoolExecutor(len(jobs)) as pool:
        assert list(pool.map(lambda job: work(*job), jobs)) == [0, 0, 0, 0]
