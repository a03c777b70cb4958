"""A stage that failed: what it computed, what it should have, and how a variant compares."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from reference.oracle import Oracle
from reference.taps import block_of, layer_of
from verify.faults.planted import Planted
from verify.judge.acceptance import judge
from verify.judge.metrics import rms

if TYPE_CHECKING:
    from reference.trace import Array, Trace
    from verify.faults.base import Fault
    from verify.truth.expectation import Expectation

AGREES = 3.0
"""Error over allowed, to a variant's float64 result, up to which a candidate computes that variant:
the envelope is the correct stage's, and a faulty one may round a little worse."""

LEFT = 1e-5
"""Part of the error that a variant may leave unexplained and still be what is computed: a constant
rounded to float32 leaves 1e-7, and a variant that is another one leaves a hundredth and more."""

STAGES = 20
"""A stage alone takes about so much less than its block, of which the rest is given."""

HALF = 0.5
"""A variant that leaves more of the error than this explains nothing, however small the error."""


@dataclass(slots=True)
class Budget:
    """Multiplications that may still be spent on variants of a failure's stage.

    A candidate that shows nothing of its inside is compared with runs of the whole model, of which
    only so many can be made in a few seconds: a few hundred on `tiny`.
    """

    left: float = 4e10


@dataclass(frozen=True, eq=False)
class Failure:
    """One place that is wrong in isolation, in one case.

    Attributes:
        tap: the place.
        found: what the candidate computed there.
        expected: what the case is compared with.
        visible: the places that the candidate shows.
        budget: for variants.
    """

    tap: str
    found: Array
    expected: Expectation
    visible: frozenset[str]
    budget: Budget = field(default_factory=Budget)

    @property
    def layer(self) -> int | None:
        """The block it lies in."""
        return layer_of(self.tap)

    @cached_property
    def truth(self) -> Array:
        """What it should have computed."""
        return self.expected.isolated[self.tap]

    @property
    def of_gpt2(self) -> bool:
        """Whether the reference is the NumPy GPT-2, in which faults can be planted."""
        return isinstance(self.expected.oracle, Oracle)

    @cached_property
    def comparable(self) -> bool:
        """Whether found and truth are finite numbers of one shape."""
        return (
            self.found.shape == self.truth.shape
            and self.found.dtype.kind == "f"
            and bool(np.isfinite(self.found).all())
        )

    @cached_property
    def error(self) -> float:
        """Its rms distance from the truth, where it is finite."""
        return self._distance(self.truth)

    @cached_property
    def _finite(self) -> Array:
        return np.isfinite(self.found.astype(np.float64))

    def _distance(self, result: Array) -> float:
        with np.errstate(invalid="ignore"):  # infinite in both
            return rms((self.found.astype(np.float64) - result)[self._finite])

    def left(self, result: Array) -> float:
        """The part of the error that a variant's result leaves; infinite where it is not a match.

        What is NaN or infinite must be so in the same places.
        """
        if result.shape != self.found.shape or self.found.dtype.kind in "iu":
            return 0.0 if np.array_equal(result, self.found) else math.inf
        if not np.array_equal(np.isfinite(result), self._finite):
            return math.inf
        distance = self._distance(result)
        return distance / self.error if self.error else math.inf if distance else 0.0

    def explained_by(self, result: Array | None) -> bool:
        """Whether a variant's result is what was found, and not what is right."""
        if result is None or np.array_equal(result, self.truth):
            return False
        left = self.left(result)
        if left <= LEFT or left > HALF or not self.comparable:
            return left <= LEFT
        envelope = self.expected.isolated_envelope[self.tap]
        used = judge(self.found, result, envelope, self.expected.dtype).used
        return used is not None and used <= AGREES

    def unexplained(self, result: Array | None) -> float:
        """The part of the error that a variant leaves; infinite where it does not explain it."""
        if result is None or not self.explained_by(result):
            return math.inf
        return self.left(result)

    def variant(self, fault: Fault, layer: int | None) -> Array | None:
        """What a fault in a block, or in every one, computes here; None where it is not seen.

        An input that is too short or too small to show the fault does not show it.
        """
        return self.variants(fault, layer, {self.tap}).get(self.tap)

    def variants(self, fault: Fault, layer: int | None, wanted: set[str]) -> Trace:
        """The same at several places."""
        expected = self.expected
        if not fault.fits(expected.case.ids, expected.oracle.config.n_positions):
            return {}
        self.budget.left -= self._cost(fault, layer)
        planted = Planted(expected.oracle, fault, layer)
        with np.errstate(all="ignore"):
            if layer is None:
                return planted.whole(expected.case.ids, expected.given)
            return planted.seen(
                fault.blamed(layer), expected.case.ids, expected.isolated, expected.given,
                self.visible, wanted,
            )  # fmt: skip

    def _cost(self, fault: Fault, layer: int | None) -> float:
        """Multiplications that a variant takes, about: of the whole model, or of a stage."""
        config = self.expected.oracle.config
        model = config.parameter_count * self.expected.case.ids.size
        in_block = "{layer}" in fault.tap
        cut = any(block_of(tap) == tap for tap in self.expected.given)
        whole = layer is None or (in_block and self.layer is None) or not (in_block or cut)
        return model if whole else model / (config.n_layer * STAGES)
