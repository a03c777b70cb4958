"""How many processes of each arm a benchmark had, each one draw; and what was not finished."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from reports.tables.numbers import counted
from reports.waiting import about

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reports.saved.records import Run

FEWEST = 3
"""With fewer processes of each arm, what their luck adds is not known."""

OUT_OF_REACH = "no number of processes that is worth it would settle it"

ONE_PROCESS = "one process of each arm: differences under 2% are not resolved"


def draws(run: Run) -> int:
    """Processes of each arm, the most that any workload had; 1 in format 3 and before."""
    generations: dict[object, set[int]] = {}
    for sample in run.of("sample"):
        place = sample.get("model"), sample.get("threads"), sample.get("workload")
        generations.setdefault(place, set()).add(sample.get("generation") or 0)
    return max(map(len, generations.values()), default=0)


def warning(run: Run) -> str:
    """What a reader of a benchmark's ratios must know, or nothing."""
    count = draws(run)
    if not run.of("effect") or count >= FEWEST:
        return ""
    return ONE_PROCESS if count == 1 else f"{count} processes of each arm: there are no verdicts"


def unfinished(run: Run) -> bool:
    """Whether a benchmark has samples of which no rows were made."""
    measured = run.of("sample") or run.of("replay")
    made = run.of("row") or run.of("called")
    return bool(run.kind == "bench" and run.end is None and measured and not made)


def inconclusive_lines(
    effects: Iterable[Mapping[str, Any]], what: str = "INCONCLUSIVE"
) -> list[str]:
    """What would probably settle what is open, the cheaper of more processes and more quads.

    Args:
        effects: or pairs.
        what: how each line begins.
    """
    grouped: dict[tuple[str, str], list[str]] = defaultdict(list)
    for effect in effects:
        if effect.get("verdict") == "INCONCLUSIVE":
            why = f" ({effect['why']})" if effect.get("why") else ""
            grouped[effect["arm"], _needed(effect) + why].append(effect["workload"])
    alike: dict[tuple[tuple[str, ...], str], list[str]] = defaultdict(list)
    for (arm, text), names in grouped.items():
        alike[tuple(names), text].append(arm)
    return [
        f"{what} {', '.join(arms)} ({', '.join(names)}): {text}"
        for (names, text), arms in alike.items()
    ]


def _needed(effect: Mapping[str, Any]) -> str:
    """`needs about 3 more processes of each arm (40 s)`."""
    if "blocks_needed" in effect:  # format 3 and before
        blocks = effect["blocks_needed"]
        return f"needs about {blocks} more blocks" if blocks else OUT_OF_REACH
    ways = [
        (effect[f"more_{name}_s"], f"needs about {counted(effect[f'more_{name}'], words)}")
        for name, words in (("processes", "more process"), ("quads", "more quad"))
        if effect.get(f"more_{name}")
    ]  # fmt: skip
    if not ways:
        return OUT_OF_REACH
    seconds, text = min(ways)
    where = "of each arm" if "process" in text else "in each process"
    return f"{text} {where} ({about(seconds)})"
