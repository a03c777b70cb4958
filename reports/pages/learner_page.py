"""The page that a learner keeps: what was built, its verdict, map, text and times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import convert

from reports.figures.model_map import Map
from reports.pages.headline import Fact, Headline
from reports.pages.rendering import render_template

if TYPE_CHECKING:
    from collections.abc import Mapping

OWN = "candidate"
ARMS = {OWN: "yours", "max": "impl's engine, with a KV cache", "torch": "PyTorch",
        "torch#2": "PyTorch again"}  # fmt: skip
"""By arm, what a learner calls it."""


def learner_page(kept: Mapping[str, Any]) -> str:
    """The page.

    Args:
        kept: `model`, `compiled`, `candidate`, `when`, `verdict`, `verified`, `text`, `times` and
            `steps`, as `verify.learn.whole_model` writes them.
    """
    verified = kept["verified"]
    steps = kept["steps"]
    lines = sum(step["lines"] for step in steps)
    return render_template(
        "learner.html",
        title="My GPT-2 in MAX",
        kicker=f"A GPT-2 in MAX, written in twelve steps · {kept['model']} · {kept['when']}",
        footer="Made by python -m verify learn from gpt2.json beside it.",
        head=_headline(kept, lines),
        map=convert(verified["map"], Map),
        text=kept.get("text") or {},
        times=_times(kept.get("times") or {}),
        no_times=(kept.get("times") or {}).get("reason", ""),
        cpu=(kept.get("times") or {}).get("cpu", ""),
        candidate=kept["candidate"],
        steps=steps,
        lines=lines,
    )


def _headline(kept: Mapping[str, Any], lines: int) -> Headline:
    """The verdict on the whole model, in the learner's terms."""
    verified = kept["verified"]
    figures = [Fact("lines of code", str(lines)), *(Fact(**fact) for fact in verified["figures"])]
    return Headline(
        verdict=kept["verdict"],
        title="Your GPT-2 is the same model as PyTorch's",
        lead=verified["lead"]
        if kept["compiled"]
        else f"{verified['lead']} Its graph was evaluated in float64; nothing was compiled.",
        figures=figures,
    )


def _times(times: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of the benchmark, arms as a learner calls them, and their times over the own."""
    rows = [row for row in times.get("rows", ()) if row["workload"]]
    own = {row["workload"]: row["median_s"] for row in rows if row["arm"] == OWN}
    return [
        {
            **row, "name": ARMS.get(row["arm"], row["arm"]), "own": row["arm"] == OWN,
            "over": row["median_s"] / own[row["workload"]]
            if row["median_s"] and own.get(row["workload"]) else None,
        }
        for row in rows
    ]  # fmt: skip
