"""Are stages that are finite in float64 finite in the dtypes that their graph declares?

A tanh written through exp is right in float64 and NaN in float32 for large arguments. The graph is
evaluated in its own dtypes to see that before anything is compiled.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from reference.dtypes import DTYPES
from reference.taps import in_words
from verify.candidate.observation import Observable
from verify.graph.errors import GraphError
from verify.judge.finite import in_counts, is_finite
from verify.judge.verdict import Check
from verify.locate.overflow import origin
from verify.locate.segment import segment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reference.trace import Array, Trace
    from verify.candidate.model_graphs import Computing
    from verify.candidate.observation import Observation
    from verify.truth.expectation import Expectation


class Evaluated(Observable, Protocol):
    """A candidate whose graphs are evaluated, at the precision that they declare."""

    def computing(self, taps: Sequence[str], ids: Array, given: Mapping[str, Array]) -> Computing:
        """What computes some of the reference's taps."""


def range_check(
    expected: Expectation, observed: Observation, declared: Evaluated, dtype: str
) -> Check:
    """The first stage that overflows where float64 does not.

    Args:
        expected: what the case is compared with, in float64.
        observed: what the candidate's graph computes in float64.
        declared: the candidate, at the precision that its graph declares.
        dtype: that precision.
    """
    narrow, ids = narrowed(expected, dtype), expected.case.ids
    check = Check(case=expected.case.name, mode="range", tap="", verdict="PASS")
    for tap, array in declared.forced_trace(ids, narrow).items():
        if is_finite(array) or not is_finite(observed.forced[tap]):
            continue
        message = f"right in float64, NaN or infinite in {dtype}"
        text = in_counts(array, expected.case.name) + _made(declared.computing([tap], ids, narrow))
        details = {
            "diagnosis": f"{in_words(tap)}: {text}",
            "blame": f"the port's precision: {message}",
            "blamed_on": "precision",
        }
        return replace(check, tap=tap, verdict="FAIL", message=message, details=details)
    return check


def narrowed(expected: Expectation, dtype: str) -> Trace:
    """What stages are given, in the precision that a graph declares.

    Args:
        expected: what the case is compared with.
        dtype: that precision.
    """
    return {tap: array.astype(DTYPES[dtype]) for tap, array in expected.given.items()}


def _made(computing: Computing) -> str:
    """The operation that makes the first NaN or infinity; "" where it is not known."""
    try:
        made = origin(segment(computing, "declared"))
    except GraphError:
        return ""
    return f"; {made.text}" if made else ""
