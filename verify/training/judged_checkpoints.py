"""Each checkpoint judged as `python -m verify` judges a model, and what that comes to.

used(step, place)   error of MAX over what is allowed, the place alone, in its worst case
parity(step)        the largest of them: above 1 the checkpoint fails
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reference.checkpoint import weights_sha256
from reference.taps import short_name
from reports.tables.numbers import percent
from verify.mathematics import sizes_of
from verify.outcome import divergence_record
from verify.run import Plan, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from verify.judge.verdict import Check, Verdict
    from verify.outcome import Outcome
    from verify.training.found_checkpoints import FoundCheckpoint
    from verify.training.one_program import OneProgram


@dataclass(frozen=True, slots=True)
class JudgedCheckpoint:
    """A checkpoint with what a verification found of it.

    Attributes:
        found: the checkpoint.
        sha256: of its weights.
        outcome: of its verification.
        seconds: that it took, compiling included.
        bind_s: seconds of binding its weights to the program; None where nothing was compiled.
    """

    found: FoundCheckpoint
    sha256: str
    outcome: Outcome
    seconds: float
    bind_s: float | None

    def record(self) -> dict[str, Any]:
        """As a run's records have it."""
        compiled, mathematics = self._places("isolated"), self._places("math")
        worst = max(compiled.values(), key=_used, default=None)
        logits = [c.details or {} for c in self.outcome.checks if c.mode == "logits"]
        told = self.found.told
        return {
            "step": self.found.step,
            "name": self.found.name,
            "sha256": self.sha256,
            "verdict": self.outcome.verdict,
            "first_divergence": divergence_record(self.outcome),
            "checks": sum(check.verdict != "SKIP" for check in self.outcome.checks),
            "passed": sum(check.verdict == "PASS" for check in self.outcome.checks),
            "used": _used(worst) if worst else None,
            "tap": worst.tap if worst else None,
            "case": worst.case if worst else None,
            "median_used": _median(compiled.values()),
            "free_used": max(map(_used, self._places("free").values()), default=None),
            "math_used": max(map(_used, mathematics.values()), default=None),
            "kl_max": max((one["kl_max"] for one in logits), default=None),
            "places": {tap: _used(check) for tap, check in compiled.items()},
            "bind_s": self.bind_s,
            "seconds": self.seconds,
            "sample": told.get("sample"),
            "merged": told.get("merged"),
        }

    def _places(self, mode: str) -> dict[str, Check]:
        """Of each place the check of one mode that uses most of what is allowed."""
        worst: dict[str, Check] = {}
        for check in self.outcome.checks:
            if check.mode == mode and (check.used is not None or check.verdict == "FAIL"):
                known = worst.get(check.tap)
                if known is None or _used(check) > _used(known):
                    worst[check.tap] = check
        return worst


def judge_checkpoint(
    found: FoundCheckpoint,
    program: OneProgram,
    device: str,
    *,
    seed: int,
    quick: bool,
    status: Callable[[str], None],
) -> JudgedCheckpoint:
    """Verify one checkpoint.

    Args:
        found: the checkpoint.
        program: of its configuration; it is compiled by the first checkpoint that comes so far.
        device: its name.
        seed: draws the inputs, which are the same for every checkpoint.
        quick: whether the mathematics alone is judged, and nothing compiled.
        status: called with a few words whenever a new part begins.

    Raises:
        CheckpointError: where it cannot be read.
    """
    started = time.monotonic()
    checkpoint = found.load()
    plan = Plan(
        checkpoint=checkpoint,
        devices=[device],
        regimes=("given",),
        sizes=sizes_of(checkpoint.config, first=True),
        seed=seed,
        prepared={device: program},
        quick=quick,
        power=False,
    )
    program.bind_s = None
    outcome = verify(plan, lambda _: None, lambda text: status(f"{found.name}: {text}"))
    seconds = time.monotonic() - started
    sha256 = weights_sha256(checkpoint.weights)
    return JudgedCheckpoint(found, sha256, outcome, seconds, program.bind_s)


def verdict_of(records: Sequence[dict[str, Any]]) -> Verdict:
    """FAIL before ERROR before UNDERPOWERED before PASS."""
    found = {record["verdict"] for record in records}
    order: tuple[Verdict, ...] = ("FAIL", "ERROR", "UNDERPOWERED")
    return next((verdict for verdict in order if verdict in found), "PASS")


def line_of(record: dict[str, Any]) -> str:
    """A checkpoint in a line, for the terminal."""
    parts = [f"{record['name']}: {record['verdict']}"]
    if record["used"] is not None:
        parts.append(_worst(record))
    if record["math_used"] is not None:
        parts.append(f"mathematics {percent(record['math_used'])}")
    if record["bind_s"] is not None:
        parts.append(f"weights bound in {1e3 * record['bind_s']:.0f} ms")
    return ", ".join([*parts, f"{record['passed']} of {record['checks']} checks pass"])


def summed(records: Sequence[dict[str, Any]], programs: int) -> dict[str, Any]:
    """The run's end: the verdict, how many programs were compiled, and the worst of all places."""
    judged = [record for record in records if record["used"] is not None]
    worst = max(judged, key=lambda record: float(record["used"]), default=None)
    passed = sum(record["verdict"] == "PASS" for record in records)
    line = f"{passed} of {len(records)} checkpoints pass"
    if worst:
        line += f"; {_worst(worst)} of {worst['name']}"
    return {
        "verdict": verdict_of(records),
        "line": line,
        "checkpoints": len(records),
        "programs": programs,
        "worst": {name: worst[name] for name in ("step", "tap", "case", "used")} if worst else None,
    }


def _worst(record: dict[str, Any]) -> str:
    return f"at most {percent(record['used'])} of the allowed error, at {short_name(record['tap'])}"


def _median(checks: Collection[Check]) -> float | None:
    """Over the places that compute: what only hands on has no error."""
    return statistics.median([_used(c) for c in checks if c.used] or [0.0]) if checks else None


def _used(check: Check) -> float:
    """The share of the allowed error; what is NaN, or of another shape, uses more than any."""
    used = float("inf") if check.used is None else float(check.used)
    return float("inf") if used != used else used
