"""What the reference computes on the way to a place, step by step and each with its name.

    (mean) -> (x - mean) -> (variance) -> ... -> LayerNorm(x)
    (q) -> (q k^T) -> (q k^T / sqrt(head_dim)) -> (masked scores) -> ... -> (heads merged)

The steps are the oracle's own formulas, written out; `verify.locate.matching` finds them again in
a candidate's graph by their values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from impl.config import GELU_SLOPES
from reference.oracle import Oracle
from reference.taps import block_of, in_words
from verify.faults.configured import FORMULAS
from verify.faults.planted import computed_in
from verify.pairing.counterpart import PARTS

if TYPE_CHECKING:
    from collections.abc import Collection

    from reference.trace import Array
    from verify.truth.expectation import Expectation


@dataclass(frozen=True)
class Quantity:
    """Something that the reference computes.

    Attributes:
        name: in a formula's words.
        array: its value in float64.
        block: path of the block, where those of several are known; else "".
    """

    name: str
    array: Array
    block: str = ""

    @property
    def words(self) -> str:
        """Its name, and its block where the place in question does not tell it."""
        return f"{self.name} of {in_words(self.block)}" if self.block else self.name

    @cached_property
    def size(self) -> tuple[int, float]:
        """How many of its numbers are finite, and the sum of their magnitudes."""
        array, finite = self.array, np.isfinite(self.array)
        if not finite.all():
            array = array[finite]
        return array.size, float(np.abs(array).sum(dtype=np.float64))


class Spelled(Oracle):
    """The oracle, keeping every quantity on the way to a place.

    Args:
        oracle: whose weights it shares.
        block: path of the block that computes the place; "" for what lies outside blocks, to which
            every block that is not given belongs too.
        given: the places whose arrays are given, as in `trace`.
    """

    def __init__(self, oracle: Oracle, block: str, given: Collection[str] = ()) -> None:
        vars(self).update(vars(oracle))
        self.kept: list[Quantity] = []
        self._wanted = block
        self._given = frozenset(given)
        self._inside = ""
        self._sums = 0

    def _keep(self, name: str, array: Array) -> Array:
        inside = self._inside
        if inside == self._wanted or not (self._wanted or inside in self._given):
            block = "" if inside == self._wanted else inside
            self.kept.append(Quantity(name, np.array(array, copy=True), block))
        return array

    def positions(self, ids: Array) -> Array:
        """0, 1, 2, ..."""
        return self._keep("positions 0, 1, 2, ...", super().positions(ids))

    def embedding(self, indices: Array, path: str) -> Array:
        """One row of the table for each index."""
        return self._keep(f"{in_words(path)}[...]", super().embedding(indices, path))

    def block(self, x: Array, path: str) -> Array:
        """A block; its two sums are the residual stream."""
        self._inside, self._sums = path, 0
        self._keep("x (the block's input)", x)
        try:
            return super().block(x, path)
        finally:
            self._inside = ""

    def add(self, x: Array, y: Array) -> Array:
        """A sum of embeddings, or a residual connection."""
        name = "wte[ids] + wpe[positions]"
        if self._inside:
            name = ("x + attn(...)", "x + attn(...) + mlp(...)")[self._sums]
            self._sums += 1
        return self._keep(name, super().add(x, y))

    def layer_norm(self, x: Array, path: str) -> Array:
        """LayerNorm, term by term."""
        name = path.rpartition(".")[2]
        mean = self._keep(f"{name}: mean(x)", x.mean(axis=-1, keepdims=True))
        centred = self._keep(f"{name}: x - mean", x - mean)
        self._keep(f"{name}: (x - mean)^2", centred**2)
        variance = self._keep(f"{name}: variance", (centred**2).mean(axis=-1, keepdims=True))
        widened = variance + self.config.layer_norm_epsilon
        self._keep(f"{name}: variance + eps", widened)
        self._keep(f"{name}: sqrt(variance + eps)", np.sqrt(widened))
        self._keep(f"{name}: 1 / sqrt(variance + eps)", 1 / np.sqrt(widened))
        normalised = centred / np.sqrt(widened)
        self._keep(f"{name}: (x - mean) / sqrt(variance + eps)", normalised)
        weighted = normalised * self.weights[f"{path}.weight"]
        self._keep(f"{name}: (x - mean) / sqrt(variance + eps) * weight", weighted)
        return self._keep(f"{name}(x)", weighted + self.weights[f"{path}.bias"])

    def linear(self, x: Array, path: str) -> Array:
        """A product and its bias."""
        name = path.rpartition(".")[2]
        product = self.matmul(x, self.weights[f"{path}.weight"])
        self._keep(f"{name}: x W", product)
        if name == "c_attn":
            self._thirds("x W of the {}", product)
        result = self._keep(f"{name}: x W + b", product + self.weights[f"{path}.bias"])
        if name == "c_attn":
            self._thirds("{}", result)
        return result

    def _thirds(self, name: str, fused: Array) -> None:
        for part, third in zip(PARTS, np.split(fused, len(PARTS), axis=-1), strict=True):
            self._keep(f"c_attn: {name.format(part)}", third)

    def attend(self, fused: Array, path: str) -> Array:
        """Attention, from the heads to the heads merged."""
        parts = [self.split_heads(part) for part in np.split(fused, 3, axis=-1)]
        for name, part in zip("qkv", parts, strict=True):
            self._keep(name, part)
        query, key, value = parts
        scale = self.scale(path)
        self._keep("q / sqrt(head_dim)", query * scale)
        self._keep("k / sqrt(head_dim)", key * scale)
        raw = self._keep("q k^T", self.matmul(query, key.swapaxes(-1, -2)))
        scores = self._keep("q k^T / sqrt(head_dim)", raw * scale)
        masked = self._keep("masked scores", self.masked(scores))
        largest = self._keep("largest score of a row", masked.max(axis=-1, keepdims=True))
        lowered = self._keep("masked scores less the largest", masked - largest)
        raised = self._keep("exp(masked scores less the largest)", np.exp(lowered))
        self._keep("sum of a row's exp", raised.sum(axis=-1, keepdims=True))
        weights = self._keep("softmax(masked scores)", self.softmax(masked))
        mixed = self._keep("softmax(masked scores) v", self.matmul(weights, value))
        return self._keep("heads merged", self.merge_heads(mixed))

    def activation(self, x: Array, path: str) -> Array:
        """GELU in its tanh form, term by term; another function as a whole."""
        self._keep("act: x", x)
        slope = GELU_SLOPES.get(self.config.activation)
        if slope is None:
            return self._keep(
                f"act: {FORMULAS[self.config.activation]}", super().activation(x, path)
            )
        self._keep("act: x^2", x * x)
        self._keep("act: x^3", x * x * x)
        for power, name in ((x, "x"), (x * x, "x^2"), (x * x * x, "x^3")):
            self._keep(f"act: 0.044715 {name}", 0.044715 * power)
        inner = self._keep("act: x + 0.044715 x^3", x + 0.044715 * x * x * x)
        self._keep("act: sqrt(2/pi) (x + 0.044715 x^3)", slope * inner)
        bent = self._keep("act: tanh(sqrt(2/pi) (x + 0.044715 x^3))", np.tanh(slope * inner))
        self._keep("act: 1 + tanh(...)", 1 + bent)
        self._keep("act: 0.5 x", 0.5 * x)
        self._keep("act: 0.5 (1 + tanh(...))", 0.5 * (1 + bent))
        self._keep("act: x (1 + tanh(...))", x * (1 + bent))
        return self._keep("act: gelu_new(x)", super().activation(x, path))

    def head(self, x: Array, path: str) -> Array:
        """The logits."""
        return self._keep("logits = x wte^T", super().head(x, path))


def quantities(tap: str, expected: Expectation) -> list[Quantity]:
    """Every quantity on the way to a place, in the order in which the reference computes them.

    Args:
        tap: the place.
        expected: what the case is compared with; of a decoder that is not the oracle, its taps are
            all that is known.
    """
    block = computed_in(tap)
    if not isinstance(expected.oracle, Oracle):
        return [
            Quantity(in_words(name), array)
            for name, array in expected.isolated.items()
            if block_of(name) == block
        ]
    spelled = Spelled(expected.oracle, block, expected.given)
    spelled.trace(expected.case.ids, expected.given)
    return spelled.kept
