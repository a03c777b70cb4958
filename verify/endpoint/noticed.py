"""What a plan of questions would notice: faults planted, one at a time, in a simulated server.

The server's right answers cannot show that: what a server answers that decodes at the wrong
position has to be computed. So the model itself answers in this process, with the fault, until a
case fails.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from verify.endpoint.asking import put
from verify.endpoint.questions import GROUPS
from verify.endpoint.simulated import CROWD, FAULTS, PAGE, Simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from verify.endpoint.abilities import Abilities
    from verify.endpoint.answering import Judge
    from verify.endpoint.questions import Case
    from verify.endpoint.standard import Model

WHERE = {
    "position-from-0": "alone",
    "page-end": "alone",
    "other-row": "batch",
    "stale-prefix": "prefix",
    "dropped-piece": "stream",
    "exchanged": "load",
    "temperature-ignored": "sampling",
    "seed-ignored": "sampling",
    "stop-ignored": "stop",
    "one-too-many": "alone",
    "tempered-logprobs": "sampling",
    "epsilon": "alone",
}
"""By fault, the group of cases that should notice it; these are asked first."""

SMALL = frozenset({"epsilon"})
"""Faults that a model and a precision may make too small to be seen."""

State = Literal["caught", "missed", "not applicable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """One fault.

    Attributes:
        fault: its name in `FAULTS`.
        state: whether a case failed.
        case: the first that did.
        message: what was seen, or why nothing could be.
    """

    fault: str
    state: State
    case: str = ""
    message: str = ""

    @property
    def text(self) -> str:
        """What is wrong, in words."""
        return FAULTS[self.fault]


def planted(
    model: Model,
    abilities: Abilities,
    cases: Sequence[Case],
    judge: Judge,
    status: Callable[[str], None] = lambda _: None,
    faults: Iterable[str] = tuple(FAULTS),
) -> list[Planted]:
    """Plant every fault and say which case notices it first.

    Args:
        model: that answers.
        abilities: of the server; what it does not do is not asked of the simulated one.
        cases: of the plan.
        judge: of the answers.
        status: called with a few words for each fault.
        faults: which to plant.
    """
    found = []
    for fault in faults:
        status(f"planting {fault}")
        found.append(
            Planted(fault=fault, state="not applicable", message=why)
            if (why := _inapplicable(fault, abilities, cases, model.context))
            else asyncio.run(_plant(fault, model, abilities, cases, judge))
        )
    return found


async def _plant(
    fault: str, model: Model, abilities: Abilities, cases: Sequence[Case], judge: Judge
) -> Planted:
    server = Simulated(model.torch, model.vocabulary, fault)
    ordered = sorted(cases, key=lambda case: case.group != WHERE[fault])
    for case in ordered:
        found = await put(server, case, judge)
        if found.wrong:
            return Planted(fault=fault, state="caught", case=case.name, message=found.message())
    if fault in SMALL or (abilities.lacking and fault not in _OTHERWISE):
        why = "no log-probability changes by more than the precision allows"
        if abilities.logprobs is None:
            why = "the text stays the same, and the server returns no log-probabilities"
        return Planted(fault=fault, state="not applicable", message=why)
    return Planted(fault=fault, state="missed", message="every answer passed")


_OTHERWISE = frozenset({"dropped-piece", "stop-ignored", "one-too-many", "exchanged", "other-row"})
"""Faults that text alone shows."""

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "seed-ignored": ("seed", "returned"),
    "temperature-ignored": ("returned",),
    "tempered-logprobs": ("logprobs", "returned"),
    "dropped-piece": ("stream",),
}
"""What a server must do for a fault to be possible, or seen."""


def _inapplicable(fault: str, abilities: Abilities, cases: Sequence[Case], context: int) -> str:
    """Why a fault cannot be seen by this plan; empty where it can."""
    lacking = [name for name in _NEEDS.get(fault, ()) if name in abilities.lacking]
    if lacking:
        return f"the server lacks what would show it: {lacking[0]}"
    if fault in ("page-end", "stale-prefix") and context < PAGE + 1:
        return f"the context of {context} tokens has no second page"
    groups = {case.group for case in cases}
    if WHERE[fault] not in groups:
        return f"nothing is asked about {GROUPS[WHERE[fault]]}"
    most = max((case.at_once for case in cases if case.group == "load"), default=0)
    if fault == "exchanged" and most <= CROWD:
        return f"it takes more than {CROWD} requests at once, and {most} are asked"
    return ""
