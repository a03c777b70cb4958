"""A run as a short Markdown summary, for a CI system's page or a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.pages.bench_page import bench_headline
from reports.pages.endpoint_page import endpoint_headline
from reports.pages.headline import Headline, verify_headline
from reports.pages.machines_page import machines_headline
from reports.pages.rendering import KINDS
from reports.pages.spread_page import spread_headline
from reports.pages.sweep_page import sweep_headline
from reports.pages.training_page import training_headline
from reports.tables.frames import checks_frame, effects_frame, layers_frame, modes_frame, rows_frame
from reports.tables.markdown import bench_tables, endpoint_tables, verify_tables
from reports.tables.spread_markdown import spread_tables
from reports.tables.training_markdown import training_tables
from reports.tables.unit_markdown import machines_tables, sweep_tables
from reports.tables.units import opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reports.saved.records import Run

SIGNS = {"PASS": "✅", "MEASURED": "✅", "FAIL": "❌", "ERROR": "❌"}
"""A sign before the verdict; everything else has a warning's."""


def summary(run: Run, figures: Sequence[str] = (), *, heading: str = "##") -> str:
    """The headline, figures, and the tables folded away below them.

    Args:
        run: its records.
        figures: Markdown to put between headline and tables.
        heading: what its first line begins with.
    """
    kinds = {"verify": _verification, "endpoint": _endpoint, "campaign": _spread, "rules": _spread,
             "sweep": _sweep, "machines": _machines, "training": _training}  # fmt: skip
    head, tables = kinds.get(run.kind, _benchmark)(run)
    return "\n".join(
        [f"{heading} {title(run, head)}\n", *_lines(head), *figures, *_folded(tables), ""]
    )


def _verification(run: Run) -> tuple[Headline, str]:
    checks = checks_frame(run)
    layers = layers_frame(checks, (run.end or {}).get("order") or ())
    return verify_headline(run, checks), verify_tables(checks, layers, modes_frame(checks))


def _endpoint(run: Run) -> tuple[Headline, str]:
    return endpoint_headline(run), endpoint_tables(run)


def _benchmark(run: Run) -> tuple[Headline, str]:
    return bench_headline(run), bench_tables(run, rows_frame(run), effects_frame(run))


def _spread(run: Run) -> tuple[Headline, str]:
    return spread_headline(run), spread_tables(run)


def _training(run: Run) -> tuple[Headline, str]:
    return training_headline(run), training_tables(run)


def _sweep(run: Run) -> tuple[Headline, str]:
    return sweep_headline(opened(run)), sweep_tables(opened(run))


def _machines(run: Run) -> tuple[Headline, str]:
    return machines_headline(opened(run)), machines_tables(opened(run))


def title(run: Run, head: Headline) -> str:
    """What ran, and the verdict in words."""
    what = KINDS.get(run.kind, run.kind)
    sign = SIGNS.get(head.verdict, "⚠️")
    return f"{sign} {what}: {head.title} ({head.verdict})"


def _lines(head: Headline) -> Iterator[str]:
    yield f"{_cell(head.lead)}\n"
    if head.diagnosis:
        yield f"> **Diagnosis:** {_cell(' '.join([head.diagnosis, *head.further]))}\n"
    if head.blame:
        yield f"> **MAX or the port?** {_cell(head.blame)}\n"
    if head.graph:
        yield f"> **Graph of {head.graph.tap}:** {_cell(head.graph.summary)}\n"
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
    """The tables under a line to click on."""
    body = tables.strip()
    return ["<details><summary>Tables</summary>\n", body, "\n</details>"] if body else []


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
