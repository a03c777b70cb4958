"""The checks of one case: in isolation, running free, the graph that ships, and its logits."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.oracle import cross_entropy
from verify.metrics import errors
from verify.rule import MAX_FACTOR, Check, Envelope, judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference.trace import Array, Trace
    from verify.candidate import BoundCandidate
    from verify.cases import Case
    from verify.references import Expectation

LOGITS = "lm_head"
TOP = 5


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


def logits_check(case: Case, logits: Array, expected: Expectation, dtype: str) -> Check:
    """Do the logits mean the same? KL divergence, top-1 and top-5.

    A changed first choice passes only where the oracle's own lead over its second is no more than
    twice the largest error: an error in each of the two can then turn them round.
    """
    truth = expected.free[LOGITS]
    if logits.shape != truth.shape or not np.isfinite(logits).all():
        return Check(
            case=case.name, mode="logits", tap=LOGITS, verdict="FAIL", shape=logits.shape,
            dtype=dtype, message="logits of another shape, or not finite",
        )  # fmt: skip
    logits = logits.astype(np.float64)
    divergence = kl_divergence(truth, logits)
    flips, excused = _top1_flips(truth, logits, expected.free_envelope[LOGITS])
    details = {
        "kl_mean": float(divergence.mean()),
        "kl_p95": float(np.quantile(divergence, 0.95)),
        "kl_max": float(divergence.max()),
        "torch_kl_mean": float(kl_divergence(truth, expected.torch_free[LOGITS]).mean()),
        "top1_flips": flips,
        "top1_flips_excused": excused,
        "top5_agreement": _top_agreement(truth, logits),
        "positions": int(divergence.size),
    }
    return Check(
        case=case.name,
        mode="logits",
        tap=LOGITS,
        verdict="PASS" if flips == excused else "FAIL",
        shape=logits.shape,
        dtype=dtype,
        message="" if flips == excused else f"{flips - excused} first choices changed",
        details=details,
    )


def kl_divergence(truth: Array, logits: Array) -> Array:
    """KL(softmax(truth) || softmax(logits)) in nats, for each position, in float64."""
    p, q = _log_softmax(truth), _log_softmax(logits)
    # Rounding can leave a sum of nearly equal terms just below zero.
    return np.maximum((np.exp(p) * (p - q)).sum(axis=-1), 0.0)


def _log_softmax(logits: Array) -> Array:
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def _top1_flips(truth: Array, logits: Array, envelope: Envelope) -> tuple[int, int]:
    """How many first choices changed, and how many of those were too close to call.

    The error that may excuse a flip is capped at what the rule allows, so that a model that is far
    off cannot excuse itself.
    """
    first, found = truth.argmax(axis=-1), logits.argmax(axis=-1)
    flipped = first != found
    error = np.abs(logits - truth).max(axis=-1)
    allowed = np.minimum(error, MAX_FACTOR * envelope.max)
    lead = _at(truth, first) - _at(truth, found)
    return int(flipped.sum()), int((flipped & (lead <= 2 * allowed)).sum())


def _at(array: Array, index: Array) -> Array:
    return np.take_along_axis(array, index[..., None], axis=-1)[..., 0]


def _top_agreement(truth: Array, logits: Array) -> float:
    """Share of the oracle's five best tokens that are among the candidate's five best."""
    count = min(TOP, truth.shape[-1])
    best = np.argpartition(-truth, count - 1, axis=-1)[..., :count]
    found = np.argpartition(-logits, count - 1, axis=-1)[..., :count]
    return float((best[..., :, None] == found[..., None, :]).any(axis=-1).mean())


def perplexity_check(case: Case, logits: Array, expected: Expectation, dtype: str) -> Check:
    """Perplexity on text, against the oracle's.

    log softmax moves by at most twice the largest change of a logit, so the mean loss of a
    candidate within the rule moves by at most twice what the rule allows a logit.
    """
    targets = case.ids[:, 1:]
    loss, truth, torch_loss = (
        float(cross_entropy(array[:, :-1], targets).mean())
        for array in (logits, expected.free[LOGITS], expected.torch_free[LOGITS])
    )
    allowed = 2 * MAX_FACTOR * expected.free_envelope[LOGITS].max
    difference = abs(loss - truth)
    passed = difference <= allowed
    details: dict[str, Any] = {
        "perplexity": float(np.exp(loss)),
        "oracle_perplexity": float(np.exp(truth)),
        "torch_perplexity": float(np.exp(torch_loss)),
        "tokens": int(targets.size),
    }
    return Check(
        case=case.name,
        mode="perplexity",
        tap=LOGITS,
        verdict="PASS" if passed else "FAIL",
        dtype=dtype,
        max_abs=difference,
        torch_max_abs=abs(torch_loss - truth),
        used=difference / allowed,
        message="" if passed else f"perplexity {np.exp(loss):.4f}, not {np.exp(truth):.4f}",
        details=details,
    )


def layer_of(tap: str) -> int | None:
    """The number of the block that a tap lies in."""
    found = re.search(r"\.h\.(\d+)", tap)
    return int(found[1]) if found else None
