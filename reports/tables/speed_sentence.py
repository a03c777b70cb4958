"""The first line of a benchmark: is MAX faster than what else ran, over all workloads?

A sentence for each competition (model, device, threads), of the own arm beside its nearest rival in
every workload. What has no verdict, no speed or no ratio is named after it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from reports.tables.numbers import counted, percent
from reports.tables.paired import name_of, standings
from reports.tables.rivals import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from reports.tables.paired import Cell, Says, Standing
    from reports.tables.rivals import Beside

MOST_LISTED = 2
"""Figures of one kind of workload that a sentence lists; of more it has the least and the most."""


def answers(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence or a few for each competition; none where nothing was timed."""
    found = standings(records)
    return [f"{_where(one, found)}{answer(one)}" for one in found]


def title(records: Iterable[Mapping[str, Any]]) -> str:
    """In how many workloads the own arm is the fastest; empty where nothing can be said."""
    found = [one for one in standings(records) if one.main]
    outcomes = [_outcome(one, workload) for one in found for workload in one.workloads]
    if not outcomes or not any(one.rivals for one in found):
        return ""
    own = name_of(found[0].own)
    if set(outcomes) == {"invalid"}:
        return f"{own} has no speed that counts"
    if set(outcomes) == {"open"}:
        return f"No clear verdict on {own}, in {counted(len(outcomes), 'workload')}"
    rivals = {rival for one in found for rival in one.rivals}
    compared = {rival for one in found for rival in one.rivals if _has_ratio(one, rival)}
    return f"{own} {_counted(outcomes, compared, whole=compared == rivals)}" if compared else ""


def _has_ratio(standing: Standing, arm: str) -> bool:
    return any(cell.ratio for (name, _), cell in standing.cells.items() if name == arm)


def _counted(outcomes: Sequence[str], compared: set[str], *, whole: bool) -> str:
    """`is the fastest in 2 of 3 workloads, slower in 1`.

    Args:
        outcomes: of every workload.
        compared: the rivals that have a ratio.
        whole: whether these are all.
    """
    one = name_of(next(iter(compared))) if len(compared) == 1 else ""
    fastest = "the fastest" if whole else "the fastest of those compared"
    words = {
        "faster": f"faster than {one}" if one else fastest,
        "slower": f"slower than {one}" if one else "slower than another arm",
        "same": f"as fast as {one}" if one else "level with the fastest",
        "open": "undecided",
        "none": "without a ratio", "invalid": "without a speed that counts",
    }  # fmt: skip
    counts = Counter(outcomes)
    total = len(outcomes)
    if len(counts) == 1:
        every = {1: "", 2: " in both workloads"}.get(total, f" in all {total} workloads")
        return f"is {words[outcomes[0]]}{every}"
    first, *later = (kind for kind in words if counts[kind])
    rest = (f"{words[kind].removesuffix(f' than {one}')} in {counts[kind]}" for kind in later)
    return f"is {words[first]} in {counts[first]} of {total} workloads, {', '.join(rest)}"


def _outcome(standing: Standing, workload: str) -> str:
    """What all rivals together say of the own arm in one workload."""
    if standing.rows[workload].get("status") != "VALID":
        return "invalid"
    said = {
        cell.says
        for rival in standing.rivals
        if (cell := standing.cells.get((rival, workload))) and cell.ratio
    }
    for kind in ("slower", "open", "same", "faster"):
        if kind in said:
            return kind
    return "none"


def answer(standing: Standing) -> str:
    """How fast the own arm is beside its rivals, and what is not compared, and why."""
    own = name_of(standing.own)
    if not standing.arms:
        return f"No other arm took part beside {own}."
    found = nearest(standing)
    return " ".join(filter(None, (_clauses(standing, found), *_rest(standing, found))))


def _clauses(standing: Standing, found: Sequence[Beside]) -> str:
    """`Decode after 32 tokens: MAX is ...; prompts of 128 tokens: ...`, decode first."""
    groups: dict[tuple[bool, tuple[Says, bool]], list[Beside]] = {}
    ordered = sorted(found, key=lambda one: not _is_decode(standing, one.workload))
    for one in ordered:
        groups.setdefault((_is_decode(standing, one.workload), one.kind), []).append(one)
    texts = [
        f"{_subject(standing, [one.workload for one in group])}: "
        f"{_claim(name_of(standing.own) if number == 0 else '', group)}"
        for number, group in enumerate(groups.values())
    ]
    text = "; ".join(texts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _is_decode(standing: Standing, workload: str) -> bool:
    return bool(standing.rows[workload].get("n_gen"))


def _subject(standing: Standing, workloads: Sequence[str]) -> str:
    """`prompts of 32 and 128 tokens`; names of workloads where words would not tell them apart."""
    words = {name: _words(row) for name, row in standing.rows.items()}
    if len(set(words.values())) < len(words) or not all(words.values()):
        return _listed(workloads) if len(workloads) <= MOST_LISTED else _several(workloads)
    starts, sizes, ends = zip(*(words[name] for name in workloads), strict=True)
    if len(set(starts)) > 1 or len(set(ends)) > 1 or len(workloads) > MOST_LISTED + 1:
        return _several(workloads)
    unit = "token" if sizes == ("1",) else "tokens"
    return f"{starts[0]} {_listed(sizes)} {unit}{ends[0]}"


def _words(row: Mapping[str, Any]) -> tuple[str, str, str] | tuple[()]:
    """How a workload begins, its size, and how it ends: `prompts of`, `128`, `, 4 at once`."""
    batch = int(row.get("batch") or 1)
    at_once = f", {batch} rows at once" if batch > 1 else ""
    if row.get("n_gen") and row.get("n_depth") is not None:
        return "decode after", str(row["n_depth"]), at_once
    if row.get("n_prompt") and not row.get("n_gen"):
        return "prompts of", str(row["n_prompt"]), at_once
    return ()


def _several(workloads: Sequence[str]) -> str:
    return f"{len(workloads)} workloads ({', '.join(workloads)})"


def _claim(own: str, group: Sequence[Beside]) -> str:
    """What a group of workloads has in common, with figures."""
    says, _ = group[0].kind
    is_, takes = (f"{own} is ", f"{own} takes ") if own else ("", "takes ")
    match says:
        case "faster":
            return is_ + _figures(group, "times as fast as", "next", inverse=False)
        case "slower":
            return takes + _figures(group, "times as long as", "fastest", inverse=True)
        case "same":
            margin = percent(group[0].cell.margin - 1)
            figures = _span([one.cell for one in group])
            return f"{is_}as fast as {_rivals(group, 'fastest')}, within {margin}: {figures}"
    text = _figures(group, "times as fast as", "nearest", inverse=False)
    return f"{is_}{text}, which is not conclusive"


def _rank(group: Sequence[Beside]) -> str:
    """How many are faster, where that is more than one."""
    most = max(group, key=lambda one: one.faster)
    return f"; {most.faster} of {most.of} are faster" if most.faster > 1 else ""


def _figures(group: Sequence[Beside], words: str, which: str, *, inverse: bool) -> str:
    """`1.31 [1.20, 1.44] and 1.5 [1.4, 1.6] times as fast as the next (CTranslate2)`."""
    figures = _span([one.cell.inverse if inverse else one.cell for one in group])
    return f"{figures} {words} {_rivals(group, which)}"


def _span(cells: Sequence[Cell]) -> str:
    """Each of a few; of more the least and the most."""
    if len(cells) <= MOST_LISTED:
        return _listed([cell.text for cell in cells])
    ends = sorted(cells, key=lambda cell: cell.ratio or 0.0)
    return f"{ends[0].text} to {ends[-1].text}"


def _rivals(group: Sequence[Beside], which: str) -> str:
    """`the next (CTranslate2)`; the name alone of the only one, and where another may be nearer."""
    names = _listed(list(dict.fromkeys(name_of(one.rival) for one in group)))
    alone = all(one.of == 1 for one in group) or not all(one.first for one in group)
    return names if alone else f"the {which} ({names}{_rank(group)})"


def _rest(standing: Standing, found: Sequence[Beside]) -> list[str]:
    """What the figures are not of, in a sentence each."""
    own = name_of(standing.own)
    texts = [_without_own(standing)]
    if bare := [one.cell for one in found if one.kind[1]]:
        why = f" ({bare[0].reason})" if bare[0].reason else ""
        texts.append(f"There are no intervals, and so no verdicts{why}.")
    named = {(one.rival, one.workload) for one in found}
    open_ = _by_arm(standing, "open", named)
    if open_ and not any(one.kind[1] for one in found):
        texts.append(f"Not conclusive: {own} beside {open_}.")
    texts.append(_not_compared(standing))
    if strangers := standing.strangers:
        kinds = _listed(list(dict.fromkeys(standing.classes[arm] for arm in strangers)))
        texts.append(f"In {kinds} no arm of MAX's took part beside {_names(strangers)}.")
    return [text for text in texts if text]


def _without_own(standing: Standing) -> str:
    """Where the own arm itself has no speed, and why."""
    reasons: dict[str, list[str]] = {}
    for workload, row in standing.rows.items():
        if row.get("status") != "VALID":
            why = "; ".join(map(str, row.get("invalid_reasons") or ()))
            text = f"{row.get('status')}{f': {why}' if why else ''}"
            reasons.setdefault(text, []).append(workload)
    own = name_of(standing.own)
    every = len(standing.workloads)
    return " ".join(
        f"{own} has no speed {'here' if len(names) == every else f'in {_listed(names)}'} ({text})."
        for text, names in reasons.items()
    )


def _by_arm(standing: Standing, says: str, named: set[tuple[str, str]]) -> str:
    """`OpenVINO (pp128)`, of rivals that the figures do not name."""
    found: dict[str, list[str]] = {}
    for (arm, workload), cell in standing.cells.items():
        if cell.says == says and (arm, workload) not in named and arm in standing.rivals:
            found.setdefault(arm, []).append(workload)
    return _listed([f"{name_of(arm)} ({', '.join(names)})" for arm, names in found.items()])


def _not_compared(standing: Standing) -> str:
    """Rivals without a ratio, where the own arm has a speed."""
    found: dict[tuple[str, str], list[str]] = {}
    for (arm, workload), cell in standing.cells.items():
        if cell.ratio is None and standing.rows[workload].get("status") == "VALID":
            found.setdefault((arm, cell.status or "no ratio recorded"), []).append(workload)
    every = len(standing.workloads)
    told = [
        f"{name_of(arm)} ({status}{'' if len(names) == every else f' in {_listed(names)}'})"
        for (arm, status), names in found.items()
        if arm in standing.rivals or arm in standing.strangers
    ]
    return f"Not compared: {_listed(told)}." if told else ""


def _where(standing: Standing, every: Sequence[Standing]) -> str:
    """What tells this competition from the others of the run."""
    names = ("{}", "on {}", "with {}")
    parts = []
    for index, (form, value) in enumerate(zip(names, standing.place, strict=True)):
        if len({str(one.place[index]) for one in every}) > 1:
            parts.append(form.format(counted(int(value), "thread") if index == 2 else value))
    parts += [] if standing.main else [f"in {standing.classes.get(standing.own)}"]
    text = ", ".join(parts)
    begins = text.partition(" ")[0] in ("on", "with", "in")
    return f"{text[0].upper() if begins else text[0]}{text[1:]}: " if text else ""


def _names(arms: Sequence[str]) -> str:
    return _listed([name_of(arm) for arm in arms])


def _listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
