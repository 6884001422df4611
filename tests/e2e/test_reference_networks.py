# SPDX-License-Identifier: Apache-2.0
"""The public reference networks: built, verified on every core, and as accurate as promised."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import mcugen
from mcugen.api import BuildResult
from mcugen.boards import list_boards
from mcugen.errors import MissingToolError
from mcugen.verify.compare import compare
from mcugen.verify.everywhere import spread
from mcugen.verify.inputs import verification_inputs
from mcugen.verify.target import TargetNetwork

pytestmark = pytest.mark.slow

NETWORKS = {
    "mnist_cnn": "MnistCnn",
    "ad_autoencoder_asdeployed": "AD",
    "kws_dscnn_asdeployed": "KWS",
    "ic_resnet8": "ResNet8",
    "vww_mobilenet_v1_025": "VWW",
}
CORES = [board.name for board in list_boards() if board.is_core]
each_network = pytest.mark.parametrize("network", NETWORKS)
Build = Callable[..., BuildResult]


@pytest.fixture(scope="module")
def build(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Build a network once for each choice of options."""
    done: dict[str, BuildResult] = {}

    def run(network: str, suffix: str = ".pt2", **options: object) -> BuildResult:
        key = f"{network}{suffix}{sorted(options)}"
        if key not in done:
            options.setdefault("calibration", golden(shared, network)["x"])
            options.setdefault("simulate", 0)
            done[key] = mcugen.build(
                shared / "models" / f"{network}{suffix}",
                board="cortex-m4",
                name=network,
                out=tmp_path_factory.mktemp("build") / network,
                **options,  # type: ignore[arg-type]
            )
        return done[key]

    return run


def golden(shared: Path, network: str) -> dict[str, NDArray[np.generic]]:
    with np.load(shared / "models" / f"{network}_golden.npz") as content:
        return dict(content)


@each_network
def test_it_verifies_on_this_machine_and_under_sanitizers(build: Build, network: str) -> None:
    report = build(network, sanitize=True).report
    assert report["verification"]["host"]["inputs"] >= 200
    assert report["verification"]["host with sanitizers"]["inputs"] == 20
    assert {v["mismatches"] for v in report["verification"].values()} == {0}
    assert {v["tensors"] for v in report["verification"].values()} == {len(report["layers"])}


@each_network
@pytest.mark.parametrize("core", CORES)
def test_it_verifies_on_the_simulated_core(build: Build, network: str, core: str) -> None:
    board = next(board for board in list_boards() if board.name == core)
    with mcugen.load(build(network, sanitize=True).folder) as compiled:
        inputs = spread(verification_inputs(compiled.graph), 16)
        try:
            with TargetNetwork(compiled.program, board.core) as target:
                found = compare(compiled.graph, target, inputs)
        except MissingToolError as error:
            pytest.skip(str(error))
    assert (found.inputs, found.mismatches) == (16, 0)


@each_network
@pytest.mark.parametrize("suffix", [".pt", "_state.pt"])
def test_other_files_give_the_same_weights(
    build: Build, shared: Path, monkeypatch: pytest.MonkeyPatch, network: str, suffix: str
) -> None:
    definition = shared / "models" / f"{network}.py"
    monkeypatch.syspath_prepend(definition.parent)
    shape = (1, *golden(shared, network)["x"].shape[1:])
    flags: dict[str, object] = (
        {"trust_pickle": True}
        if suffix == ".pt"
        else {"arch": f"{definition}:{factory(definition)}"}
    )
    other = build(network, suffix, input_shapes=[shape], **flags)
    archive = build(network, sanitize=True)
    weights = f"{network}_weights.h"
    numbers = [
        [
            line
            for line in (result.folder / weights).read_text().splitlines()
            if line.startswith(" ")
        ]
        for result in (other, archive)
    ]
    assert numbers[0] == numbers[1]


def factory(definition: Path) -> str:
    """The class of a definition: the last one of its file."""
    lines = definition.read_text("utf-8").splitlines()
    classes = [
        line.split()[1].split("(")[0].rstrip(":") for line in lines if line.startswith("class ")
    ]
    return classes[-1]


STRICT = [
    *("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion"),
    *("-Wshadow", "-Wcast-qual", "-Werror", "-O2", "-c", "-ffreestanding"),
]


@each_network
@pytest.mark.parametrize(
    "compiler", ["gcc", "clang", "arm-none-eabi-gcc", "riscv64-unknown-elf-gcc"]
)
def test_it_compiles_without_a_warning(
    build: Build, tool: Callable[[str], str], tmp_path: Path, network: str, compiler: str
) -> None:
    source = build(network, sanitize=True).folder / f"{network}.c"
    command = [tool(compiler), *STRICT, str(source), "-o", str(tmp_path / "network.o")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_person_detection_loses_half_its_products_and_no_bit(build: Build) -> None:
    network = "vww_mobilenet_v1_025"
    cut, whole = build(network, sanitize=True), build(network, skip_passes=["remove_channels"])
    assert whole.report["macs"] == 7_489_664
    assert cut.report["macs"] <= 3_730_000
    with mcugen.load(cut.folder) as one, mcugen.load(whole.folder) as other:
        inputs = verification_inputs(one.graph)
        np.testing.assert_array_equal(one(*inputs), other(*inputs))


def test_mnist_is_within_0_3_points_of_float(build: Build, shared: Path) -> None:
    digits = np.load(shared / "data" / "mnist_small.npz")
    x, y = pixels(digits["x_test"]), digits["y_test"].astype(np.int64)
    calibration = pixels(digits["x_cal"])
    accuracy = build("mnist_cnn", calibration=calibration, evaluation=(x, y)).report["accuracy"]
    assert accuracy["samples"] == 2000
    assert accuracy["float"] == pytest.approx(98.7)
    assert accuracy["int8"] >= accuracy["float"] - 0.3


def pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (images.astype(np.float32) / np.float32(255))[:, None]


def test_keyword_spotting_is_within_a_point_of_float(build: Build, shared: Path) -> None:
    words = np.load(shared / "data" / "kws_synth_260.npz")
    x, y = words["mfcc"][:, None], words["y"]
    accuracy = build("kws_dscnn_asdeployed", evaluation=(x, y)).report["accuracy"]
    assert accuracy["samples"] == 260
    assert accuracy["int8"] >= accuracy["float"] - 1.0


def test_a_budget_is_kept_by_the_finished_build(build: Build) -> None:
    network = "kws_dscnn_asdeployed"
    plain = build(network).report
    bounds = {"flash": plain["flash_bytes"] - 6000, "ram": plain["arena_bytes"]}
    budget = mcugen.Budget(**bounds)
    report = build(network, budget=budget).report
    assert report["flash_bytes"] <= bounds["flash"]
    assert report["arena_bytes"] <= bounds["ram"]
    assert {layer["weight_bits"] for layer in report["layers"]} - {None} > {8}
    found = report["search"]["chosen"]
    assert abs(found["predicted"]["flash"] / found["measured"]["flash"] - 1.0) < 0.05


@pytest.mark.parametrize(("network", "least"), [("ic_resnet8", 19), ("vww_mobilenet_v1_025", 10)])
def test_images_are_classified_as_in_float(
    build: Build, shared: Path, network: str, least: int
) -> None:
    known = golden(shared, network)
    with mcugen.load(build(network, sanitize=True).folder) as compiled:
        scores = np.asarray(compiled(known["x"]))
    agreed = int((scores.argmax(1) == np.asarray(known["y_float"]).argmax(1)).sum())
    assert agreed >= least, f"{agreed} of {len(scores)}"


def test_the_anomaly_score_is_within_3_percent_of_float(build: Build, shared: Path) -> None:
    clip = np.load(shared / "data" / "ad_toycar_normal_id_01_00000000.npz")
    frames = clip["frames"]
    x = np.stack([frames[t : t + 5].ravel() for t in range(len(frames) - 4)])
    with mcugen.load(build("ad_autoencoder_asdeployed", calibration=x).folder) as compiled:
        score = float(np.mean((np.asarray(compiled(x)) - x) ** 2))
    assert score == pytest.approx(float(clip["published_score_float_tflite"]), rel=0.03)
