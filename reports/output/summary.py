"""A run as a short Markdown summary, for a CI system's page or a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.pages.bench_page import bench_headline
from reports.pages.headline import Headline, verify_headline
from reports.tables.frames import checks_frame, effects_frame, layers_frame, modes_frame, rows_frame
from reports.tables.markdown import bench_markdown, verify_markdown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reports.saved.records import Run

SIGNS = {"PASS": "✅", "MEASURED": "✅", "FAIL": "❌", "ERROR": "❌"}
"""A sign before the verdict; everything else has a warning's."""


def summary(run: Run) -> str:
    """The headline, and the tables folded away below it."""
    verify = run.kind == "verify"
    checks = checks_frame(run) if verify else None
    head = bench_headline(run) if checks is None else verify_headline(run, checks)
    if checks is None:
        tables = bench_markdown(run, rows_frame(run), effects_frame(run))
    else:
        layers = layers_frame(checks, (run.end or {}).get("order") or ())
        tables = verify_markdown(run, checks, layers, modes_frame(checks))
    return "\n".join([*_lines(run, head), *_folded(tables), ""])


def _lines(run: Run, head: Headline) -> Iterator[str]:
    what = "Verification" if run.kind == "verify" else "Benchmark"
    sign = SIGNS.get(head.verdict, "⚠️")
    yield f"## {sign} {what}: {head.title} ({head.verdict})\n"
    yield f"{_cell(head.lead)}\n"
    if head.diagnosis:
        yield f"> **Diagnosis:** {_cell(head.diagnosis)}\n"
    for warning in head.warnings:
        yield f"> {warning}\n"
    if head.figures:
        yield "| " + " | ".join(_cell(fact.name) for fact in head.figures) + " |"
        yield "|" + "---|" * len(head.figures)
        values = (f"**{_cell(f.value)}** {_cell(f.more)}".strip() for f in head.figures)
        yield "| " + " | ".join(values) + " |\n"
    yield " · ".join(f"{fact.name} `{fact.value}`" for fact in head.facts) + "\n"
    for fact in head.skipped:
        yield f"- skipped `{fact.name}`: {_cell(fact.value)}"
    yield ""


def _folded(tables: str) -> list[str]:
    """The tables without their heading, behind a line to click on."""
    lines = tables.splitlines()
    starts = (n for n, line in enumerate(lines) if line.startswith(("|", "## ")))
    body = "\n".join(lines[next(starts, len(lines)) :]).strip()
    return ["<details><summary>Tables</summary>\n", body, "\n</details>"] if body else []


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
