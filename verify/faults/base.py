"""Faults: wrong variants of one stage, each standing for a bug that was really shipped.

A fault is the float64 oracle with one method replaced in one place. Planted, it shows what the rule
can notice; compared with a failing candidate, it explains what the candidate computes instead
(`verify.explain`). `verify.faults.catalogue` lists them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from reference.dtypes import DECLARED
from verify.faults.configured import every, expected_by, whose

if TYPE_CHECKING:
    from collections.abc import Callable

    from impl.config import GPT2Config
    from reference.trace import Array


Where = Literal["first", "middle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A wrong variant of one stage.

    Attributes:
        id: its name in tables.
        tap: the place that must be blamed; `{layer}` stands for the block's number.
        method: the method of the oracle that is replaced.
        replace: called as `replace(model, original, *arguments)` in place of the method.
        within: path inside which the method is replaced; `{layer}` as above, "" for everywhere.
        expected: what GPT-2 computes, as a formula or in words.
        found: what the fault computes instead.
        seen_in: where this really happened, or `synthetic`.
        where: the block to plant it in.
        least_length, least_tokens, least_batch: inputs below these cannot show it.
        full_length: only an input of n_positions tokens can show it.
        of: the configurations in which it is a fault; in others it is what is right.
        dtypes: the declared precisions in which it is a fault; in others it is a legitimate way.
    """

    id: str
    tap: str
    method: str
    replace: Callable[..., Any]
    within: str
    expected: str
    found: str
    seen_in: str
    where: Where = "middle"
    least_length: int = 1
    least_tokens: int = 1
    least_batch: int = 1
    full_length: bool = False
    of: Callable[[GPT2Config], bool] = every
    dtypes: tuple[str, ...] = DECLARED

    def layer(self, n_layer: int) -> int:
        """The block in which it is planted."""
        return 0 if self.where == "first" else n_layer // 2

    def blamed(self, layer: int) -> str:
        """The tap that must be blamed, for a block's number."""
        return self.tap.format(layer=layer)

    def explanation(self, config: GPT2Config) -> str:
        """What is computed in place of what, after the name of the place."""
        expected = expected_by(config, self.expected)
        return f"found {self.found}; {whose(config)} has {expected} [{self.id}]"

    def fits(self, ids: Array, n_positions: int) -> bool:
        """Whether an input of this shape can show it at all."""
        batch, length = ids.shape
        return (
            length >= self.least_length
            and ids.size >= self.least_tokens
            and batch >= self.least_batch
            and (length == n_positions or not self.full_length)
        )
