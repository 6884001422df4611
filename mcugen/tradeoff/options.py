# SPDX-License-Identifier: Apache-2.0
"""The option table: every way to hold and compute each layer, with what it costs. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

DENSE = "dense"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Form:
    """How the weights of a layer are held: their bits, and which share of them is zero.

    `sparsity` is of the groups of `pattern` that are not zero already; `dense` has none.
    """

    bits: int = 8
    pattern: str = DENSE
    sparsity: float = 0.0

    def text(self) -> str:
        """`int8`, or `int8 block2x2 75 %`."""
        zeros = f" {self.pattern} {100 * self.sparsity:g} %" if self.sparsity else ""
        return f"int{self.bits}{zeros}"

    def gentler(self, other: Form) -> bool:
        """Nothing is lost against `other`, as far as that can be told without measuring.

        Single weights can be chosen better than blocks, and fewer zeros are a part of more.
        """
        nested = self.pattern in (DENSE, "unstructured", other.pattern)
        return self.bits >= other.bits and nested and self.sparsity <= other.sparsity


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One form of one layer, computed by one kernel.

    form: None for layers without weights. kernel: the variant's name. loss: of the network, with
    this layer alone in that form. flash: bytes of the kernel's tables. cycles: by the cost model.
    live: bytes that its step of the schedule needs, scratch included. functions: of C that it
    calls, whose code is in flash once for all layers that call them.
    """

    layer: str
    form: Form | None
    kernel: str
    loss: float
    flash: int
    cycles: float
    live: int
    functions: tuple[str, ...] = ()

    def costs(self) -> tuple[float, float, float]:
        """All but the loss."""
        return self.flash, self.cycles, self.live

    def beats(self, other: Option) -> bool:
        """No worse in anything, so that the other one is never needed."""
        pairs = zip((self.loss, *self.costs()), (other.loss, *other.costs()), strict=True)
        return all(own <= its for own, its in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The options of each layer, in execution order, one of which is to be taken of each.

    code_of: for each function of C, its own code and that of the functions that it calls, in
    bytes by their names. code: bytes of flash beside these and all tables. moves: cycles beside all
    kernels, of rows in chains. arena: bytes that the arena is larger than the largest step.
    """

    layers: tuple[tuple[Option, ...], ...]
    code_of: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    code: int = 0
    moves: float = 0.0
    arena: int = 0

    @classmethod
    def of(cls, options: Iterable[Sequence[Option]]) -> Table:
        """Without options that others beat."""
        return cls(layers=tuple(undominated(each) for each in options))


def undominated(options: Sequence[Option]) -> tuple[Option, ...]:
    """Those that no other one beats without calling other functions; of equal ones the first."""

    def beats(one: Option, other: Option) -> bool:
        return set(one.functions) <= set(other.functions) and one.beats(other)

    kept: list[Option] = []
    for option in options:
        if not any(beats(other, option) for other in kept):
            kept = [other for other in kept if not beats(option, other)]
            kept.append(option)
    return tuple(kept)


def code_bytes(table: Table, options: Iterable[Option]) -> int:
    """The code of all functions that these options call, each once."""
    found: dict[str, int] = {}
    for option in options:
        for function in option.functions:
            found |= table.code_of.get(function, {})
    return sum(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One option of each layer, and what the whole network is reckoned to cost."""

    options: tuple[Option, ...]
    loss: float
    flash: int
    ram: int
    cycles: float

    @property
    def forms(self) -> dict[str, Form]:
        """The form of each layer with weights, by its name."""
        return {o.layer: o.form for o in self.options if o.form is not None}

    @property
    def kernels(self) -> tuple[tuple[str, str], ...]:
        """The kernel of each layer."""
        return tuple((option.layer, option.kernel) for option in self.options)


def choice_of(table: Table, options: Sequence[Option]) -> Choice:
    """The sums over a choice."""
    return Choice(
        options=tuple(options),
        loss=sum(option.loss for option in options),
        flash=table.code + code_bytes(table, options) + sum(option.flash for option in options),
        ram=table.arena + max((option.live for option in options), default=0),
        cycles=table.moves + sum(option.cycles for option in options),
    )
