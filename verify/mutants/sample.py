"""Which mutants a run looks at: all of them, or a few of each kind at each stage of any block.

The blocks of a model repeat, so that one block shows what all of them would. They are
drawn by a seed; where one of them changes nothing, the next of its kind and stage is looked at too.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from reference.taps import with_layer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from verify.mutants.change import Mutant


EACH = 3
"""Mutants of a kind and stage that are looked at first; one of a large model, whose embedding alone
takes half a second for each."""


class Sample:
    """A choice of mutants that grows where a mutant shows nothing.

    Args:
        mutants: all of them, in their order.
        every: whether to choose them all.
        seed: draws the order in which the mutants of a kind and stage come.
        each: how many of a kind and stage come first, if not all.
    """

    def __init__(
        self, mutants: Sequence[Mutant], *, every: bool, seed: int, each: int = EACH
    ) -> None:
        self._each = each
        groups: dict[tuple[str, str], list[Mutant]] = {}
        for mutant in mutants:
            groups.setdefault(group_of(mutant), []).append(mutant)
        self._groups = {key: _shuffled(key, group, seed) for key, group in groups.items()}
        self._every = every

    def first(self) -> list[Mutant]:
        """What to look at first."""
        if self._every:
            return [m for group in self._groups.values() for m in _taken(group, len(group))]
        return [mutant for group in self._groups.values() for mutant in _taken(group, self._each)]

    def more(self, silent: Iterable[Mutant]) -> list[Mutant]:
        """What to look at besides, since these showed nothing."""
        groups = [self._groups[group_of(mutant)] for mutant in silent]
        return [mutant for group in groups for mutant in _taken(group, 1)]


def _shuffled(key: tuple[str, str], group: list[Mutant], seed: int) -> list[Mutant]:
    rng = np.random.default_rng([seed, zlib.crc32(" ".join(key).encode())])
    return [group[index] for index in rng.permutation(len(group))]


def _taken(group: list[Mutant], count: int) -> list[Mutant]:
    """The next mutants of a group, which are taken away from it."""
    found = group[:count]
    del group[:count]
    return found


def group_of(mutant: Mutant) -> tuple[str, str]:
    """The kind of a mutant, and its stage in any block."""
    return mutant.kind, with_layer(mutant.stage, "n")
