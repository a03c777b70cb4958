"""The checks of one case: in isolation, running free, the graph that ships, and its logits."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from reference.taps import LOGITS, layer_of
from verify.checks.logits import logits_check
from verify.judge.acceptance import Envelope, judge
from verify.judge.metrics import errors
from verify.judge.verdict import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference.trace import Array, Trace
    from verify.candidate.graphs import BoundCandidate
    from verify.truth.cases import Case
    from verify.truth.expectation import Expectation


def check_case(
    case: Case, candidate: BoundCandidate, expected: Expectation, dtype: str
) -> Iterator[Check]:
    """Every check of one case, in the order of execution.

    Args:
        case: the input.
        candidate: the model under test, with its weights.
        expected: what it is compared with.
        dtype: the precision that the candidate declares.
    """
    forced = candidate.forced_trace(case.ids, expected.given)
    for tap in expected.isolated:
        if tap in forced:
            yield array_check(
                case, "isolated", tap, forced[tap], expected.isolated[tap],
                expected.torch_isolated[tap], expected.isolated_envelope[tap], dtype,
            )  # fmt: skip
    if not expected.free:
        return
    tapped_logits, trace = candidate.trace(case.ids)
    yield from _free_checks(case, trace, expected, dtype)
    logits = candidate.logits(case.ids)
    yield array_check(
        case, "plain", LOGITS, logits, expected.free[LOGITS],
        expected.torch_free[LOGITS], expected.free_envelope[LOGITS], dtype,
    )  # fmt: skip
    yield _observer_check(case, logits, tapped_logits, dtype)
    yield logits_check(case, logits, expected, dtype)


def _free_checks(case: Case, trace: Trace, expected: Expectation, dtype: str) -> Iterator[Check]:
    for tap in expected.free_taps:
        if tap in trace:
            yield array_check(
                case, "free", tap, trace[tap], expected.free[tap],
                expected.torch_free[tap], expected.free_envelope[tap], dtype,
            )  # fmt: skip


def array_check(
    case: Case,
    mode: str,
    tap: str,
    found: Array,
    truth: Array,
    torch_found: Array,
    envelope: Envelope,
    dtype: str,
) -> Check:
    """Judge one array and put PyTorch's error beside it."""
    judgement = judge(found, truth, envelope, dtype)
    torch_errors = errors(torch_found, truth, torch_found.dtype)
    own = asdict(judgement.errors) if judgement.errors else {}
    comparable = bool(own and torch_errors.rms)
    return Check(
        case=case.name,
        mode=mode,
        tap=tap,
        verdict=judgement.verdict,
        layer=layer_of(tap),
        shape=found.shape,
        dtype=str(found.dtype),
        **own,
        **{f"torch_{name}": value for name, value in asdict(torch_errors).items()},
        envelope_max=envelope.max,
        envelope_rms=envelope.rms,
        ratio=own["rms"] / torch_errors.rms if comparable else None,
        used=judgement.used,
        message=judgement.message,
    )


def _observer_check(case: Case, plain: Array, tapped: Array, dtype: str) -> Check:
    """How much looking changes: a figure, no verdict of its own; both graphs are judged."""
    difference = float(np.abs(plain.astype(float) - tapped).max(initial=0.0))
    return Check(
        case=case.name,
        mode="observer",
        tap=LOGITS,
        verdict="PASS" if np.isfinite(difference) else "FAIL",
        shape=plain.shape,
        dtype=dtype,
        max_abs=difference,
        message="" if np.isfinite(difference) else "NaN",
    )
