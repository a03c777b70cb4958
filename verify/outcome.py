"""What a run found: its checks, its verdict, and the first divergence."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from reference.taps import in_words
from verify.artefacts import Artefacts
from verify.checks.blame import GRAPH, MODES
from verify.explain.collected import Collected
from verify.faults.controls import LowerPrecisions
from verify.faults.power import Power
from verify.mutants.mutation_score import Mutants
from verify.pairing.translated import PairedCandidate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from reference.trace import Array
    from verify.candidate.model_graphs import Candidate
    from verify.checks.blame import Blame, Party
    from verify.explain.diagnosis import Finding
    from verify.judge.verdict import Check, Verdict
    from verify.locate.listing import Listing
    from verify.pairing.counterpart import Pairing
    from verify.truth.float64 import Mathematics
    from verify.truth.references import References

MATHEMATICS = "math"
"""Begins the modes of checks of the traced graph, which nobody has compiled."""

ALONE = ("math", "isolated", "matched")
"""Checks that judge a stage alone."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first stage, in the order of execution, that is wrong.

    Attributes:
        case: the name of the check's case.
        tap: the place.
        message: where and how much, in words.
        diagnosis: what is computed instead, where that is known.
        blame: whether it is MAX's or the port's, with the evidence; None where nothing is known.
        blamed_on: `compiler`, `graph` or `precision` (`verify.checks.blame`).
    """

    case: str
    tap: str
    message: str
    diagnosis: str | None = None
    blame: str | None = None
    blamed_on: Party | None = None


@dataclass(slots=True)
class Outcome:
    """What a run found; it grows while the run goes on.

    Attributes:
        checks: every check, in the order in which it was made.
        order: taps in the order of execution.
        expected: every tap of the reference, with the reason where it is excused.
        unknown: taps of the candidate that the reference lacks.
        power: what the run could have noticed.
        mathematics_power: what it could have noticed in the graph, evaluated in float64.
        mutants: of the candidate's graph, and which of them were caught.
        compiled: whether anything was compiled, rather than the mathematics alone judged.
        artefacts: arrays for the report.
        pairing: a candidate's counterparts; None for the model of `impl`.
        cache_faults: for each fault of a cache, the check with the largest margin so far.
        lowered: where results of a lower precision were rejected.
        failures: stages that fail alone, kept until they are explained.
        findings: what those compute instead, the first first.
        listing: the graph of the first of them, where it is known.
        notes: what a user should know of how the candidate was read.
    """

    checks: list[Check] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    expected: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    power: Power = field(default_factory=Power)
    mathematics_power: Power = field(default_factory=Power)
    mutants: Mutants = field(default_factory=Mutants)
    compiled: bool = False
    artefacts: Artefacts = field(default_factory=Artefacts)
    pairing: Pairing | None = None
    cache_faults: dict[str, Check] = field(default_factory=dict)
    lowered: LowerPrecisions = field(default_factory=LowerPrecisions)
    failures: Collected = field(default_factory=Collected)
    findings: list[Finding] = field(default_factory=list)
    listing: Listing | None = None
    notes: list[str] = field(default_factory=list)

    def explain(self) -> None:
        """Say what the stages that failed so far have in common, unless that is said already."""
        if not self.findings:
            self.findings, self.listing = self.failures.explained()
        self.failures = Collected()

    def explanations(self) -> Iterator[dict[str, Any]]:
        """One record for each finding, and one for the graph of the first failing stage."""
        for finding in self.findings:
            yield finding.record()
        if self.listing:
            yield self.listing.record()

    def look_for_places(
        self,
        candidate: Candidate | PairedCandidate,
        references: References | Mathematics,
        ids: Array,
    ) -> None:
        """Find out which places there are on both sides, and in which order they are computed."""
        self.order = list(references.oracle.trace(ids))
        self.expected = references.expected_taps(ids)
        if isinstance(candidate, PairedCandidate):
            self.pairing = candidate.pairing
            self.notes = candidate.notes
            self.expected |= candidate.excused(self.expected)
        self.unknown = [tap for tap in candidate.forced_taps if tap not in self.expected]

    def keep_cache_fault(self, check: Check) -> None:
        """Keep the check of a cache's fault, if its margin is the largest so far."""
        known = self.cache_faults.get(check.case)
        if known is None or _margin(check) > _margin(known):
            self.cache_faults[check.case] = check

    @property
    def verdict(self) -> Verdict:
        """FAIL before ERROR before UNDERPOWERED before PASS; ERROR if nothing was judged."""
        found = {check.verdict for check in self.checks}
        for verdict in ("FAIL", "ERROR", "UNDERPOWERED"):
            if verdict in found:
                return verdict
        return "PASS" if "PASS" in found else "ERROR"

    @property
    def first_divergence(self) -> Divergence | None:
        """The earliest stage that fails in isolation; if none does, the earliest failure."""
        first = self.earliest(self.checks)
        if first is None:
            return None
        details = first.details or {}
        of_graph = first.mode.startswith(MATHEMATICS) and "blame" not in details
        said = [finding.text for finding in self.findings if finding.tap == first.tap]
        return Divergence(
            case=first.case,
            tap=first.tap,
            message=f"{_place(first)}: {first.message}",
            diagnosis=details.get("diagnosis") or next(iter(said), None),
            blame=GRAPH if of_graph else details.get("blame"),
            blamed_on="graph" if of_graph else details.get("blamed_on"),
        )

    def earliest(self, checks: Iterable[Check]) -> Check | None:
        """Of checks that failed, the one that tells most: None where none did."""
        failed = [check for check in checks if check.verdict == "FAIL"]
        return min(failed, key=self.rank, default=None)

    def blamed(self, checks: list[Check], blame: Callable[[Check], Blame]) -> list[Check]:
        """The checks of a case; the first that fails with whose it is, if none before tells more.

        Args:
            checks: which the run does not have yet.
            blame: tells whose a failing check is.
        """
        first = self.earliest(check for check in checks if check.mode in MODES)
        known = self.earliest(self.checks)
        if first is None or (known is not None and self.rank(known) <= self.rank(first)):
            return checks
        told = blame(first).on(first)
        return [told if check is first else check for check in checks]

    def rank(self, check: Check) -> tuple[bool, int, bool]:
        """The smaller, the more a failing check tells of where a run first went wrong."""
        place = {tap: index for index, tap in enumerate(self.order)}
        return (
            check.mode not in ALONE,
            place.get(check.tap, len(place)),
            "diagnosis" not in (check.details or {}),
        )

    @property
    def observer_effect(self) -> float | None:
        """Largest difference that tapping made to a logit."""
        return max((c.max_abs or 0.0 for c in self.checks if c.mode == "observer"), default=None)

    def more(self) -> dict[str, Any]:
        """What a kind of run tells at its end besides."""
        return {}

    def coverage(self) -> dict[str, Any]:
        """How many of the reference's taps were compared, and why the others were not."""
        compared = {
            check.tap for check in self.checks if check.tap and check.mode in ("math", "isolated")
        }
        excused = [{"tap": tap, "reason": why} for tap, why in self.expected.items() if why]
        return {"expected": len(self.expected), "compared": len(compared), "excused": excused}


def _margin(check: Check) -> float:
    return float((check.details or {})["margin"])


def _place(check: Check) -> str:
    """Where a check lies, in words."""
    return f"{in_words(check.tap)} ({check.mode}, {check.case})"


def divergence_record(outcome: Outcome) -> dict[str, Any] | None:
    """The first divergence as records and `--json` have it; None where nothing fails."""
    divergence = outcome.first_divergence
    return asdict(divergence) if divergence else None


def report(outcome: Outcome, environment: dict[str, Any], schema_version: int) -> dict[str, Any]:
    """The outcome as `--json` writes it."""
    return {
        "schema_version": schema_version,
        "verdict": outcome.verdict,
        "compiled": outcome.compiled,
        "first_divergence": divergence_record(outcome),
        "coverage": outcome.coverage(),
        "notes": outcome.notes,
        "observer_effect": {"max_abs": outcome.observer_effect},
        "power": outcome.power.report(),
        "mutants": outcome.mutants.report(),
        "findings": [finding.record() for finding in outcome.findings],
        "graph": outcome.listing.record() if outcome.listing else None,
        **outcome.more(),
        "checks": [check.record() for check in outcome.checks],
        "environment": environment,
    }
