"""Servers under load as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.tables.numbers import NONE, brief, figure, interval, percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reports.saved.records import Run


def load_name(record: Mapping[str, Any]) -> str:
    """A load in the words that tables show: `4 at a time`, `12.5/s`."""
    load = figure(record.get("load"))
    if load is None:
        return ""
    return f"{load:g} at a time" if record.get("loop") == "closed" else f"{load:.3g}/s"


def load_tables(run: Run) -> Iterable[tuple[str, list[dict[str, str]]]]:
    """Headings, and rows of texts below each."""
    yield "", [_load(row) for row in run.of("load")]
    yield "Where each stops keeping up", [_knee(knee) for knee in run.of("knee")]
    yield "Times over the first server's", [_effect(one) for one in run.of("load_effect")]
    yield "The same load by max benchmark", [_cross(one) for one in run.of("cross_check")]
    yield "Starts", [_start(one) for one in run.of("start")]


def _load(row: Mapping[str, Any]) -> dict[str, str]:
    spreads = {
        name.upper() + ", ms: p50 p90 p99": " ".join(
            brief(row.get(f"{name}_ms_p{p}")) for p in (50, 90, 99)
        )
        for name in ("ttft", "tpot", "e2e")
    }
    errors: Mapping[str, int] = row.get("errors") or {}
    late = [brief(row.get(f"client_late_ms_p{p}")) for p in (50, 99)]
    return {
        "load": load_name(row), "server": str(row.get("arm")), "dtype": str(row.get("dtype")),
        "tokens/s": brief(row.get("tok_s")), "answers/s": brief(row.get("requests_s")), **spreads,
        "goodput": percent(row.get("goodput_share")), "requests": brief(row.get("requests")),
        "errors": ", ".join(f"{count} {kind}" for kind, count in errors.items()),
        "client late, ms: p50 p99": " ".join(late), "status": str(row.get("status")),
        "reasons": "; ".join(map(str, row.get("invalid_reasons") or [])),
    }  # fmt: skip


def _knee(knee: Mapping[str, Any]) -> dict[str, str]:
    beyond = knee.get("beyond")
    rate = f"{beyond} what was tried" if beyond else brief(knee.get("knee_s"))
    return {
        "server": str(knee.get("arm")), "knee, requests/s": rate,
        "95% interval": interval(knee.get("knee_ci_lo"), knee.get("knee_ci_hi")),
        "alone, ms": brief(knee.get("alone_ms")),
        "answers/s at most": brief(knee.get("most_requests_s")),
        "tokens/s at most": brief(knee.get("most_tok_s")),
    }  # fmt: skip


def _effect(effect: Mapping[str, Any]) -> dict[str, str]:
    return {
        "server": str(effect.get("arm")), "over": str(effect.get("versus")),
        "load": load_name(effect), "time of": str(effect.get("metric")),
        "ratio": brief(effect.get("ratio")),
        "95% interval": interval(effect.get("ci_lo"), effect.get("ci_hi")),
        "processes": str(effect.get("processes")), "verdict": str(effect.get("verdict")),
        "why": str(effect.get("why") or ""),
    }  # fmt: skip


def _cross(one: Mapping[str, Any]) -> dict[str, str]:
    return {
        "server": str(one.get("arm")), "load": load_name(one), "figure": str(one.get("metric")),
        "max benchmark": brief(one.get("theirs")), "here": brief(one.get("ours")),
        "unit": str(one.get("unit") or ""), "apart": percent(one.get("apart")),
        "problem": str(one.get("error") or ""),
    }  # fmt: skip


def _start(start: Mapping[str, Any]) -> dict[str, str]:
    generation = start.get("generation")
    return {
        "server": str(start.get("arm")),
        "process": str(generation + 1) if isinstance(generation, int) and generation >= 0 else NONE,
        "caches": str(start.get("cache") or ""), "answers after, s": brief(start.get("ready_s")),
        "first token after, s": brief(start.get("first_token_s")),
        "warm TTFT, ms": brief(start.get("warm_ttft_ms")), "MiB": brief(start.get("rss_mib")),
        "problem": str(start.get("error") or start.get("skipped") or ""),
    }  # fmt: skip
