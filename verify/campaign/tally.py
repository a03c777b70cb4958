"""What a campaign draws for each seed, and what it counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.regimes import REGIMES
from verify.faults.power import Power, better
from verify.faults.sighting import Sighting
from verify.truth.alarms import Alarms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from impl.config import GPT2Config
    from verify.judge.verdict import Check

MODES = ("isolated", "free", "plain", "logits", "matched")
"""Checks that judge the candidate; the others look at the run itself."""

BATCHES = (1, 2, 3, 4, 5)

LONGEST = 48
"""Lengths are drawn up to here: beyond every tile of 32, and short enough for hundreds of seeds."""

FULL_LENGTH_SHARE = 0.05
"""Of the seeds, those whose length is all of the model's positions."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What one seed stands for."""

    seed: int
    regime: str
    batch: int
    length: int


def draw(config: GPT2Config, seed: int) -> Draw:
    """Draw a regime and a shape; the same seed always draws the same."""
    rng = np.random.default_rng([seed, 3])
    full = rng.random() < FULL_LENGTH_SHARE
    length = int(rng.integers(1, min(LONGEST, config.n_positions) + 1))
    return Draw(
        seed=seed,
        regime=str(rng.choice(REGIMES)),
        batch=int(rng.choice(BATCHES)),
        length=config.n_positions if full else length,
    )


@dataclass(frozen=True, slots=True)
class JudgedCheck:
    """One check of the campaign, with the seed that shows it again."""

    seed: int
    regime: str
    case: str
    mode: str
    tap: str
    used: float | None
    message: str

    def __str__(self) -> str:
        """Everything that is needed to see it again, in a line."""
        used = "-" if self.used is None else f"{self.used:.3f}"
        where = f"seed {self.seed}, {self.case}, {self.mode}, {self.tap}"
        return f"{where}: used {used} {self.message}".rstrip()


@dataclass(slots=True)
class Tally:
    """What a campaign found; it grows while the campaign goes on.

    Attributes:
        seeds: how many were finished.
        checks: judged, by mode.
        nearest: the check with the largest share of the allowed error, by mode.
        verdicts: of every check, by mode, in the order in which they were made.
        alarms: every check that did not pass.
        power: what was seen of each fault, by regime.
    """

    seeds: int = 0
    checks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODES, 0))
    nearest: dict[str, JudgedCheck] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    alarms: list[JudgedCheck] = field(default_factory=list)
    power: Power = field(default_factory=Power)

    def add(self, drawn: Draw, check: Check) -> JudgedCheck | None:
        """Count one check; returns it where it is a false alarm."""
        if check.mode not in MODES:
            return None
        self.checks[check.mode] += 1
        self.verdicts[check.mode] = self.verdicts.get(check.mode, "") + check.verdict[0]
        judged = JudgedCheck(
            drawn.seed, drawn.regime, check.case, check.mode, check.tap, check.used, check.message
        )
        self._compare(judged)
        if check.verdict == "PASS":
            return None
        self.alarms.append(judged)
        return judged

    def _compare(self, judged: JudgedCheck) -> None:
        """Keep a check that is nearer to its bound than all others before."""
        known = self.nearest.get(judged.mode)
        if judged.used is not None and (known is None or judged.used > (known.used or 0.0)):
            self.nearest[judged.mode] = judged

    def record(self, drawn: Draw) -> dict[str, Any]:
        """What a seed alone has counted, as its record has it."""
        return {
            "record": "seed", **asdict(drawn),
            "checks": self.checks,
            "verdicts": self.verdicts,
            "nearest": {mode: asdict(judged) for mode, judged in self.nearest.items()},
            "alarms": [asdict(alarm) for alarm in self.alarms],
            "other_orders": asdict(self.power.alarms),
            "faults": list(self.power.records()),
        }  # fmt: skip

    def take(self, record: Mapping[str, Any]) -> None:
        """Count what a seed's record has. Seeds that are taken in order are counted alike."""
        self.seeds += 1
        for mode, count in record["checks"].items():
            self.checks[mode] += count
        for judged in map(_judged, record["nearest"].values()):
            self._compare(judged)
        self.alarms += map(_judged, record["alarms"])
        self.power.alarms += Alarms(**record["other_orders"])
        for found in record["faults"]:
            self._take_sighting(found)

    def _take_sighting(self, found: Mapping[str, Any]) -> None:
        names = ("fault", "expected", "blamed", "applicable", "by")
        sighting = Sighting(**{name: found[name] for name in names}, margin=float(found["margin"]))
        seen = self.power.seen.setdefault(found["regime"], {})
        known = seen.get(sighting.fault)
        if known is None or better(sighting, known[0]):
            seen[sighting.fault] = (sighting, found["case"])

    def faults(self) -> dict[str, tuple[int, int]]:
        """For each regime, how many faults were caught, and how many applied."""
        counts = {}
        for regime in sorted(self.power.seen, key=REGIMES.index):
            sightings = [sighting for sighting, _ in self.power.seen[regime].values()]
            applicable = [sighting for sighting in sightings if sighting.applicable]
            counts[regime] = (sum(sighting.caught for sighting in applicable), len(applicable))
        return counts

    def missed(self) -> list[str]:
        """Each fault that applied in a regime and was not caught there, in a line."""
        return [
            f"{sighting.fault}, {regime}, {case}: blamed on {sighting.blamed or 'nothing'}, "
            f"margin {sighting.margin:.2f}"
            for regime, seen in self.power.seen.items()
            for sighting, case in seen.values()
            if sighting.applicable and not sighting.caught
        ]

    @property
    def passed(self) -> bool:
        """No false alarm, and every fault that applied was caught."""
        return not self.alarms and not self.power.alarms.false and not self.missed()


def _judged(found: Mapping[str, Any]) -> JudgedCheck:
    """From a record, where figures that are not finite are strings."""
    used = found["used"]
    return JudgedCheck(**{**found, "used": None if used is None else float(used)})


def tally_of(records: Iterable[Mapping[str, Any]]) -> Tally:
    """The tally of a campaign, from the records of its seeds."""
    tally = Tally()
    for record in records:
        tally.take(record)
    return tally


def summary(tally: Tally) -> str:
    """Both figures, in three sentences."""
    caught = ", ".join(f"{a} of {b} ({regime})" for regime, (a, b) in tally.faults().items())
    alarms = tally.power.alarms
    judged = sum(tally.checks.values())
    return (
        f"Seeds: {tally.seeds}. False alarms: {len(tally.alarms)} of {judged:,} checks of the MAX "
        f"model, {alarms.false} of {alarms.runs:,} on other evaluation orders. "
        f"Faults caught: {caught or 'none was planted'}."
    )


def figures(tally: Tally) -> dict[str, Any]:
    """The tally as `--json` writes it."""
    return {
        "seeds": tally.seeds,
        "checks": tally.checks,
        "false_alarms": [asdict(alarm) for alarm in tally.alarms],
        "nearest": {mode: asdict(judged) for mode, judged in tally.nearest.items()},
        "other_orders": {"runs": tally.power.alarms.runs, "false": tally.power.alarms.false},
        "faults": {
            regime: {"caught": a, "applicable": b} for regime, (a, b) in tally.faults().items()
        },
        "missed": tally.missed(),
        "passed": tally.passed,
    }
