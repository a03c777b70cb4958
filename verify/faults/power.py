"""What a run could have noticed: every fault of the catalogue, judged like the candidate.

A fault counts as caught when the rule rejects it, the first place that fails is the one where it
was planted, and the error there is at least `verify.faults.sighting.MARGIN` times what is allowed.
An applicable fault that no case catches makes the run UNDERPOWERED.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.dtypes import DTYPES, is_floating
from verify.faults.catalogue import PUBLISHED, catalogue
from verify.faults.matched import FARTHEST, Filter, matched_checks, matched_filter
from verify.faults.planted import Planted
from verify.faults.sighting import MARGIN, Sighting, sight
from verify.judge.rounding import within_rounding
from verify.judge.verdict import Check
from verify.truth.alarms import Alarms

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from impl.config import GPT2Config
    from reference.trace import Array, Trace
    from verify.candidate.observation import Observation
    from verify.faults.base import Fault
    from verify.faults.cache import CacheFault
    from verify.truth.expectation import Expectation


@dataclass(slots=True)
class Power:
    """What was seen of every fault so far.

    Attributes:
        seen: for each regime and fault, the sighting with the largest margin, and its case.
        alarms: correct results judged, and rejected.
        arithmetic: what its products compute in: its precision, or `tf32`.
        config: of the model.
    """

    seen: dict[str, dict[str, tuple[Sighting, str]]] = field(default_factory=dict)
    alarms: Alarms = field(default_factory=Alarms)
    arithmetic: str = "float32"
    config: GPT2Config = PUBLISHED

    def look(self, expected: Expectation, visible: Collection[str] | None = None) -> None:
        """Plant every fault that no case of this regime has caught yet, where the shape allows it.

        Args:
            expected: what the case is compared with.
            visible: the places that the candidate shows; None for all.
        """
        case, self.config = expected.case, expected.oracle.config
        seen = self.seen.setdefault(case.regime, {})
        self.arithmetic = expected.arithmetic
        for fault in catalogue(expected.arithmetic, self.config):
            known = seen.get(fault.id)
            if (known and known[0].caught) or not fault.fits(case.ids, self.config.n_positions):
                continue
            sighting = sight_in(fault, expected, visible)
            if known is None or better(sighting, known[0]):
                seen[fault.id] = (sighting, case.name)

    def matched_checks(self, observed: Observation, expected: Expectation) -> Iterator[Check]:
        """Judge the candidate by filters, for the faults that only filters catch in this regime."""
        yield from self.judged_by_filters(observed, expected, self.weak(expected.case.regime))

    def weak(self, regime: str) -> frozenset[str]:
        """Faults that only filters catch in a regime, by id."""
        seen = self.seen.get(regime, {})
        return frozenset(key for key, (sighting, _) in seen.items() if sighting.by == "filter")

    def judged_by_filters(
        self, observed: Observation, expected: Expectation, ids: Collection[str]
    ) -> Iterator[Check]:
        """Judge the candidate by the filters of these faults."""
        faults = catalogue(expected.arithmetic, expected.oracle.config)
        weak = [fault for fault in faults if fault.id in ids]
        if not weak:
            return
        for check, alarms in matched_checks(observed.forced, weak, expected):
            self.alarms += alarms
            yield check

    def best(self, fault: Fault) -> tuple[Sighting, str] | None:
        """The most telling sighting of a fault over all regimes; None where no case fits it."""
        found = [seen[fault.id] for seen in self.seen.values() if fault.id in seen]
        return max(found, key=lambda pair: _rank(pair[0]), default=None)

    def checks(self) -> Iterator[Check]:
        """One check for each fault."""
        for fault in catalogue(self.arithmetic, self.config):
            yield _fault_check(fault, self.best(fault))

    def report(self) -> dict[str, Any]:
        """As `--json` writes it."""
        faults = {}
        for fault in catalogue(self.arithmetic, self.config):
            best = self.best(fault)
            if best and best[0].applicable:
                faults[fault.id] = best[0].details(best[1])
        return {
            "faults": faults,
            "false_alarms": self.alarms.false,
            "runs": self.alarms.runs,
        }

    def records(self) -> Iterator[dict[str, Any]]:
        """One record for each regime and fault."""
        for regime, seen in self.seen.items():
            for sighting, case in seen.values():
                yield {"record": "fault", "regime": regime, **sighting.details(case)}


def sight_in(
    fault: Fault, expected: Expectation, visible: Collection[str] | None = None
) -> Sighting:
    """Plant one fault and judge it on one case: by the bounds, then, if need be, by a filter."""
    oracle = expected.oracle
    layer = fault.layer(oracle.config.n_layer)
    shown = expected.isolated.keys() if visible is None else visible
    with np.errstate(all="ignore"):  # a fault may overflow: that is its point
        trace = Planted(oracle, fault, layer).seen(
            fault.blamed(layer), expected.case.ids, expected.isolated, expected.given, shown
        )
    sighting = sight(
        fault, layer, trace, expected.isolated, expected.isolated_envelope, expected.dtype
    )
    if sighting.caught or not sighting.applicable:
        return sighting
    if expected.dtype == "float64" and _is_rounding(fault, layer, trace, sighting, expected, shown):
        return replace(sighting, applicable=False)
    if expected.drawn is None or sighting.expected != fault.blamed(layer):
        return sighting
    filter_ = matched_filter(fault, layer, oracle, expected.drawn)
    return filtered(sighting, trace[sighting.expected], filter_, expected)


def _is_rounding(
    fault: Fault, layer: int, trace: Trace, sighting: Sighting, expected: Expectation,
    shown: Collection[str],
) -> bool:  # fmt: skip
    """Whether a fault is the same function at the places that the candidate shows.

    A key's bias that is left out shows in the projection, but not after the softmax, where it adds
    the same number to every score of a query.
    """
    oracle, tap = expected.oracle.at(np.float32), sighting.expected
    truth, given = _in_float32(expected.isolated), _in_float32(expected.given)
    planted = Planted(oracle, fault, layer)
    lower = planted.seen(fault.blamed(layer), expected.case.ids, truth, given, shown)
    moved = oracle.trace(expected.case.ids, given)
    return within_rounding(trace[tap], expected.isolated[tap], lower[tap], moved[tap], "float32")


def _in_float32(trace: Trace) -> Trace:
    return {
        tap: array.astype(np.float32) if is_floating(array) else array
        for tap, array in trace.items()
    }


def filtered(
    sighting: Sighting, found: Array, filter_: Filter | None, expected: Expectation
) -> Sighting:
    """The sighting as a filter has it, if it catches the fault that the bounds leave."""
    if filter_ is None or not filter_.sharp or sighting.blamed not in (None, sighting.expected):
        return sighting
    with np.errstate(over="ignore"):
        stored = found.astype(DTYPES[expected.dtype])
    if filter_.share(stored, expected.isolated[filter_.tap]) <= FARTHEST:
        return sighting
    return replace(sighting, blamed=sighting.expected, margin=filter_.margin, by="filter")


def _rank(sighting: Sighting) -> tuple[bool, bool, float]:
    return sighting.caught, sighting.applicable, sighting.margin


def better(one: Sighting, other: Sighting) -> bool:
    """Whether one sighting tells more than another."""
    return _rank(one) > _rank(other)


def _fault_check(fault: Fault, best: tuple[Sighting, str] | None) -> Check:
    if best is None or not best[0].applicable:
        why = "no case of this run can show it" if best is None else "it changes no value here"
        return Check(case=fault.id, mode="power", tap="", verdict="SKIP", message=why)
    return fault_check(best[0], fault, mode="power", case=best[1])


def fault_check(
    sighting: Sighting, fault: Fault | CacheFault, *, mode: str, case: str = ""
) -> Check:
    """The check of one applicable fault: PASS if it was caught, else UNDERPOWERED.

    Args:
        sighting: the most telling one.
        fault: which was planted.
        mode: `power` for the oracle's variants, `max-power` for MAX graphs, `engine-power` for
            caches.
        case: in which it was seen.
    """
    return Check(
        case=fault.id,
        mode=mode,
        tap=sighting.expected,
        verdict="PASS" if sighting.caught else "UNDERPOWERED",
        message="" if sighting.caught else _why_not(sighting),
        details={**sighting.details(case), "found": fault.found, "seen_in": fault.seen_in},
    )


def _why_not(sighting: Sighting) -> str:
    if not sighting.noticed:
        return "the rule does not notice this fault"
    if sighting.blamed != sighting.expected:
        return f"this fault is blamed on {sighting.blamed}"
    return f"this fault is noticed by a margin of {sighting.margin:.2f} only; {MARGIN:g} is asked"
