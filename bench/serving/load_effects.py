"""Servers beside each other, and each one's knee: by processes, as `bench.judge` compares arms.

A quad is one process of each server, upwards and downwards. So a ratio has the interval of its
generations, and none from fewer than three.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.judge.estimate import estimate
from bench.judge.verdict import judge
from bench.serving.latency import times_of
from bench.serving.load_rows import KEY, PLACE, grouped, seconds_a_token, turns_of
from bench.serving.saturation import knee_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.judge.statistics import Turns
    from bench.serving.load_plan import LoadPlan

    Record = Mapping[str, Any]

METRICS = ("token", "ttft", "tpot")
"""Time of a token (of all that come at once), to the first one, and of each after it (medians)."""


def load_effects(
    records: Sequence[Record], rows: Sequence[Record], plan: LoadPlan
) -> list[dict[str, Any]]:
    """Each server's times over the first one's, at each load where both are VALID."""
    valid = {tuple(r[k] for k in KEY): r for r in rows if r["status"] == "VALID"}
    turns = {key: _all_turns(records, key) for key in valid}
    baseline, *others = plan.arms
    return [
        _effect(valid[key], metric, baseline, turns[key][metric], turns[base][metric], plan.margin)
        for key in valid
        if key[0] in others and (base := (baseline, *key[1:])) in valid
        for metric in METRICS
        if (key[1] == "closed" or metric != "token")
        and turns[key][metric] and turns[base][metric]
    ]  # fmt: skip


def _all_turns(records: Sequence[Record], key: tuple[Any, ...]) -> dict[str, Turns]:
    levels = [r for r in records if r["record"] == "level" and tuple(r[k] for k in KEY) == key]
    requests = grouped(
        (r for r in records if r["record"] == "request" and r["counts"]
         and tuple(r[k] for k in KEY) == key), ("generation", "round"),
    )  # fmt: skip

    def median(level: Record, name: str) -> float | None:
        some = requests.get((level["generation"], level["round"]), [])
        times = [t for one in some if (t := times_of(one)[name]) is not None]
        return float(np.median(times)) if times else None

    return {
        "token": turns_of(levels, seconds_a_token),
        "ttft": turns_of(levels, lambda level: median(level, "ttft")),
        "tpot": turns_of(levels, lambda level: median(level, "tpot")),
    }


def _effect(
    row: Record, metric: str, versus: str, arm: Turns, other: Turns, margin: float
) -> dict[str, Any]:
    found = estimate(arm, other)
    if found is None:  # a server that ended before the second round
        return {"record": "load_effect", **{k: row[k] for k in (*PLACE, "loop", "load")},
                "versus": versus, "metric": metric, "ratio": None, "ci_lo": None, "ci_hi": None,
                "processes": 0, "margin": margin, "verdict": "INCONCLUSIVE",
                "more_processes": None, "why": "no process went through all loads"}  # fmt: skip
    said = judge(found, margin)
    return {
        "record": "load_effect", **{k: row[k] for k in (*PLACE, "loop", "load")},
        "versus": versus, "metric": metric, "ratio": found.value, "ci_lo": found.low,
        "ci_hi": found.high, "processes": found.generations, "margin": margin,
        "verdict": said.verdict, "more_processes": said.more_processes, "why": said.why or None,
    }  # fmt: skip


def knees(records: Sequence[Record], plan: LoadPlan) -> list[dict[str, Any]]:
    """Each server's knee, and the most that it answered."""
    found = []
    for arm in plan.arms:
        own = [r for r in records if r.get("arm") == arm]
        levels = [r for r in own if r["record"] == "level"]
        if not levels:
            continue
        most = max(levels, key=lambda level: level["requests_s"])
        place = {key: levels[0][key] for key in PLACE}
        found.append({"record": "knee", **place, "most_requests_s": most["requests_s"],
                      "most_loop": most["loop"], "most_load": most["load"],
                      "most_tok_s": max(level["tok_s"] for level in levels),
                      **_knee(own, plan.seed)})  # fmt: skip
    return found


def _knee(own: Sequence[Record], seed: int) -> dict[str, Any]:
    times = {
        key: [t for one in some if (t := times_of(one)["e2e"]) is not None]
        for key, some in grouped(
            (r for r in own if r["record"] == "request" and r["counts"]), ("loop", "load")
        ).items()
    }
    curve = [(load, some) for (loop, load), some in times.items() if loop == "open"]
    knee = knee_of(times.get(("closed", 1), []), curve, seed)
    if knee is None:
        return {"knee_s": None, "knee_ci_lo": None, "knee_ci_hi": None, "beyond": None,
                "alone_ms": None}  # fmt: skip
    return {"knee_s": knee.rate, "knee_ci_lo": knee.low, "knee_ci_hi": knee.high,
            "beyond": knee.beyond, "alone_ms": knee.alone_ms}  # fmt: skip


def wrong_answers(records: Sequence[Record]) -> list[Record]:
    """Requests whose answer was wrong, in the order in which they were asked."""
    wrong = [r for r in records if r["record"] == "request" and r["right"] is False]
    return sorted(wrong, key=lambda one: one.get("scheduled_ns") or math.inf)
