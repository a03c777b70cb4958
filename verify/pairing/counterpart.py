"""Which parameter and which module of a candidate stands for which of the reference.

A pairing is plain text at heart, so that a person can read and correct it:

    [weights]
    "blocks.{layer}.q.weight" = "transformer.h.{layer}.attn.c_attn.weight [query] transposed"
    [places]
    "blocks.{layer}.q" = "transformer.h.{layer}.attn.c_attn [query]"
    "blocks.{layer}.wrapper" = ""

The left side is the candidate's, the right side the reference's. `{layer}` stands for a block's
number and `{layer+1}` for the number after it; `*` for all blocks, stacked along a first axis;
`[query]`, `[key]` and `[value]` for a third of the fused projection; "" for no counterpart.
`verify.pairing.parameters` makes a pairing, and a file given with `--pairing` corrects it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reference.trace import Array

PARTS = ("query", "key", "value")
"""The thirds of GPT-2's fused projection, in the checkpoint's order."""


class PairingError(ValueError):
    """A pairing that cannot be used; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Counterpart:
    """What stands for one of the candidate's parameters or modules.

    Attributes:
        name: the reference's parameter, or place; "" for none.
        part: `query`, `key` or `value` for a third of it along its last axis, else "".
        transposed: whether the last two axes change places (parameters only).
        why: how it was found: `path`, `name`, `shape`, `order`, `parameters`, `structure`,
            `value` or `file`.
    """

    name: str
    part: str = ""
    transposed: bool = False
    why: str = "file"

    def __str__(self) -> str:
        """As a pairing file has it."""
        part = f" [{self.part}]" if self.part else ""
        return f"{self.name}{part}{' transposed' if self.transposed else ''}"

    def take(self, weights: Mapping[str, Array], n_layer: int) -> Array:
        """The candidate's parameter, from the reference's: C-contiguous, in the same dtype.

        Args:
            weights: of the reference, by name.
            n_layer: how many blocks a name with `*` stands for.
        """
        if "*" in self.name:
            one = (replace(self, name=self.name.replace("*", str(i))) for i in range(n_layer))
            return np.stack([each.take(weights, n_layer) for each in one])
        array = third(weights[self.name], self.part)
        return np.ascontiguousarray(array.swapaxes(-1, -2) if self.transposed else array)


def third(array: Array, part: str) -> Array:
    """The query's, key's or value's third of the last axis; all of it for ""."""
    return np.split(array, len(PARTS), axis=-1)[PARTS.index(part)] if part else array


@dataclass(frozen=True)
class Pairing:
    """A candidate's parameters and modules, each with its counterpart.

    Attributes:
        weights: by the candidate's parameter name.
        places: by the name of a call of one of the candidate's modules.
        loose: calls without counterpart, with the reason.
        unheld: parameters of the reference that no parameter of the candidate holds.
        spared: those of which it holds all but the bias of the keys, to which softmax is blind.
        doubts: parameters whose counterpart nothing tells but trying: each a list of alternatives,
            each of those the weights to be changed.
    """

    weights: Mapping[str, Counterpart]
    places: Mapping[str, Counterpart]
    loose: Mapping[str, str] = field(default_factory=dict)
    unheld: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()
    doubts: tuple[tuple[Mapping[str, Counterpart], ...], ...] = ()

    def settled(self, choices: Iterable[Mapping[str, Counterpart]]) -> Pairing:
        """The pairing with one alternative of each doubt chosen."""
        weights = dict(self.weights)
        for choice in choices:
            weights |= choice
        return replace(self, weights=weights)

    @property
    def by_path(self) -> bool:
        """Whether every parameter and module has the reference's own path."""
        found = (*self.weights.values(), *self.places.values())
        return all(c.why == "path" for c in found) and not (self.loose or self.unheld)
