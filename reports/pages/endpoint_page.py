"""The page of an endpoint's run: is a running server the model that it says it serves?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.pages.headline import Fact, Headline, run_facts, run_warnings
from reports.pages.rendering import render_page
from reports.tables.numbers import figure, percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reports.saved.records import Run

MOST_ANSWERS = 300
"""Single answers that the page lists, wrong ones first; answers.csv has all."""


def endpoint_page(run: Run) -> str:
    """The page, from a run's records."""
    answers = sorted(run.of("answer"), key=lambda one: one.get("verdict") == "PASS")
    planted = run.of("planted")
    context: dict[str, Any] = {
        "head": endpoint_headline(run),
        "wrong": (run.end or {}).get("first_wrong"),
        "cases": [case for case in run.of("case") if case.get("group") != "operation"],
        "treated": [case for case in run.of("case") if case.get("group") == "operation"],
        "planted": planted,
        "states": {"caught": "PASS", "missed": "UNDERPOWERED"},
        "answers": answers[:MOST_ANSWERS],
        "answers_note": _note(len(answers)),
        "unchecked": list((run.end or {}).get("unchecked") or ()),
    }
    tabs = [("cases", "Questions"), ("operation", "Bad questions"), ("planted", "Planted faults"),
            ("answers", "Answers"), ("run", "This run")]  # fmt: skip
    shown = {"cases": context["cases"], "operation": context["treated"], "planted": planted,
             "answers": answers, "run": True}  # fmt: skip
    context["tabs"] = [(name, text) for name, text in tabs if shown[name]]
    return render_page("endpoint.html", run, context)


def endpoint_headline(run: Run) -> Headline:
    """The headline of an endpoint's run."""
    verdict, title, lead = _verdict(run)
    return Headline(
        verdict=verdict,
        title=title,
        lead=lead,
        figures=_figures(run),
        facts=[
            Fact("endpoint", str(run.environment.get("endpoint") or "unknown")),
            Fact("served as", str(run.environment.get("served_name") or "unknown")),
            Fact("declared", str(run.environment.get("dtype") or "unknown")),
            *(fact for fact in run_facts(run) if fact.name not in _NOT_THE_SERVERS),
        ],
        skipped=[Fact("not checked", text) for text in (run.end or {}).get("unchecked") or ()],
        warnings=run_warnings(run),
    )


_NOT_THE_SERVERS = ("candidate", "device")
"""Facts of a run in this process, which an endpoint's page cannot know of the server."""


def _verdict(run: Run) -> tuple[str, str, str]:
    cases = run.of("case")
    if not cases:
        return "EMPTY", "Nothing was asked", "No case was recorded in this run."
    failed = [case for case in cases if case.get("verdict") == "FAIL"]
    if run.end is None:
        text = f"{len(cases) - len(failed)} of the {len(cases)} cases asked until then passed."
        return "FAIL" if failed else "INCOMPLETE", "Not finished", text
    verdict = str(run.end.get("verdict"))
    match verdict:
        case "PASS":
            return verdict, "It answers as the model would", _passed(run)
        case "FAIL":
            return verdict, _how_it_fails(failed), _failed(run, failed)
        case "UNDERPOWERED":
            return verdict, "Not proven", _missed(run)
    return verdict, "Could not be judged", ""


def _how_it_fails(failed: Sequence[Mapping[str, Any]]) -> str:
    if all(case.get("group") == "operation" for case in failed):
        return "It answers as the model would, but not every bad question as it should"
    return "It does not answer as the model would"


def _passed(run: Run) -> str:
    counts = (run.end or {}).get("counts") or {}
    most = max((int(case.get("at_once") or 1) for case in run.of("case")), default=1)
    return (
        f"{counts.get('answers'):,} answers of {counts.get('tokens'):,} tokens in all are the "
        f"model's own, asked up to {most} at once."
    )


def _failed(run: Run, failed: Sequence[Mapping[str, Any]]) -> str:
    wrong = (run.end or {}).get("first_wrong") or {}
    rest = f" {len(failed)} of {len(run.of('case'))} cases fail." if len(failed) > 1 else ""
    message = str(wrong.get("message")).rstrip(".")
    return f"In “{wrong.get('case')}”: {message}.{rest}"


def _missed(run: Run) -> str:
    missed = [str(one.get("text")) for one in run.of("planted") if one.get("state") == "missed"]
    return "Every answer is right, but these questions would not notice that " + "; or that ".join(
        missed
    )


def _figures(run: Run) -> list[Fact]:
    cases = run.of("case")
    right = sum(case.get("verdict") == "PASS" for case in cases)
    figures = [Fact("cases right", f"{right} of {len(cases)}")]
    counts = (run.end or {}).get("counts") or {}
    if counts:
        figures.append(Fact("answers wrong", f"{counts['wrong']:,} of {counts['answers']:,}"))
        figures.append(Fact("tokens, ties", f"{counts['tokens']:,}, {counts['ties']}"))
    if figure(counts.get("used")) is not None:
        used = percent(counts["used"])
        figures.append(Fact("of the allowed error of a log-probability, at most", used))
    planted = [one for one in run.of("planted") if one.get("state") != "not applicable"]
    if planted:
        caught = sum(one.get("state") == "caught" for one in planted)
        unlike = len(run.of("planted")) - len(planted)
        more = f"{unlike} not possible here" if unlike else ""
        figures.append(Fact("planted faults noticed", f"{caught} of {len(planted)}", more))
    return figures


def _note(count: int) -> str:
    text = "Wrong ones come first."
    if count > MOST_ANSWERS:
        text += f" {MOST_ANSWERS} of {count:,} are listed; answers.csv and .parquet hold all."
    return text
