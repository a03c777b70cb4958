"""What `python -m bench null` found: its replays, as records and in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.judge.estimate import Estimate, estimate, ratio_of_ratios, with_bounds
from bench.judge.luck import Machine, Pool, pool_of
from bench.judge.rates import Rate, rate
from bench.judge.verdict import MARGIN, Verdict, judge
from reports.tables.numbers import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.judge.statistics import Turns

NOMINAL = 0.05
"""Equal code is called different as often as this, by the interval's own word."""
PLANTED = {0.02: 0.75, 0.05: 0.99}
"""Planted slowness, and in which share of replays it must be found."""

PARTS = ("baseline", "again", "equal", *(f"slower {share:.0%}" for share in PLANTED))
DELAYS = {f"slower {share:.0%}": share for share in PLANTED}

COMPARED = "two runs"
"""The `part` of comparisons between two replays."""


@dataclass(frozen=True, slots=True)
class Replay:
    """One small benchmark.

    Attributes:
        group: the pool of processes that it was drawn from.
        ratios: of each part to the baseline.
        luck: how much the processes of all parts differed; None where noise hides it.
        pressure_pct: CPU time that other programs took; None where the kernel does not count it.
    """

    group: int
    ratios: Mapping[str, Estimate]
    luck: Pool | None = None
    pressure_pct: float | None = None

    def verdict(self, part: str) -> Verdict:
        """What a run would say of a part."""
        return judge(self.ratios[part], MARGIN).verdict


@dataclass(frozen=True, slots=True)
class Called:
    """How often a part was called different, or slower where slowness was planted.

    Attributes:
        part: one of `PARTS`, or `COMPARED`.
        rate: with the interval that knows which replays shared processes.
        passed: whether it is as it must be.
        sentence: the same for people.
    """

    part: str
    rate: Rate
    passed: bool
    sentence: str

    def record(self) -> dict[str, Any]:
        """As it is recorded."""
        return {
            "record": "called", "part": self.part, "count": self.rate.count,
            "called": self.rate.found, "rate": self.rate.value, "ci_lo": self.rate.low,
            "ci_hi": self.rate.high, "passed": self.passed, "sentence": self.sentence,
        }  # fmt: skip


def judged(times: Mapping[str, Turns], group: int, pressure_pct: float | None = None) -> Replay:
    """Judge each part as a run would that consists of it, the baseline and the null.

    Args:
        times: of every part of `PARTS`, the turns.
        group: the pool that processes were drawn from.
        pressure_pct: as in `Replay`.
    """
    ratios = {}
    for part in PARTS[1:]:
        third = "equal" if part == "again" else part
        run = [times[one] for one in ("baseline", "again", third)]
        ratio = estimate(times[part], times["baseline"], pool_of(run))
        assert ratio is not None
        ratios[part] = ratio
    return Replay(group, ratios, pool_of([*times.values()]), pressure_pct)


def summary(replays: Sequence[Replay]) -> list[Called]:
    """All rates; they are as they must be where each has `passed`."""
    return [*_equal(replays), *_planted(replays), *_compared(replays)]


def _equal(replays: Sequence[Replay]) -> Iterator[Called]:
    for part in ("equal", "again"):
        wrong = _rate(replays, [_different(replay.ratios[part]) for replay in replays])
        said = [replay.verdict(part) for replay in replays]
        kinds = ", ".join(f"{said.count(kind)} {kind}" for kind in sorted(set(said)))
        what = "equal code" if part == "equal" else "the null"
        sentence = (
            f"{counted(wrong.count, 'replay')} of {what}: {wrong.found} called different, {wrong}; "
            f"nominal {NOMINAL:.0%} ({kinds})"
        )
        yield Called(part, wrong, wrong.low <= NOMINAL, sentence)


def _planted(replays: Sequence[Replay]) -> Iterator[Called]:
    for part, share in DELAYS.items():
        found = _rate(replays, [replay.verdict(part) == "SLOWER" for replay in replays])
        middle = float(np.median([replay.ratios[part].value for replay in replays]))
        wanted = PLANTED[share]
        sentence = (
            f"{counted(found.count, 'replay')} of a planted +{share:.0%}: {found.found} called "
            f"SLOWER, {found}; at least {wanted:.0%} passes (median ratio {middle:.3f})"
        )
        yield Called(part, found, found.found >= wanted * found.count, sentence)


def _compared(replays: Sequence[Replay]) -> Iterator[Called]:
    """Every two replays in a row, as `python -m bench compare` compares runs of one commit."""
    pairs = list(zip(replays[::2], replays[1::2], strict=False))
    if not pairs:
        return
    changes = [ratio_of_ratios(b.ratios["equal"], a.ratios["equal"]) for a, b in pairs]
    wrong = rate([_different(change) for change in changes], [a.group for a, _ in pairs])
    sentence = (
        f"{counted(wrong.count, 'comparison')} of two runs of the same code: {wrong.found} called "
        f"different, {wrong}; nominal {NOMINAL:.0%}"
    )
    yield Called(COMPARED, wrong, wrong.low <= NOMINAL, sentence)


def _rate(replays: Sequence[Replay], outcomes: Sequence[bool]) -> Rate:
    return rate(outcomes, [replay.group for replay in replays])


def _different(ratio: Estimate) -> bool:
    return judge(ratio, MARGIN).verdict in ("FASTER", "SLOWER")


def machine_of(replays: Sequence[Replay], each: int) -> Machine | None:
    """How much two processes differ, by all replays; None where noise hides it.

    P = S - V, averaged. The n processes of a pool are n - 1 draws of P, however many replays (r)
    they were lent to, and V is seen anew in each; so P has n - 1 degrees of freedom for each pool,
    times (P / (P + V / r))^2 (Satterthwaite).

    Args:
        replays: those that were played.
        each: processes of one pool, every one a draw, however many replays it was lent to.
    """
    found = [replay.luck for replay in replays if replay.luck]
    if not found:
        return None
    between = float(np.mean([pool.spread - pool.noise for pool in found]))
    if between <= 0:
        return None
    groups = len({replay.group for replay in replays})
    noise = float(np.mean([pool.noise for pool in found])) * groups / len(found)
    draws = min(sum(pool.freedom for pool in found), float(groups * (each - 1)))
    return Machine(between, draws * (between / (between + noise)) ** 2)


def record_of(replay: Replay, number: int) -> dict[str, Any]:
    """A replay as it is recorded."""
    luck = replay.luck
    return {
        "record": "replay", "replay": number, "pool": replay.group,
        "cpu_pressure_pct": replay.pressure_pct,
        "luck": luck and {"between": luck.between, "spread": luck.spread, "noise": luck.noise,
                          "freedom": luck.freedom},
        "ratios": {
            part: {
                "ratio": ratio.value, "ci_lo": ratio.low, "ci_hi": ratio.high,
                "log_error": ratio.error, "freedom": ratio.freedom, "processes": ratio.generations,
                "quads": ratio.quads, "between": ratio.between, "within": ratio.within,
                "verdict": replay.verdict(part),
            }
            for part, ratio in replay.ratios.items()
        },
    }  # fmt: skip


def replay_of(record: Mapping[str, Any]) -> Replay:
    """The reverse of `record_of`."""
    ratios = {
        part: with_bounds(
            Estimate(
                one["ratio"], generations=one["processes"], quads=one["quads"],
                error=one["log_error"], freedom=one["freedom"], between=one["between"],
                within=one["within"],
            )
        )
        for part, one in record["ratios"].items()
    }  # fmt: skip
    luck = record.get("luck")
    pressure_pct = record.get("cpu_pressure_pct")
    return Replay(record["pool"], ratios, Pool(**luck) if luck else None, pressure_pct)
