"""The page of servers under load."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from reports.figures import saturation
from reports.pages.headline import Fact, Headline, run_facts, run_warnings
from reports.pages.rendering import render_page
from reports.tables.load_markdown import load_name
from reports.tables.numbers import brief, duration, figure, interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reports.saved.records import Run

COLUMNS = (
    ("tokens/s", "tok_s", "short"), ("answers/s", "requests_s", "short"),
    ("arrivals/s", "offered_s", "short"), ("TTFT p50, ms", "ttft_ms_p50", "short"),
    ("TTFT p90", "ttft_ms_p90", "short"), ("TTFT p99", "ttft_ms_p99", "short"),
    ("TPOT p50, ms", "tpot_ms_p50", "short"), ("TPOT p90", "tpot_ms_p90", "short"),
    ("TPOT p99", "tpot_ms_p99", "short"), ("ITL p50, ms", "itl_ms_p50", "short"),
    ("ITL p99", "itl_ms_p99", "short"), ("E2E p50, ms", "e2e_ms_p50", "short"),
    ("E2E p90", "e2e_ms_p90", "short"), ("E2E p99", "e2e_ms_p99", "short"),
    ("goodput", "goodput_share", "percent"), ("requests", "requests", "short"),
    ("checked", "checked", "short"), ("wrong", "wrong", "short"),
    ("client late p50, ms", "client_late_ms_p50", "short"),
    ("client late p99", "client_late_ms_p99", "short"),
    ("client CPU", "client_cpu_share", "percent"),
    ("tokens a piece", "tokens_per_piece", "short"), ("in flight", "in_flight", "short"),
)  # fmt: skip
"""Heading, key and format of the figures in the table of loads."""

MOST_FIGURES = 6
MOST_WRONG = 20


class Lenient(dict[str, Any]):
    """A record that has None for a key that it lacks."""

    def __missing__(self, key: str) -> None:
        return None


def is_load(run: Run) -> bool:
    """Whether a benchmark is one of servers under load."""
    return bool(run.of("load_plan"))


def load_page(run: Run) -> str:
    """The page, from the run's records."""
    rows = [Lenient(row) for row in run.of("load")]
    context: dict[str, Any] = {
        "head": load_headline(run),
        "rows": [Lenient({**row, "name": load_name(row), "errors": _errors(row)}) for row in rows],
        "columns": [c for c in COLUMNS if any(figure(row[c[1]]) is not None for row in rows)],
        "latency": saturation.latency_by_rate(run),
        "answered": saturation.answered_by_rate(run),
        "callers": saturation.tokens_by_callers(run),
        "over_time": saturation.over_time(run),
        "knees": [Lenient({**k, "words": knee_words(k)}) for k in run.of("knee")],
        "starts": [Lenient(one) for one in run.of("start")],
        "effects": _named(run.of("load_effect")),
        "cross": _named(run.of("cross_check")),
        "wrong": _named(_wrong(run)[:MOST_WRONG]),
        "tabs": [("loads", "Loads"), ("servers", "Servers"), ("times", "Over time"),
                 ("run", "This run")],
    }  # fmt: skip
    return render_page("load.html", run, context)


def _named(records: Sequence[Mapping[str, Any]]) -> list[Lenient]:
    """Records with the words of their load."""
    return [Lenient({**one, "name": load_name(one)}) for one in records]


def load_headline(run: Run) -> Headline:
    """The headline of servers under load."""
    verdict, title, lead = _verdict(run)
    skipped = [Fact(str(row["arm"]), _reasons(row)) for row in run.of("load")
               if row.get("status") == "SKIP"]  # fmt: skip
    failures = [f"{one.get('arm')}: {one.get('error')}" for one in run.of("failure")]
    return Headline(
        verdict=verdict, title=title, lead=lead, diagnosis=_first_wrong(run),
        figures=_figures(run), facts=[f for f in run_facts(run) if f.name != "candidate"],
        skipped=skipped, warnings=[*run_warnings(run), *failures],
    )  # fmt: skip


def _verdict(run: Run) -> tuple[str, str, str]:
    statuses = Counter(str(row.get("status")) for row in run.of("load"))
    counted = f"Rows: {', '.join(f'{n} {status}' for status, n in statuses.items())}."
    if not statuses:
        return "EMPTY", "Nothing to show", "No load was completed."
    if run.end is None:
        return "INCOMPLETE", "Not finished", counted
    if _wrong(run):
        return "PARTLY", "Wrong answers under load", counted
    if set(statuses) == {"SKIP"}:
        return "SKIPPED", "Nothing was measured", "Everything was skipped; the reasons are below."
    if set(statuses) - {"VALID", "SKIP"}:
        first = next(r for r in run.of("load") if r.get("status") in ("INVALID", "ERROR"))
        where = " ".join(filter(None, (str(first.get("arm")), load_name(first))))
        return "PARTLY", "Not everything counts", f"{counted} {where}: {_reasons(first)}"
    return "MEASURED", "Every answer is right", counted


def _wrong(run: Run) -> list[dict[str, Any]]:
    return [one for one in run.of("request") if one.get("right") is False]


def _first_wrong(run: Run) -> str:
    """The first wrong answer, with what it says."""
    wrong = _wrong(run)
    if not wrong:
        return ""
    one = wrong[0]
    said = repr(one["text"]) if one.get("text") else f"token ids {one.get('ids')}"
    return (f"First wrong answer: {one.get('arm')}, {load_name(one)}, prompt {one.get('prompt')}: "
            f"{one.get('wrong')}: {said}")  # fmt: skip


def _figures(run: Run) -> list[Fact]:
    """Each server's knee and its most tokens a second; of `max` the time to the first token."""
    facts = []
    for knee in run.of("knee"):
        arm = str(knee.get("arm"))
        facts.append(Fact(f"{arm}: knee, requests/s", _knee_value(knee), knee_words(knee)))
        facts.append(Fact(f"{arm}: tokens/s at most", brief(knee.get("most_tok_s"))))
    facts += [
        Fact(f"{one.get('arm')}: from its start to a token", duration(one.get("first_token_s")),
             f"with {one.get('cache')} caches of compilers")
        for one in run.of("start")
        if one.get("generation") in (-1, 0) and figure(one.get("first_token_s")) is not None
    ]  # fmt: skip
    return facts[: 2 * MOST_FIGURES]


def _knee_value(knee: Mapping[str, Any]) -> str:
    if figure(knee.get("knee_s")) is not None:
        return brief(knee["knee_s"])
    return f"{knee['beyond']} the rates" if knee.get("beyond") else "-"


def knee_words(knee: Mapping[str, Any]) -> str:
    """The knee with its interval, in words."""
    if knee.get("beyond") is None:
        return "not known: it takes two rates, and one request at a time"
    if knee["beyond"]:
        return f"{knee['beyond']} the rates that were tried"
    told = interval(knee.get("knee_ci_lo"), knee.get("knee_ci_hi"))
    return f"95%: {told}" if told else "its interval reaches beyond the rates that were tried"


def _errors(row: Mapping[str, Any]) -> str:
    errors = row.get("errors")
    return (
        ", ".join(f"{n} {kind}" for kind, n in errors.items()) if isinstance(errors, dict) else ""
    )


def _reasons(row: Mapping[str, Any]) -> str:
    reasons: Sequence[Any] = row.get("invalid_reasons") or []
    return "; ".join(map(str, reasons))
