# SPDX-License-Identifier: Apache-2.0
"""What may be chosen about quantization, by the names of the field. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from mcugen.errors import OptionError
from mcugen.quantize.widths import KEPT, WidthOptions, activation_rules

# method -> how its activation ranges are set where `ranges` does not say
METHODS = {
    "integerize": "minmax",
    "estimate": "output",
    "mean_rounding": "mse",
    "adaround": "mse",
}
# range rule -> its figure where none is given, None where it takes none
RANGES = {
    "minmax": None,
    "moving_average": 0.1,
    "percentile": 99.99,
    "mse": None,
    "entropy": None,
    "output": None,
}
DEFAULT_METHOD = "mean_rounding"


@dataclass(frozen=True, slots=True)
class RangeRule:
    """How ranges are set: `percentile` with its figure 99.9, say."""

    name: str
    figure: float | None = None

    @property
    def estimates(self) -> bool:
        """Whether it guesses what other samples will reach, instead of taking what these do."""
        return self.name in ("mse", "entropy", "output")


def parse_ranges(text: str) -> RangeRule:
    """`minmax`, `percentile:99.9`, `mse` and so on. Raises OptionError for anything else."""
    name, colon, figure = text.partition(":")
    known = RANGES.get(name)
    if name not in RANGES or (colon and known is None):
        msg = (
            f"ranges {text!r} is not known; use minmax, moving_average[:C] with 0 < C <= 1, "
            "percentile[:P] with 50 < P <= 100, mse, entropy or output"
        )
        raise OptionError(msg)
    if known is None:
        return RangeRule(name)
    low, high = {"moving_average": (0.0, 1.0), "percentile": (50.0, 100.0)}[name]
    try:
        value = float(figure) if colon else known
    except ValueError:
        value = low
    if not low < value <= high:
        msg = f"ranges {text!r}: {name}:X needs a number X with {low:g} < X <= {high:g}"
        raise OptionError(msg)
    return RangeRule(name, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantOptions:
    """One way to quantize a network after training; see docs/QUANTIZATION.md."""

    method: str = DEFAULT_METHOD
    ranges: str | None = None  # None: the method's own
    bias_correction: bool | None = None  # None: where the method has it
    equalize: bool = False
    per_tensor: bool = False
    symmetric: bool = False
    power_of_two: bool = False
    weights: tuple[str, ...] = ()  # see WidthOptions, and so is the next
    keep_int8: tuple[str, ...] = KEPT
    activations: tuple[str, ...] = ()  # "int16", or PATTERN=int16 for some layers; later ones win
    seed: int = 0  # of what is drawn at random: adaround's batches

    def __post_init__(self) -> None:
        """Raise OptionError for names that are not known."""
        if self.method not in METHODS:
            msg = f"quant {self.method!r} is not known; the methods are {', '.join(METHODS)}"
            raise OptionError(msg)
        if self.ranges is not None:
            parse_ranges(self.ranges)
        _ = self.widths
        activation_rules(self.activations)

    @property
    def widths(self) -> WidthOptions:
        """How wide the weights are. Raises OptionError for widths that are not known."""
        return WidthOptions(weights=self.weights, keep_int8=self.keep_int8)

    @property
    def rule(self) -> RangeRule:
        """How activation ranges are set."""
        return parse_ranges(self.ranges or METHODS[self.method])

    def rule_for(self, bits: int) -> RangeRule:
        """How the range of a tensor of so many bits is set: int16 holds all unless told not to."""
        return self.rule if bits == 8 or self.ranges is not None else RangeRule("minmax")

    @property
    def corrects_bias(self) -> bool:
        """Whether the mean error of each channel is taken out of the biases."""
        if self.bias_correction is None:
            return self.method in ("mean_rounding", "adaround")
        return self.bias_correction

    def text(self) -> str:
        """The choices in a line, for digests and tables."""
        flags = ("equalize", "per_tensor", "symmetric", "power_of_two")
        words = [self.method, self.ranges or METHODS[self.method]]
        words += [flag for flag in flags if getattr(self, flag)]
        if self.bias_correction is not None:
            words.append("bias_correction" if self.bias_correction else "no_bias_correction")
        if self.weights:
            words.append(self.widths.text())
        if self.activations:
            words.append(f"activations {','.join(self.activations)}")
        return " ".join(words)
