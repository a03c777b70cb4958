"""The rule's third clause: is a stage nearer to a known fault than to the truth?

In 16 bits some faults lie below half a unit in the last place of every element: no bound on single
errors can tell them from correct rounding, but all elements together can. Rounding errors have
random signs; a fault moves thousands of elements in a known pattern. The error is projected on that
pattern,

    share = <found - truth, d> / <fault - truth, d>,

which is 0 for the truth and 1 for the fault, give or take what rounding adds. d is the pattern,
fault - truth, less what legitimate evaluations' errors have in common with it: 16-bit functions are
off in their own patterns (1 + tanh(x) rounds to 0 well before x is -infinity), and these count
for nothing. How much rounding adds is measured: the worst share of a legitimate evaluation, with
the others' patterns left out. A filter is used where `verify.judge.acceptance.MAX_FACTOR` times
that, what a correct candidate may reach, is at most 1 / `verify.faults.sighting.MARGIN` of the way
to the fault; and then a stage fails that has gone more than that part of the way. No number is new.

Filters are built only for faults that the bounds do not tell, so in float32 there are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reference.dtypes import DTYPES
from reference.taps import in_words
from verify.faults.planted import Planted
from verify.faults.sighting import MARGIN
from verify.judge.acceptance import MAX_FACTOR
from verify.judge.verdict import Check
from verify.truth.alarms import Alarms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reference.oracle import Oracle
    from reference.trace import Array
    from verify.faults.base import Fault
    from verify.truth.expectation import EnvelopeSample, Expectation

FARTHEST = 1 / MARGIN
"""Share of the way to a fault that a stage may go."""


@dataclass(frozen=True)
class Filter:
    """One fault at one place of one case.

    Attributes:
        fault: what to look for.
        layer: in which block.
        direction: fault - truth in float64, as large as the stage's result for the case.
        errors: of the legitimate evaluations on the case, 0 where they left an element out.
        shares: of each legitimate evaluation, the worst of its copies.
    """

    fault: Fault
    layer: int
    direction: Array
    errors: tuple[Array, ...]
    shares: tuple[float, ...]

    @property
    def tap(self) -> str:
        """Where it looks."""
        return self.fault.blamed(self.layer)

    @property
    def margin(self) -> float:
        """The fault's share, 1, over what a correct candidate may reach."""
        return _margin(self.shares)

    @property
    def sharp(self) -> bool:
        """Whether the fault can be distinguished from rounding here."""
        return self.margin >= MARGIN

    def share(self, found: Array, truth: Array) -> float:
        """How far a result has gone from the truth to the fault."""
        error = found.astype(np.float64) - truth
        gram = _gram([*self.errors, error, self.direction])
        return _share(gram, len(self.errors))

    def alarms(self) -> Alarms:
        """Each legitimate evaluation, judged by what the others reach."""
        total = Alarms()
        for index, share in enumerate(self.shares):
            others = [*self.shares[:index], *self.shares[index + 1 :]]
            if _margin(others) >= MARGIN:
                total += Alarms(1, int(share > FARTHEST))
        return total


def matched_filter(
    fault: Fault, layer: int, oracle: Oracle, drawn: EnvelopeSample
) -> Filter | None:
    """The filter for a fault in a block; None where the fault changes nothing, or overflows.

    Args:
        fault: what to look for.
        layer: in which block.
        oracle: the float64 model.
        drawn: the case's input with its copies, and what was computed on it.
    """
    tap = fault.blamed(layer)
    truth = drawn.truth[tap]
    with np.errstate(all="ignore"):  # a fault may overflow: that is its point
        planted = Planted(oracle, fault, layer).stage(
            tap, drawn.sample.ids, drawn.truth, drawn.sample.given
        )
    if planted[tap].shape != truth.shape or not np.isfinite(planted[tap]).all():
        return None
    direction = planted[tap] - truth
    copies = drawn.sample.copies if len(truth) == len(drawn.sample.ids) else 1
    patterns = np.split(direction, copies)
    if not patterns[0].any():
        return None
    errors = [
        np.split(np.nan_to_num(trace[tap].astype(np.float64) - truth, posinf=0, neginf=0), copies)
        for trace in drawn.evaluations
    ]
    by_copy = [list(of_copy) for of_copy in zip(*errors, strict=True)]
    reached = np.array([_reached(e, d) for e, d in zip(by_copy, patterns, strict=True)])
    shares = tuple(float(share) for share in reached.max(axis=0))
    return Filter(fault, layer, patterns[0], tuple(by_copy[0]), shares)


def _reached(errors: list[Array], direction: Array) -> list[float]:
    """The share of each evaluation, or what it would be with the errors' signs drawn at random."""
    gram = _gram([*errors, direction])
    whole = float(gram[-1, -1])
    return [
        max(abs(_share(gram, index)), float(np.linalg.norm(error * direction)) / whole)
        for index, error in enumerate(errors)
    ]


def _gram(arrays: list[Array]) -> Array:
    """Products of each two of the arrays."""
    flat = np.stack([array.ravel() for array in arrays])
    result: Array = flat @ flat.T
    return result


def _share(gram: Array, index: int) -> float:
    """The share of one error, with what the other errors have in common with the pattern left out.

    Args:
        gram: of errors, then of the pattern.
        index: which of the errors.
    """
    others = [i for i in range(len(gram) - 1) if i != index]
    inverse = np.linalg.pinv(gram[np.ix_(others, others)], rcond=1e-9, hermitian=True)
    known = inverse @ gram[others, -1]
    whole = gram[-1, -1] - gram[-1, others] @ known
    if not whole > 1e-9 * gram[-1, -1]:
        return float("inf")  # nothing of the pattern is left: it is a legitimate one
    return float((gram[index, -1] - gram[index, others] @ known) / whole)


def _margin(shares: Iterable[float]) -> float:
    allowed = MAX_FACTOR * max(shares, default=float("inf"))
    return 1 / allowed if allowed else float("inf")


def layers_of(fault: Fault, n_layer: int) -> list[int]:
    """The blocks in which a fault may be; one where it is outside blocks."""
    return list(range(n_layer)) if "{layer}" in fault.tap else [0]


def matched_checks(
    found: Mapping[str, Array], faults: Iterable[Fault], expected: Expectation
) -> Iterator[tuple[Check, Alarms]]:
    """Judge a candidate's forced trace by each fault's filter, in every block where it is sharp.

    Args:
        found: the candidate's forced trace.
        faults: those that the bounds do not tell.
        expected: what the case is compared with; without `drawn` nothing is judged.

    Yields:
        A check, and what its filter makes of correct evaluations.
    """
    if expected.drawn is None:
        return
    for fault in faults:
        for layer in layers_of(fault, expected.oracle.config.n_layer):
            tap = fault.blamed(layer)
            result = found.get(tap)
            if result is None or result.dtype != DTYPES[expected.dtype]:
                continue  # which fails as such
            filter_ = matched_filter(fault, layer, expected.oracle, expected.drawn)
            if filter_ is not None and filter_.sharp:
                yield _check(filter_, result, expected), filter_.alarms()


def _check(filter_: Filter, found: Array, expected: Expectation) -> Check:
    share = filter_.share(found, expected.isolated[filter_.tap])
    passed = share <= FARTHEST
    fault = filter_.fault
    details: dict[str, object] = {"fault": fault.id, "share": share, "margin": filter_.margin}
    if not passed:
        details["diagnosis"] = (
            f"{in_words(filter_.tap)}: {fault.explanation(expected.oracle.config)}"
        )
    return Check(
        case=expected.case.name,
        mode="matched",
        tap=filter_.tap,
        verdict="PASS" if passed else "FAIL",
        layer=filter_.layer,
        shape=found.shape,
        dtype=expected.dtype,
        used=abs(share) / FARTHEST,
        message="" if passed else f"{share:.0%} of the way from GPT-2 to {fault.id}",
        details=details,
    )
