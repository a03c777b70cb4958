"""From requests and levels to rows: one for each server and load, VALID or with the reason.

A row is INVALID where what is served was not verified, where an answer was wrong, where more than
1% of the requests failed (what fails fast would look fast), or where the client was the bottleneck:

- it computed for more than `MOST_CPU` of the time, or
- at the median, or at the 99th percentile where that is known, it was late by more than a tenth of
  the time to first token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.asking.level import level_name
from bench.judge.estimate import median_time
from bench.serving.latency import errors_of, latencies, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bench.judge.statistics import Turns
    from bench.serving.load_plan import LoadPlan

    Record = Mapping[str, Any]

MOST_CPU = 0.8
MOST_LATE = 0.1
MOST_FAILED = 0.01
PLACE = ("model", "workload", "arm", "device", "dtype", "threads")
KEY = ("arm", "loop", "load")


def load_rows(
    records: Sequence[Record], plan: LoadPlan, unproven: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """A row for each server and load, and one for each server that did not come so far.

    Args:
        records: of the run.
        plan: what was measured.
        unproven: by server, why what it serves is not verified.
    """
    levels = grouped((r for r in records if r["record"] == "level"), KEY)
    requests = grouped((r for r in records if r["record"] == "request" and r["counts"]), KEY)
    rows = [
        _row(some, requests.get(key, []), plan, (unproven or {}).get(key[0], ""))
        for key, some in levels.items()
    ]
    order = {arm: place for place, arm in enumerate(plan.arms)}
    rows.sort(key=lambda row: (row["loop"], row["load"], order[row["arm"]]))
    return [*rows, *_missing(records, {row["arm"] for row in rows})]


def grouped(records: Iterable[Record], keys: Sequence[str]) -> dict[tuple[Any, ...], list[Record]]:
    """Records that have the same values of some keys, in the order of their first."""
    found: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        found.setdefault(tuple(record[key] for key in keys), []).append(record)
    return found


def turns_of(levels: Iterable[Record], time_of: Callable[[Record], float | None]) -> Turns:
    """A time of each level, by generation: upwards and downwards are one quad."""
    found: Turns = {}
    for level in levels:
        time = time_of(level)
        if time:
            found.setdefault((level["generation"], 0), []).append(time)
    return found


def seconds_a_token(level: Record) -> float | None:
    """What a token takes, of all that come at once."""
    return 1 / level["tok_s"] if level["tok_s"] else None


def _row(
    levels: Sequence[Record], requests: Sequence[Record], plan: LoadPlan, unproven: str
) -> dict[str, Any]:
    first, figures = levels[0], latencies(requests)
    seconds = sum(level["seconds"] for level in levels)
    found = median_time(turns_of(levels, seconds_a_token))
    judged = [one["right"] for one in requests if not one["error"]]
    good = sum(within(one, plan.slo_ttft_ms, plan.slo_tpot_ms) for one in requests)
    row: dict[str, Any] = {
        "record": "load", **{key: first[key] for key in PLACE},
        "loop": first["loop"], "load": first["load"],
        "processes": len({level["generation"] for level in levels}),
        "seconds": seconds, "requests": len(requests),
        "checked": sum(right is not None for right in judged),
        "wrong": sum(right is False for right in judged),
        "errors": errors_of(requests),
        **{key: float(np.mean([level[key] for level in levels]))
           for key in ("offered_s", "requests_s", "tok_s")},
        "tok_s_ci_lo": 1 / found.high if found and found.high else None,
        "tok_s_ci_hi": 1 / found.low if found and found.low else None,
        "goodput_s": good / seconds,
        "goodput_share": good / len(requests) if requests else None,
        **figures,
        "tokens_per_piece": _mean(levels, "tokens_per_piece"),
        "in_flight": max(level["in_flight"] for level in levels),
        **{key: max(level[key] for level in levels) for key in
           ("client_late_ms_p50", "client_late_ms_p99", "client_late_ms_max",
            "client_cpu_share")},
    }  # fmt: skip
    reasons = [*([unproven] if unproven else []), *_reasons(row, requests)]
    status = "ERROR" if requests and not judged else "INVALID" if reasons else "VALID"
    return {**row, "status": status, "invalid_reasons": reasons}


def _mean(levels: Sequence[Record], key: str) -> float | None:
    values = [level[key] for level in levels if level[key] is not None]
    return float(np.mean(values)) if values else None


def _reasons(row: Record, requests: Sequence[Record]) -> Iterable[str]:
    if not requests:
        yield "no request was scheduled in the time that counts"
        return
    if row["wrong"]:
        first = next(one for one in requests if one["right"] is False)
        yield (f"{row['wrong']} of {row['checked']} answers are wrong; the first, to prompt "
               f"{first['prompt']}: {first['wrong']}")  # fmt: skip
    failed = sum(row["errors"].values())
    if failed > MOST_FAILED * len(requests):
        kinds = ", ".join(f"{count} {kind}" for kind, count in row["errors"].items())
        yield f"{failed} of {len(requests)} requests failed: {kinds}"
    if not row["checked"] and failed < len(requests):
        yield "no answer was checked"
    yield from bottleneck(row)


def bottleneck(row: Record) -> Iterable[str]:
    """Why the client was what limited a row; nothing where it was not."""
    if row["client_cpu_share"] > MOST_CPU:
        yield f"the client was the bottleneck: it computed for {row['client_cpu_share']:.0%} of it"
    for percent in (50, 99):
        late, ttft = row[f"client_late_ms_p{percent}"], row[f"ttft_ms_p{percent}"]
        if ttft is not None and late > MOST_LATE * ttft:
            yield (f"the client was the bottleneck: late by {late:.2g} ms at p{percent}, where the "
                   f"first token takes {ttft:.3g} ms")  # fmt: skip
            return


def _missing(records: Sequence[Record], there: set[Any]) -> list[dict[str, Any]]:
    """Servers without any row: those that could not run, or did not answer."""
    found = {}
    for start in records:
        if start["record"] == "start" and start["arm"] not in there and (
            reason := start["skipped"] or start["error"]
        ):  # fmt: skip
            status = "SKIP" if start["skipped"] else "ERROR"
            place = {key: start[key] for key in PLACE}
            found[start["arm"]] = {"record": "load", **place, "loop": None, "load": None,
                                   "status": status, "invalid_reasons": [reason]}  # fmt: skip
    return list(found.values())


def row_name(row: Record) -> str:
    """`max, 4 at a time`."""
    level = f", {level_name(row['loop'], row['load'])}" if row["loop"] else ""
    return f"{row['arm']}{level}"
