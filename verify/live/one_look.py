"""One look of `--watch`, in a process of its own: made ready, then told to go on."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from reference.load import load
from reference.regimes import with_regime
from reports.saved.files import write_json
from verify.candidate.guard import CandidateError
from verify.candidate.sandbox import wait_for_word
from verify.mathematics import cases_of, runs_free, sizes_of
from verify.pairing.candidate_apart import stand_by
from verify.run import Plan, verify
from verify.screen.printed import frame_of_outcome, map_of
from verify.truth.float64 import Mathematics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from reference.checkpoint import Checkpoint
    from verify.outcome import Outcome
    from verify.pairing.prepare import NamedCandidate


def judge_once(
    model: str, revision: str | None, regimes: Sequence[str] | None, seed: int,
    named: Callable[[Checkpoint], NamedCandidate], to: Path,
) -> None:  # fmt: skip
    """Make ready, wait for the word, judge, and write down what came of it.

    Args:
        model: names the checkpoint.
        revision: of it, on the hub.
        regimes: states of the weights; None for the first and the hardest.
        seed: draws regimes and inputs.
        named: imports the candidate.
        to: JSON file for `verify.live.watch`.
    """
    checkpoint = load(model, revision=revision)
    chosen = tuple(regimes or ("given", "stress"))
    with threadpool_limits(1, "blas"):
        truths = {regime: _truth(checkpoint, regime, seed) for regime in chosen}
    stand_by()
    wait_for_word()
    try:
        subject = named(checkpoint)
        plan = Plan(
            checkpoint=checkpoint, regimes=chosen, seed=seed, subject=subject,
            quick=True, power=False, truths=truths,
        )  # fmt: skip
        outcome = verify(plan, emit=lambda _: None)
        write_json(to, {**_verdict(outcome), "files": subject.files})
    except CandidateError as error:
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
        write_json(to, {"verdict": "ERROR", "message": f"{error}{notes}", "files": error.files})


def _truth(checkpoint: Checkpoint, regime: str, seed: int) -> Mathematics:
    """What a regime's cases are compared with, computed before the candidate is known."""
    config = checkpoint.config
    cases = cases_of(config, regime, sizes_of(config, first=regime == "given"), seed)
    truth = Mathematics(with_regime(checkpoint, regime, seed=seed), kept=len(cases))
    for case in cases:
        # A candidate with a module for each place is cut at all of them.
        truth.expectation(case, truth.oracle.output_taps(), free=runs_free(case, config))
    return truth


def _verdict(outcome: Outcome) -> dict[str, Any]:
    divergence = outcome.first_divergence
    alone = [check for check in outcome.checks if check.mode == "math"]
    wrong = {check.tap for check in alone if check.verdict == "FAIL"}
    return {
        "verdict": outcome.verdict,
        "message": divergence.message if divergence else "",
        "diagnosis": (divergence.diagnosis or "") if divergence else "",
        "wrong": [tap for tap in outcome.order if tap in wrong],
        "places": len({check.tap for check in alone}),
        "map": asdict(map_of(outcome, frame_of_outcome(outcome))),
        "notes": outcome.notes,
    }
