"""MAX or the port? Whose a failing check of the compiled program is.

The traced graph is evaluated in NumPy on the very input of the check: in float64, which is what it
means, and in the dtypes that it declares, each cast where it stands. All three are judged by the
same rule as the compiled result:

    float64   declared   compiled
    wrong                wrong      the graph computes something else: the port's
    right     wrong      wrong      the graph's own dtypes lose it: the port's precision
    right     right      wrong      the compiled program is not the graph: MAX's compiler
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from reference.dtypes import DTYPES
from reports.tables.numbers import scientific, times_allowed
from verify.candidate.observation import Observation
from verify.graph.errors import GraphError
from verify.judge.acceptance import Judgement, judge
from verify.judge.metrics import rms
from verify.pairing.translated import PairedCandidate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reference.trace import Array
    from verify.candidate.model_graphs import Candidate
    from verify.candidate.observation import Observable
    from verify.judge.verdict import Check
    from verify.truth.expectation import Expectation, Standard

Party = Literal["compiler", "graph", "precision"]
"""Who a failure belongs to: MAX's compiler, the port's mathematics, or the port's dtypes."""

MODES = ("isolated", "free", "plain")
"""Checks whose arrays the graph can be evaluated for."""

GRAPH = "the port's: the traced graph, before any compile, computes something else"
"""Of a failing check of the mathematics."""

FUSED = {
    "isolated": "it is wrong even alone, in one of its operations or in what MAX makes of several",
    "free": "each stage alone is right, so fusing across stages is the reason",
    "plain": "the same graph with every place returned is right, so fusing across places is the "
    "reason",
}
"""Whether fusing is the reason, by the first kind of check that fails."""

APART = 1e3
"""How many times as large as in float64 a compiled difference is that an invariance forbids."""


@dataclass(frozen=True, slots=True)
class Blame:
    """Whose a failing check is.

    Attributes:
        party: see `Party`; None where that cannot be told.
        sentence: with the evidence.
    """

    party: Party | None
    sentence: str

    def on(self, check: Check) -> Check:
        """The check, with this among its details."""
        told = {"blame": self.sentence, "blamed_on": self.party}
        return replace(check, details={**(check.details or {}), **told})


class Meaning:
    """A candidate's traced graph with one set of weights, evaluated where a check fails.

    Args:
        candidate: traced.
        weights: by the candidate's names, in the dtypes that it declares.
    """

    def __init__(
        self, candidate: Candidate | PairedCandidate, weights: Mapping[str, Array]
    ) -> None:
        self._candidate = candidate
        self._weights = weights

    @cached_property
    def exact(self) -> Observable:
        """In float64 all the way, whatever dtypes the graph declares."""
        return self._candidate.evaluated(self._weights, rounding=False)

    @cached_property
    def declared(self) -> Observable:
        """In the dtypes that the graph declares."""
        return self._candidate.evaluated(self._weights, "declared")

    def blame(self, check: Check, observed: Observation, expected: Expectation) -> Blame:
        """Whose a failing check of the compiled program is.

        Args:
            check: of a case.
            observed: what the compiled program computes on it.
            expected: what that is compared with.
        """
        try:
            return self._blame(check, observed, expected)
        except GraphError as error:
            return Blame(None, f"MAX's or the port's, undecided: {error}")

    def _blame(self, check: Check, observed: Observation, expected: Expectation) -> Blame:
        standard = expected.at(check.tap, alone=check.mode == "isolated")
        dtype = expected.dtype
        exact = _at(check, Observation(self.exact, expected))
        if _judged(exact, standard, dtype).verdict != "PASS":
            return Blame("graph", GRAPH)
        declared = _judged(_at(check, Observation(self.declared, expected)), standard, dtype)
        if declared.verdict != "PASS":
            return Blame("precision", _lost(declared, dtype))
        compiled = judge(_at(check, observed), exact, standard.envelope, dtype)
        if compiled.verdict == "PASS":  # at the edge: near its own meaning, and not near the truth
            return Blame(None, "undecided: the error is at the edge of what is allowed")
        return Blame("compiler", self._not_the_graph(check, exact, standard, compiled))

    def _not_the_graph(
        self, check: Check, exact: Array, standard: Standard, compiled: Judgement
    ) -> str:
        size = rms(standard.truth.astype(np.float64))
        distance = rms(exact - standard.truth) / size if size else rms(exact - standard.truth)
        away = _away(compiled, "it")
        return (
            f"{self._compiler}: the traced graph computes the right thing (within "
            f"{scientific(distance)} of the oracle), the compiled program does not ({away}); "
            f"{FUSED[check.mode]}"
        )

    @property
    def _compiler(self) -> str:
        """Whom a program that is not its graph is to blame on."""
        candidate = self._candidate
        traced = candidate.candidate if isinstance(candidate, PairedCandidate) else candidate
        own = ", or a Mojo kernel of the port's own" if traced.libraries else ""
        return f"MAX's compiler{own}"


def _at(check: Check, observed: Observation) -> Array:
    """The array that a check is about."""
    if check.mode == "isolated":
        return observed.forced[check.tap]
    return observed.free[check.tap] if check.mode == "free" else observed.logits


def _judged(array: Array, standard: Standard, dtype: str) -> Judgement:
    """What the rule says of an evaluation, rounded once to the declared dtype."""
    return judge(array.astype(DTYPES[dtype]), standard.truth, standard.envelope, dtype)


def _lost(declared: Judgement, dtype: str) -> str:
    away = _away(declared, "that", dtype)
    return (
        f"the port's precision: the traced graph is right in float64, and {away} in the dtypes "
        "that it declares"
    )


def _away(judged: Judgement, other: str, dtype: str = "") -> str:
    """How far a result is from another one, in words."""
    if judged.used is None:
        return f"not near {other}"
    if math.isnan(judged.used):
        return "NaN"
    of_dtype = f" of {dtype}" if dtype else ""
    return f"{times_allowed(judged.used)}{of_dtype} from {other}"


def blame_invariance(check: Check, exact: Iterable[Check]) -> Blame:
    """Whose a failing check without an oracle is.

    Args:
        check: of the compiled program.
        exact: the same checks of the traced graph in float64.
    """
    own = next((one for one in exact if one.case == check.case), None)
    if own is None or own.max_abs is None or check.max_abs is None:
        return Blame(None, "MAX's or the port's: this check cannot say")
    if check.max_abs <= APART * own.max_abs:
        return Blame("graph", GRAPH)
    return Blame(
        "compiler",
        "MAX's compiler: in the traced graph, evaluated in float64, the same change makes a "
        f"difference of {scientific(own.max_abs)}, in the compiled program of "
        f"{scientific(check.max_abs)}",
    )
