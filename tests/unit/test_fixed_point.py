# SPDX-License-Identifier: Apache-2.0
"""The numerics contract against exact Python integers, gemmlowp's text, and the C of mcugen.h."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cffi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mcugen.fixed_point import (
    INT32_MAX,
    IntArray,
    Requantize,
    RequantMode,
    affine_for,
    half_up,
    quantize_multiplier,
    requantize_for,
    round_half_up,
    scale_double,
    scale_single,
)
from mcugen.resources import data_dir
from mcugen.toolchains import host_compiler

INT32_MIN = -(2**31)


def exact_single(acc: int, multiplier: int, shift: int) -> int:
    return math.floor(Fraction(acc * multiplier, 2**shift) + Fraction(1, 2))


def saturating_rounding_doubling_high_mul(a: int, b: int) -> int:
    """Source: gemmlowp/fixedpoint/fixedpoint.h, of the same name."""
    if a == b == INT32_MIN:
        return INT32_MAX
    product = a * b
    nudge = (1 << 30) if product >= 0 else 1 - (1 << 30)
    total = product + nudge
    return total // 2**31 if total >= 0 else -(-total // 2**31)  # C divides towards zero


def rounding_divide_by_pot(x: int, exponent: int) -> int:
    """Source: gemmlowp/fixedpoint/fixedpoint.h, of the same name."""
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if (x & mask) > threshold else 0)


def gemmlowp(acc: int, multiplier: int, shift: int) -> int:
    """TFLite's MultiplyByQuantizedMultiplier, whose shift is 31 minus ours."""
    left, right = max(31 - shift, 0), max(shift - 31, 0)
    high = saturating_rounding_doubling_high_mul(acc * (1 << left), multiplier)
    return rounding_divide_by_pot(high, right)


def legal(acc: int, shift: int, mode: RequantMode) -> bool:
    """The accumulators that the compiler's overflow proof lets through."""
    return mode == "single" or shift > 31 or abs(acc) << (31 - shift) <= INT32_MAX - 256


def cases(mode: RequantMode) -> IntArray:
    """Extremes against each other, then random triples: int64 [cases, 3]."""
    rng = np.random.default_rng(7)
    near = [0, 1, 2, 3, 127, 255, 2**15, 2**16 - 1, 2**24 + 1, 2**30, INT32_MAX]
    accs = sorted({sign * value for value in near for sign in (-1, 1)})
    multipliers = [0, 1, 2**29, 2**30, 2**30 + 1, 3 * 2**29, INT32_MAX - 1, INT32_MAX]
    extremes = itertools.product(accs, multipliers, range(1, 63))
    random = zip(
        (rng.integers(-(2**31), 2**31, 4000) >> rng.integers(0, 32, 4000)).tolist(),
        rng.integers(2**30, 2**31, 4000).tolist(),
        rng.integers(1, 63, 4000).tolist(),
        strict=True,
    )
    kept = [case for case in (*extremes, *random) if legal(case[0], case[2], mode)]
    return np.array(kept, np.int64)


def ties() -> IntArray:
    """Accumulators whose scaled value lies exactly between two integers, of both signs."""
    found = [(odd << (t - 31), 2**30, t) for t in range(31, 50) for odd in range(-7, 8, 2)]
    return np.array(found, np.int64)


EXACT: dict[RequantMode, Callable[[int, int, int], int]] = {
    "single": exact_single,
    "double": gemmlowp,
}
SCALE = {"single": scale_single, "double": scale_double}
MODES: list[RequantMode] = ["single", "double"]


@pytest.mark.parametrize("mode", MODES)
def test_scale_equals_exact_integers(mode: RequantMode) -> None:
    table = np.concatenate([cases(mode), ties()])
    got = SCALE[mode](*table.T)
    assert got.tolist() == [EXACT[mode](*case) for case in table.tolist()]


def test_modes_differ_by_one_at_most() -> None:
    table = cases("double")
    table = table[(table[:, 1] >= 2**30) & (table[:, 2] >= 31)]
    difference = scale_single(*table.T) - scale_double(*table.T)
    assert set(difference.tolist()) <= {-1, 0, 1}
    assert np.any(difference)


DECLARATIONS = """
void scale(int double_rounding, int n, const int32_t *acc, const int32_t *multiplier,
           const int32_t *shift, int32_t *out);
void requantize(int double_rounding, int n, const int32_t *acc, const int32_t *multiplier,
                const int32_t *shift, const int32_t *output, int8_t *out);
"""
SOURCE = """
#include "mcugen.h"
void scale(int double_rounding, int n, const int32_t *acc, const int32_t *multiplier,
           const int32_t *shift, int32_t *out)
{
    for (int i = 0; i < n; i++) {
        out[i] = double_rounding ? mcugen_scale_double(acc[i], multiplier[i], shift[i])
                                 : mcugen_scale_single(acc[i], multiplier[i], shift[i]);
    }
}
void requantize(int double_rounding, int n, const int32_t *acc, const int32_t *multiplier,
                const int32_t *shift, const int32_t *output, int8_t *out)
{
    for (int i = 0; i < n; i++) {
        out[i] = mcugen_requantize(acc[i], multiplier[i], shift[i], double_rounding, output[0],
                                   output[1], output[2]);
    }
}
"""


class Runtime:
    """mcugen.h, compiled for this machine."""

    def __init__(self, folder: Path) -> None:
        source, library = folder / "fixed_point.c", folder / "fixed_point.so"
        source.write_text(SOURCE, encoding="utf-8")
        host_compiler().shared_library([source], library, include=[data_dir("runtime_c")])
        self.ffi = cffi.FFI()
        self.ffi.cdef(DECLARATIONS)
        self.lib: Any = self.ffi.dlopen(str(library))

    def _words(self, values: NDArray[np.generic]) -> Any:
        return self.ffi.from_buffer("int32_t *", np.ascontiguousarray(values, np.int32))

    def scale(self, mode: RequantMode, table: IntArray) -> IntArray:
        """The scaling of each row (acc, multiplier, shift)."""
        out = np.zeros(len(table), np.int32)
        columns = [self._words(column) for column in table.T]
        self.lib.scale(mode == "double", len(table), *columns, self._words(out))
        return out.astype(np.int64)

    def requantize(self, mode: RequantMode, table: IntArray, output: IntArray) -> IntArray:
        """The int8 of each row, `output` being zero point, low and high."""
        out = np.zeros(len(table), np.int8)
        columns = [self._words(column) for column in (*table.T, output)]
        target = self.ffi.from_buffer("int8_t *", out)
        self.lib.requantize(mode == "double", len(table), *columns, target)
        return out.astype(np.int64)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    made = Runtime(tmp_path_factory.mktemp("runtime"))
    yield made
    made.ffi.dlclose(made.lib)


def test_c_scale_double_equals_gemmlowp(runtime: Runtime) -> None:
    table = np.concatenate([cases("double"), ties()])
    assert runtime.scale("double", table).tolist() == [gemmlowp(*case) for case in table.tolist()]


def test_c_scale_single_equals_exact_integers_within_int16(runtime: Runtime) -> None:
    table = np.concatenate([cases("single"), ties()])
    wanted = [min(max(exact_single(*case), -(2**15)), 2**15 - 1) for case in table.tolist()]
    assert runtime.scale("single", table).tolist() == wanted


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("output", [(0, -128, 127), (-128, -128, 127), (127, -5, 127), (9, 9, 9)])
def test_c_requantize_equals_reference(
    runtime: Runtime, mode: RequantMode, output: tuple[int, int, int]
) -> None:
    table = np.concatenate([cases(mode), ties()])
    zero_point, low, high = output
    spec = Requantize(
        multiplier=table[:, 1],
        shift=table[:, 2],
        zero_point=zero_point,
        low=low,
        high=high,
        mode=mode,
    )
    got = runtime.requantize(mode, table, np.array(output))
    assert np.array_equal(got, spec(table[:, 0]))


@pytest.mark.parametrize(
    ("real", "wanted"),
    [
        (0.0, (0, 62)),
        (1.0, (2**30, 30)),
        (0.5, (2**30, 31)),
        (2.0**-10 + 2.0**-41, (2**30 + 1, 40)),  # half a step: up, not to even
        (math.nextafter(1.0, 0.0), (2**30, 30)),
        (math.nextafter(2.0**30, 0.0), (2**31 - 1, 1)),
        (2.0**-32, (2**30, 62)),
        (2.0**-33, (2**29, 62)),
        (2.0**-62, (1, 62)),
        (2.0**-70, (0, 62)),
    ],
)
def test_multiplier_at_its_edges(real: float, wanted: tuple[int, int]) -> None:
    assert quantize_multiplier(real) == wanted


@pytest.mark.parametrize("real", [-1e-9, 2.0**30, math.inf, math.nan])
def test_multiplier_out_of_range_is_refused(real: float) -> None:
    with pytest.raises(ValueError, match="multiplier must be in"):
        quantize_multiplier(real)


@given(st.floats(2.0**-32, 2.0**30, exclude_max=True))
def test_multiplier_is_near_in_31_bits(real: float) -> None:
    multiplier, shift = quantize_multiplier(real)
    assert 2**30 <= multiplier < 2**31 and 1 <= shift <= 62
    assert abs(Fraction(multiplier, 2**shift) / Fraction(real) - 1) <= Fraction(1, 2**30)


@given(st.floats(2.0**-32, 2.0**30, exclude_max=True))
def test_short_multiplier_is_near_in_16_bits(real: float) -> None:
    multiplier, shift = quantize_multiplier(real, zeros=15)
    assert 2**30 <= multiplier < 2**31 and 1 <= shift <= 62
    assert multiplier % 2**15 == 0
    assert abs(Fraction(multiplier, 2**shift) / Fraction(real) - 1) <= Fraction(1, 2**16)


@pytest.mark.parametrize("real", [0.0, 2.0**-70, 2.0**-62, 2.0**-47, 2.0**-33])
def test_short_multiplier_of_next_to_nothing(real: float) -> None:
    multiplier, shift = quantize_multiplier(real, zeros=15)
    assert shift == 62
    assert multiplier == 2**15 * half_up(real * 2**47)


def test_round_half_up_rounds_halves_up() -> None:
    values = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, -0.49, 0.49])
    assert round_half_up(values).tolist() == [-2, -1, 0, 1, 2, 0, 0]


def test_requantize_takes_channels() -> None:
    spec = requantize_for(np.array([0.1, 0.2, 0.7]), 3, -128, 127, "single")
    acc = np.array([[100, 200, 300]])
    kept = np.array([0, 2])
    assert spec.take(kept)(acc[:, kept]).tolist() == spec(acc)[:, kept].tolist()
    shared = requantize_for(np.array([0.1]), 3, -128, 127, "single")
    assert shared.take(kept) is shared


def log_uniform(low: int, high: int) -> st.SearchStrategy[float]:
    """Either sign, every magnitude from 2^low to 2^high alike, and zero."""
    magnitude = st.floats(low, high).map(lambda e: 2.0**e)
    return st.one_of(st.just(0.0), magnitude, magnitude.map(lambda x: -x))


ZERO_POINT = st.integers(-128, 127)


@settings(max_examples=300)
@given(
    factors=st.lists(log_uniform(-30, 20), min_size=1, max_size=3),
    offset=log_uniform(-20, 60),
    zero_points=st.tuples(ZERO_POINT, ZERO_POINT, ZERO_POINT),
    out_zero_point=ZERO_POINT,
)
def test_affine_stays_in_int32_and_near_the_real_form(
    factors: list[float],
    offset: float,
    zero_points: tuple[int, int, int],
    out_zero_point: int,
) -> None:
    column = np.array(factors)[:, None]
    zeros = zero_points[: len(factors)]
    affine = affine_for(column, np.array([offset]), zeros, out_zero_point, -128, 127)
    reach = 128 * np.abs(affine.factors).sum(axis=0) + np.abs(affine.bias)
    assert np.all(reach <= INT32_MAX)
    ends = itertools.product((-128, 127), repeat=len(factors))
    for values in ends:
        steps = [f * (x - z) for f, x, z in zip(factors, values, zeros, strict=True)]
        real = min(max(sum(steps) + offset + out_zero_point, -128.0), 127.0)
        got = int(affine(*(np.array([x]) for x in values))[0])
        worst = 256 * sum(map(abs, factors))
        assert abs(got - real) <= 0.5 + 2.0**-7 + worst * 2.0**-22 * len(factors)


def test_affine_that_cannot_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="out of range"):
        affine_for(np.array([[2.0**23]]), np.zeros(1), (0,), 0, -128, 127)


def test_affine_takes_channels() -> None:
    affine = affine_for(np.array([[0.5, 2.0, 1.0]]), np.array([1.0, 2, 3]), (4,), 5, -128, 127)
    x, kept = np.array([[10, -20, 30]]), np.array([2, 0])
    assert affine.take(kept)(x[:, kept]).tolist() == affine(x)[:, kept].tolist()
