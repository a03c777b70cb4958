"""Checks of a whole model: its parameters, two float64 models, and which places are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reference.taps import LOGITS
from verify.judge.acceptance import judge
from verify.judge.verdict import Check
from verify.pairing.translated import PairedCandidate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reference.trace import Array
    from verify.candidate.model_graphs import BoundCandidate, Candidate
    from verify.truth.cases import Case
    from verify.truth.expectation import Expectation
    from verify.truth.references import References


def distance_to_nine(case: Case) -> int:
    """Nine tokens are enough to compare the two float64 models, and cost little."""
    return abs(case.ids.size - 9)


def parameters_check(case: str, bound: BoundCandidate, weights: dict[str, Array]) -> Check:
    """Every parameter, read back from the compiled program, is the one that was loaded."""
    held = bound.parameters()
    names = sorted(held.keys() ^ weights.keys())
    changed = [
        name
        for name in held.keys() & weights.keys()
        if not np.array_equal(held[name], weights[name])
    ]
    wrong = names + sorted(changed)
    return Check(
        case=case,
        mode="parameters",
        tap="",
        verdict="FAIL" if wrong else "PASS",
        message=f"not as loaded: {', '.join(wrong[:3])}" if wrong else "",
        details={"parameters": len(held), "wrong": len(wrong)},
    )


def oracle_check(name: str, references: References, case: Case) -> Check:
    """The NumPy oracle and Hugging Face in float64 are one model, else nothing can be judged.

    Args:
        name: what the check is called after.
        references: hold both models.
        case: the input that both read.
    """
    tap, judgement = references.oracle_disagreement(case)
    agreed = judgement.verdict == "PASS"
    found = judgement.errors
    return Check(
        case=name,
        mode="oracle",
        tap=tap,
        verdict="PASS" if agreed else "ERROR",
        dtype="float64",
        used=judgement.used,
        relative=found.relative if found else None,
        message="" if agreed else f"the two float64 models differ at {tap}: {judgement.message}",
    )


def coverage_checks(
    candidate: Candidate | PairedCandidate, expected: Mapping[str, str], unknown: Sequence[str]
) -> Iterator[Check]:
    """Every tap of one side has its counterpart, or is excused by name.

    Args:
        candidate: the model under test.
        expected: every tap of the reference, with the reason where it is excused.
        unknown: taps of the candidate that the reference does not have.
    """
    if isinstance(candidate, PairedCandidate):
        yield from padding_checks(candidate)
        yield from (_unheld_failure(name) for name in candidate.pairing.unheld)
    for tap, excuse in expected.items():
        if not excuse and tap not in candidate.forced_taps:
            yield _coverage_failure(tap, "the candidate has no such place")
    for tap in unknown:
        yield _coverage_failure(tap, "the reference has no such place")


def padding_checks(candidate: PairedCandidate) -> Iterator[Check]:
    """What of a padded vocabulary is left out of the comparison, where it is.

    Args:
        candidate: the model under test.
    """
    padding = candidate.outline.padding
    if padding is not None:
        head, message = candidate.reference.head[0], padding.in_words()
        yield Check(case="coverage", mode="coverage", tap=head, verdict="PASS", message=message)


def reach_checks(cases: Sequence[Case], n_positions: int) -> Iterator[Check]:
    """What a run cannot see where it has no input as long as the model takes.

    Args:
        cases: of the run.
        n_positions: the most tokens that the model takes.
    """
    longest = max(case.ids.shape[1] for case in cases)
    if longest < n_positions:
        message = (
            f"no input is longer than {longest} of the model's {n_positions} tokens: what is wrong "
            "beyond, a window or where positions end, was not seen"
        )
        yield Check(case="coverage", mode="coverage", tap="", verdict="SKIP", message=message)


def spared_check(spared: Sequence[str], found: Array, expected: Expectation) -> Check:
    """Biases of keys that the candidate leaves out, to which softmax is blind: is that so here?

    Args:
        spared: the parameters that hold them.
        found: the logits of the reference without those biases, in float64.
        expected: of the reference with them, in float64.
    """
    judgement = judge(found, expected.free[LOGITS], expected.free_envelope[LOGITS], "float64")
    distance = judgement.errors.relative if judgement.errors else None
    message = f"{len(spared)} biases of keys are left out, to which softmax is blind"
    if distance is not None:
        message += f": the logits of the reference without them differ by {distance:.1e}"
    return Check(
        case="coverage", mode="coverage", tap=spared[0], verdict=judgement.verdict,
        used=judgement.used, relative=distance, message=message,
    )  # fmt: skip


def _unheld_failure(name: str) -> Check:
    """A parameter of the reference that the candidate lacks."""
    message = f"the candidate holds no parameter for {name}"
    return Check(case="coverage", mode="coverage", tap=name, verdict="FAIL", message=message)


def _coverage_failure(tap: str, message: str) -> Check:
    return Check(case="coverage", mode="coverage", tap=tap, verdict="FAIL", message=message)
