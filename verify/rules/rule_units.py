"""The contest cut into units of work: a regime's faults case by case, its correct runs by seed."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from reference.load import load
from reference.regimes import with_regime
from verify.fleet.unit import Unit
from verify.rules.contest import (
    DTYPE,
    FAULT_CASES,
    Alarm,
    Catch,
    alarms,
    catches_in,
    fault_cases,
)
from verify.truth.references import References

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reference.checkpoint import Checkpoint

REGIMES = ("given", "perturbed", "stress")
CORRECT_SEEDS = range(3)


def rule_units(model: str, weights_sha256: str) -> Iterator[Unit]:
    """All of the contest, in order.

    Args:
        model: as `python -m verify` takes it.
        weights_sha256: of its checkpoint.
    """
    shared = {"model": model, "weights_sha256": weights_sha256}
    for regime in REGIMES:
        for number in range(FAULT_CASES):
            asked = {**shared, "regime": regime, "number": number}
            yield Unit(f"faults {regime} {number}", f"{__name__}:faults", asked)
    for regime in REGIMES:
        for seed in CORRECT_SEEDS:
            asked = {**shared, "regime": regime, "seed": seed}
            yield Unit(f"correct {regime} {seed}", f"{__name__}:correct_runs", asked)


def faults(
    *, model: str, weights_sha256: str, regime: str, number: int
) -> Iterator[dict[str, Any]]:
    """Every rule on every fault on one case of a regime.

    Raises:
        ValueError: where the checkpoint is another one here.
    """
    references = _references(model, weights_sha256, regime)
    case = fault_cases(references, regime)[number]
    for catch in catches_in(case, references):
        yield {"record": "catch", "regime": regime, "case": case.name, **asdict(catch)}


def correct_runs(
    *, model: str, weights_sha256: str, regime: str, seed: int
) -> Iterator[dict[str, Any]]:
    """Every rule on every correct run of one regime and seed.

    Raises:
        ValueError: as `faults`.
    """
    for alarm in alarms(_checkpoint(model, weights_sha256), regime, seed):
        yield {"record": "alarm", "regime": regime, **asdict(alarm)}


@lru_cache(maxsize=1)
def _checkpoint(model: str, weights_sha256: str) -> Checkpoint:
    checkpoint = load(model)
    if checkpoint.sha256 != weights_sha256:
        raise ValueError(f"{model} has other weights on this machine")
    return checkpoint


@lru_cache(maxsize=1)
def _references(model: str, weights_sha256: str, regime: str) -> References:
    return References(with_regime(_checkpoint(model, weights_sha256), regime), DTYPE)


def found_in(
    records: Iterable[Mapping[str, Any]],
) -> tuple[list[Catch], list[Alarm]]:
    """What the rules made of faults and of correct runs, from records."""
    catches, judged = [], []
    for record in records:
        if record["record"] == "catch":
            names = ("rule", "fault", "applicable", "caught", "right")
            catches.append(Catch(**{name: record[name] for name in names}))
        else:
            judged.append(Alarm(record["rule"], record["run"], record["rejected"]))
    return catches, judged
