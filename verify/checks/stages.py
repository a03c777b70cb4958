"""The checks of one case: in isolation, running free, the graph that ships, and its logits."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from reference.taps import LOGITS, layer_of
from verify.checks.logits import logits_check
from verify.judge.acceptance import judge
from verify.judge.metrics import errors
from verify.judge.verdict import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference.trace import Array
    from verify.candidate.observation import Observation
    from verify.truth.cases import Case
    from verify.truth.expectation import Expectation, Standard


def check_case(observed: Observation, expected: Expectation) -> Iterator[Check]:
    """Every check of one case, in the order of execution.

    Args:
        observed: what the model under test computes on it.
        expected: what that is compared with.
    """
    # First what computes alone, so that no kernel can keep what the stages are given.
    _ = (observed.logits, observed.free) if expected.free else None
    forced = observed.forced
    for tap in expected.isolated:
        if tap in forced:
            yield _check(expected, "isolated", tap, forced[tap])
    if not expected.free:
        return
    for tap in expected.free_taps:
        if tap in observed.free:
            yield _check(expected, "free", tap, observed.free[tap])
    yield _check(expected, "plain", expected.head, observed.logits)
    if expected.torch_free:  # in float64 neither fusing nor distributions are in question
        yield _observer_check(observed, expected)
        yield logits_check(observed.logits, expected)


def _check(expected: Expectation, mode: str, tap: str, found: Array) -> Check:
    standard = expected.at(tap, alone=mode == "isolated")
    return array_check(expected.case, mode, tap, found, standard, expected.dtype)


def array_check(
    case: Case, mode: str, tap: str, found: Array, standard: Standard, dtype: str
) -> Check:
    """Judge one array, and record PyTorch's error with it.

    Args:
        case: the input.
        mode: the kind of check, as records name it.
        tap: where.
        found: the candidate's result.
        standard: what it is compared with.
        dtype: the precision that the candidate declares.
    """
    judgement = judge(found, standard.truth, standard.envelope, dtype)
    own = asdict(judgement.errors) if judgement.errors else {}
    torch = standard.torch
    theirs = {} if torch is None else asdict(errors(torch, standard.truth, torch.dtype))
    comparable = bool(own and theirs.get("rms"))
    return Check(
        case=case.name,
        mode=mode,
        tap=tap,
        verdict=judgement.verdict,
        layer=layer_of(tap),
        shape=found.shape,
        dtype=str(found.dtype),
        **own,
        **{f"torch_{name}": value for name, value in theirs.items()},
        envelope_max=standard.envelope.max,
        envelope_rms=standard.envelope.rms,
        ratio=own["rms"] / theirs["rms"] if comparable else None,
        used=judgement.used,
        message=judgement.message,
    )


def _observer_check(observed: Observation, expected: Expectation) -> Check:
    """How much looking changes: a figure, which fails only where it is NaN; both are judged."""
    plain = observed.logits
    difference = float(np.abs(plain.astype(float) - observed.tapped_logits).max(initial=0.0))
    return Check(
        case=expected.case.name,
        mode="observer",
        tap=LOGITS,
        verdict="PASS" if np.isfinite(difference) else "FAIL",
        shape=plain.shape,
        dtype=expected.dtype,
        max_abs=difference,
        message="" if np.isfinite(difference) else "one of both is NaN or infinite",
    )
