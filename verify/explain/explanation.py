"""What a candidate may compute in place of a stage, and in which blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from verify.explain.failure import Failure


@dataclass(frozen=True, eq=False)
class Explanation:
    """Something that a candidate may compute instead.

    Attributes:
        id: of the fault, the family or the relation.
        found: what is computed, in words.
        expected: what the reference computes; "" where that would say nothing.
        layers: the blocks where it was seen; None stands for what lies outside blocks.
        left: the part of a failure's error that it leaves; infinite where it does not explain it.
        hidden_in: the block, where the place at which it is seen does not tell: ` in block 3`.
        nothing_in: whether it changes nothing in a block, so that this may well compute it too.
    """

    id: str
    found: str
    expected: str
    layers: tuple[int | None, ...]
    left: Callable[[Failure], float]
    hidden_in: str = ""
    nothing_in: Callable[[int], bool] = lambda _: False

    def __post_init__(self) -> None:
        """Ask about each failure once: the answer may take a pass through a block."""
        object.__setattr__(self, "left", cache(self.left))

    def holds(self, failure: Failure) -> bool:
        """Whether it explains a failure, in one of its own blocks."""
        return failure.layer in self.layers and math.isfinite(self.left(failure))


def blocks(layers: Sequence[int]) -> str:
    """Numbers of blocks in words: `block 3`, `blocks 1, 3 and 5`, `blocks 1 to 5`."""
    if len(layers) == 1:
        return f"block {layers[0]}"
    if list(layers) == list(range(layers[0], layers[-1] + 1)) and len(layers) > 2:
        return f"blocks {layers[0]} to {layers[-1]}"
    return f"blocks {', '.join(map(str, layers[:-1]))} and {layers[-1]}"
