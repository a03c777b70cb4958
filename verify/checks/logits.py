"""Checks of the logits: what they mean as distributions, and the perplexity of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reference.oracle import cross_entropy
from verify.judge.acceptance import MAX_FACTOR, Envelope
from verify.judge.metrics import kl_divergence
from verify.judge.verdict import Check

if TYPE_CHECKING:
    from reference.trace import Array
    from verify.truth.expectation import Expectation

TOP = 5


def logits_check(logits: Array, expected: Expectation) -> Check:
    """Do the logits mean the same? KL divergence, top-1 and top-5.

    A changed first choice passes only where the oracle's own lead over its second is no more than
    twice the largest error: an error in each of the two can then turn them round.
    """
    truth = expected.free[expected.head]
    if logits.shape != truth.shape or not np.isfinite(logits).all():
        return Check(
            case=expected.case.name, mode="logits", tap=expected.head, verdict="FAIL",
            shape=logits.shape, dtype=expected.dtype,
            message="logits of another shape, or not finite",
        )  # fmt: skip
    logits = logits.astype(np.float64)
    divergence = kl_divergence(truth, logits)
    flips, excused = _top1_flips(truth, logits, expected.free_envelope[expected.head])
    details = {
        "kl_mean": float(divergence.mean()),
        "kl_p95": float(np.quantile(divergence, 0.95)),
        "kl_max": float(divergence.max()),
        "torch_kl_mean": float(kl_divergence(truth, expected.torch_free[expected.head]).mean()),
        "top1_flips": flips,
        "top1_flips_excused": excused,
        "top5_agreement": _top_agreement(truth, logits),
        "positions": int(divergence.size),
    }
    return Check(
        case=expected.case.name,
        mode="logits",
        tap=expected.head,
        verdict="PASS" if flips == excused else "FAIL",
        shape=logits.shape,
        dtype=expected.dtype,
        message="" if flips == excused else f"{flips - excused} first choices changed",
        details=details,
    )


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


def perplexity_check(logits: Array, expected: Expectation) -> Check:
    """Perplexity on text, against the oracle's.

    log softmax moves by at most twice the largest change of a logit, so the mean loss of a
    candidate within the rule moves by at most twice what the rule allows a logit.
    """
    targets = expected.case.ids[:, 1:]
    loss, truth, torch_loss = (
        float(cross_entropy(array[:, :-1], targets).mean())
        for array in (logits, expected.free[expected.head], expected.torch_free[expected.head])
    )
    allowed = 2 * MAX_FACTOR * expected.free_envelope[expected.head].max
    difference = abs(loss - truth)
    passed = difference <= allowed
    details: dict[str, Any] = {
        "perplexity": float(np.exp(loss)),
        "oracle_perplexity": float(np.exp(truth)),
        "torch_perplexity": float(np.exp(torch_loss)),
        "tokens": int(targets.size),
    }
    return Check(
        case=expected.case.name,
        mode="perplexity",
        tap=expected.head,
        verdict="PASS" if passed else "FAIL",
        dtype=expected.dtype,
        max_abs=difference,
        torch_max_abs=abs(torch_loss - truth),
        used=difference / allowed,
        message="" if passed else f"perplexity {np.exp(loss):.4f}, not {np.exp(truth):.4f}",
        details=details,
    )
