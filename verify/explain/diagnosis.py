"""What failing stages compute instead: one explanation that holds at every one of them.

Faults are laid beside the candidate: what each of them computes, in float64 and on the same input,
is compared with what was found. The catalogue's come first, then what else people compute in that
place, then families whose number is fitted, then relations to other activations, then rounding. An
explanation counts for as many of the run's failing stages as it explains, in all cases and blocks,
and also at the places after it; two that explain the same are both named. What is left is
described by the shape of its error.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from reference.taps import in_words, layer_of, with_layer
from verify.explain import tried
from verify.explain.consequences import following
from verify.explain.error_shape import describe
from verify.explain.explanation import blocks
from verify.explain.failure import Failure
from verify.explain.llama_formulas import formulas
from verify.explain.relations import relations
from verify.explain.rounded import roundings
from verify.faults.configured import whose
from verify.judge.finite import in_counts, is_finite
from verify.truth.cases import PROBE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from reference.trace import Array
    from verify.explain.explanation import Explanation
    from verify.truth.expectation import Expectation

MOST_FINDINGS = 4
"""Findings of one run; how much they leave is counted."""

MOST_PLACES = 8
"""Places that are looked into, which may come to fewer findings."""

EXACT = 1e-9
"""An explanation that leaves no more of the error is what is computed, to the last digit."""

NEARER = 1e-3
"""An explanation that leaves so much less than another one shows that the other is not exact."""

COMFORTABLE = (10, 100)
"""Tokens of the input that a number is fitted on: enough to tell, and few enough to be quick."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What some failing stages compute instead.

    Attributes:
        tap: the first of them.
        text: a sentence that begins with the place.
        ids: of the explanations that it names; empty for a mere description.
        stages: how many failing stages it accounts for, those that follow from others included.
        of: how many there are in the run.
    """

    tap: str
    text: str
    ids: tuple[str, ...]
    stages: int
    of: int

    def record(self) -> dict[str, Any]:
        """As `finding` records have it (`reports/SCHEMA.md`)."""
        return {"record": "finding", **asdict(self), "ids": list(self.ids)}


def diagnose(
    tap: str, found: Array, expected: Expectation, visible: Collection[str] | None = None
) -> str:
    """Say in a sentence what a candidate computes at one place, by what is seen there alone.

    Args:
        tap: the first place that failed in isolation.
        found: what the candidate computed there.
        expected: what the case is compared with.
        visible: the places that the candidate shows; None for all. A fault at a place that it does
            not show is looked for where it comes to light.
    """
    return findings([failure_at(tap, found, expected, visible)])[0].text


def matching_fault(
    tap: str, found: Array, expected: Expectation, visible: Collection[str] | None = None
) -> str | None:
    """The id of the fault that one place computes; None where none is known that does.

    Args:
        tap: as `diagnose` takes it.
        found: as `diagnose` takes it.
        expected: as `diagnose` takes it.
        visible: as `diagnose` takes it.
    """
    ids = findings([failure_at(tap, found, expected, visible)])[0].ids
    return ids[0] if ids else None


def failure_at(
    tap: str, found: Array, expected: Expectation, visible: Collection[str] | None = None
) -> Failure:
    """A failing place of one case; the arguments are those of `diagnose`."""
    shown = expected.isolated if visible is None else visible
    return Failure(tap, found, expected, frozenset(shown))


def findings(failures: Sequence[Failure]) -> list[Finding]:
    """Explain all failing stages of a run, the first in the order of execution first.

    Args:
        failures: of every case, in any order.
    """
    order = {tap: place for f in failures for place, tap in enumerate(f.expected.isolated)}
    left = sorted(failures, key=lambda failure: order[failure.tap])
    found: list[_Part] = []
    while left and len(found) < MOST_PLACES:
        place = with_layer(left[0].tap, "{layer}")
        group = [failure for failure in left if with_layer(failure.tap, "{layer}") == place]
        part = _part(group, left)
        done = set(map(id, part.explained))
        left = [failure for failure in left if id(failure) not in done]
        found.append(part)
    merged: dict[object, list[_Part]] = {}
    for part in found:
        merged.setdefault(part.same or id(part), []).append(part)
    said = [_finding(parts, len(failures)) for parts in merged.values()]
    return sorted(said, key=lambda finding: order[finding.tap])[:MOST_FINDINGS]


@dataclass(frozen=True, slots=True)
class _Part:
    """What the failing stages of one place compute instead.

    Attributes:
        tap: the first of them.
        text: what is found there, without the place.
        same: equals that of another place where the same is found.
        ids: as a finding has them.
        explained: every failure that it accounts for.
    """

    tap: str
    text: str
    same: tuple[str, ...]
    ids: tuple[str, ...]
    explained: list[Failure]


def _part(group: list[Failure], left: list[Failure]) -> _Part:
    """What explains most of a place's failures, and every failure that it accounts for."""
    chosen = _chosen(group)
    explained = [failure for failure in left if chosen and chosen[0].holds(failure)]
    roots = [failure for failure in group if failure in explained] or group
    explained = explained or list(group)
    for root in roots:
        done = set(map(id, explained))
        explained += following(root, [failure for failure in left if id(failure) not in done])
    text = _sentence(chosen, group) if chosen else _described(group)
    first = most_telling(roots)
    if chosen and not is_finite(first.found):
        text += f"; {in_counts(first.found, first.expected.case.name)}"
    same = tuple(f"{one.found}; {one.expected}" for one in chosen)
    return _Part(roots[0].tap, text, same, tuple(one.id for one in chosen), explained)


def _finding(parts: list[_Part], of: int) -> Finding:
    """The same at several places, as one finding."""
    names = [in_words(part.tap) for part in parts]
    names = [*names[:-2], " and ".join(names[-2:])]
    stages = sum(len(part.explained) for part in parts)
    first = parts[0]
    return Finding(first.tap, f"{', '.join(names)}: {first.text}", first.ids, stages, of)


def most_telling(failures: Sequence[Failure]) -> Failure:
    """The failure of an ordinary input, neither tiny nor long."""
    return min(failures, key=_rank)


def _described(group: list[Failure]) -> str:
    """The shape of an error that nothing explains."""
    first = most_telling(group)
    heads = first.expected.oracle.config.n_head if first.of_gpt2 else 1
    return describe(first.tap, first.found, first.expected, heads)


def _chosen(group: list[Failure]) -> list[Explanation]:
    """The explanation of most of a place's failures; two, where another explains the same."""
    best, chosen = 0, list["Explanation"]()
    for tier in _tiers(group):
        for explanation in tier:
            count = sum(map(explanation.holds, group))
            if count > best or (chosen and count == best and _nearer(explanation, chosen, group)):
                best, chosen = count, [explanation]
            elif count == best and best and explanation.id not in {one.id for one in chosen}:
                chosen.append(explanation)
        if best == len(group) and _is_exact(chosen[0], group):
            break
    if len(chosen) > 1:
        passing = _passing(chosen[0], group)
        chosen.sort(key=lambda one: -sum(map(one.nothing_in, passing)))
    nearest = min((_left(one, group) for one in chosen), default=0.0)
    return [one for one in chosen if _left(one, group) <= max(EXACT, nearest / NEARER)][:2]


def _is_exact(explanation: Explanation, group: list[Failure]) -> bool:
    """Whether nothing can be nearer; in less than float64 rounding hides that."""
    return group[0].expected.dtype != "float64" or _left(explanation, group) <= EXACT


def _nearer(explanation: Explanation, chosen: list[Explanation], group: list[Failure]) -> bool:
    """Whether an explanation leaves far less than those chosen before."""
    before = min(_left(one, group) for one in chosen)
    return before > EXACT and _left(explanation, group) <= NEARER * before


def _left(explanation: Explanation, group: list[Failure]) -> float:
    """The most that an explanation leaves of the failures that it explains."""
    lefts = (explanation.left(failure) for failure in group if explanation.holds(failure))
    return max(lefts, default=0.0)


def _tiers(group: list[Failure]) -> Iterator[list[Explanation]]:
    """Explanations of a place's failures, the likeliest kinds first, made when asked for."""
    failures: dict[int | None, list[Failure]] = {}
    for failure in sorted(group, key=_rank):
        failures.setdefault(failure.layer, []).append(failure)
    if group[0].of_gpt2:
        yield tried.catalogued(failures)
        yield tried.uncatalogued(failures)
        yield tried.families(failures)
        yield tried.resorts(failures)
        yield tried.in_other_blocks(failures)
    else:
        yield formulas(failures)
    yield relations(failures)
    if group[0].of_gpt2:
        yield roundings(failures)


def _rank(failure: Failure) -> tuple[bool, bool, int]:
    """The most telling failure first: of an ordinary input, neither tiny nor long."""
    tokens = failure.expected.case.ids.size
    ordinary = COMFORTABLE[0] <= tokens <= COMFORTABLE[1]
    large = ordinary and failure.layer is not None  # what lies outside blocks may need all of them
    return not ordinary, failure.expected.case.label == PROBE, -tokens if large else tokens


# ---- in words ------------------------------------------------------------------------------------


def _sentence(chosen: list[Explanation], group: list[Failure]) -> str:
    """What is found and in which blocks, and what the reference has."""
    first = chosen[0]
    texts = [f"{one.found}{one.hidden_in or _where(one, group)}" for one in chosen]
    found = f"found {texts[0]}"
    if len(texts) > 1:
        found += f", or {texts[1]} [{chosen[1].id}]; both agree with all that was seen"
    oracle = group[0].expected.oracle
    subject = whose(oracle.config) if group[0].of_gpt2 else "the reference"
    expected = f"; {subject} has {first.expected}" if first.expected else ""
    return f"{found}{_except(first, group)}{expected} [{first.id}]"


def _except(explanation: Explanation, group: list[Failure]) -> str:
    """The inputs on which an explanation does not hold, in its own blocks."""
    own = [failure for failure in group if failure.layer in explanation.layers]
    cases = dict.fromkeys(f.expected.case.name for f in own if not explanation.holds(f))
    return f" (but not on {', '.join(cases)})" if cases else ""


def _where(explanation: Explanation, group: list[Failure]) -> str:
    """The blocks, where several are wrong, and those that are right."""
    layers = sorted(layer for layer in explanation.layers if layer is not None)
    passing = _passing(explanation, group)
    same = [layer for layer in passing if explanation.nothing_in(layer)]
    if len(layers) + len(same) < 2 or " in block " in explanation.found:
        return ""  # the place names the block
    if len(layers) + len(same) == len(_shown(group)):
        own = f" (in {blocks(same)} that changes nothing)" if same else ""
        return f" in every block{own}"
    right = f" ({blocks(passing)} {'are' if len(passing) > 1 else 'is'} right)" if passing else ""
    return f" in {blocks(layers)}{right}"


def _shown(group: list[Failure]) -> list[int]:
    """The blocks that show this place."""
    place = with_layer(group[0].tap, "{layer}")
    shown = (tap for tap in group[0].visible if with_layer(tap, "{layer}") == place)
    return sorted(layer for tap in shown if (layer := layer_of(tap)) is not None)


def _passing(explanation: Explanation, group: list[Failure]) -> list[int]:
    """The blocks that show this place and pass."""
    failed = {failure.layer for failure in group} | set(explanation.layers)
    return [layer for layer in _shown(group) if layer not in failed]
