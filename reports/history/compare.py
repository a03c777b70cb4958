"""`python -m reports compare ONE OTHER`: two runs, A and B, on one page.

Of two verifications the page shows both as maps of the model and a third of what their errors
differ by; of two benchmarks how the time of each arm changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.commands import as_called
from reports.history import unlike
from reports.history.bench_pair import bench_context, computed_for, name_of
from reports.history.entries import Point, is_step, run_lines
from reports.history.verify_answer import Answer
from reports.history.verify_pair import verify_context
from reports.pages.bench_page import bench_headline
from reports.pages.endpoint_page import endpoint_headline
from reports.pages.headline import moment_of, verify_headline
from reports.pages.load_page import is_load
from reports.pages.rendering import command_line, render_template
from reports.pages.training_page import training_headline
from reports.saved.files import comparison_file, write
from reports.saved.records import RecordsError
from reports.tables.frames import checks_frame
from reports.tables.numbers import duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reports.pages.headline import Headline
    from reports.saved.records import Run


@dataclass(frozen=True, slots=True)
class Pair:
    """One figure of both runs.

    Attributes:
        name: the workload and arm.
        shown: of both runs, written; a dash where a run has none.
        change: second over first; None where one of them is missing or zero.
        differs: whether they differ (intervals apart, or by more than a quarter).
    """

    name: str
    shown: tuple[str, str]
    change: float | None
    differs: bool


@dataclass(frozen=True, slots=True)
class Head:
    """One of both runs: its letter, its name, what ran, and what it says by itself."""

    letter: str
    name: str
    subject: str
    command: str
    moment: str
    headline: Headline


def compare_page(one: Run, other: Run, computed: Mapping[str, Any] | None = None) -> str:
    """A page of both runs.

    Args:
        one: A.
        other: B.
        computed: of two benchmarks, what `python -m bench compare` found; where it is None, what
            it left in the second's folder of these two, if anything.

    Raises:
        RecordsError: if they are not of one kind.
    """
    if one.kind != other.kind:
        raise RecordsError(
            f"{one.folder.name} is of kind {one.kind}, {other.folder.name} of kind {other.kind}: "
            "only runs of one kind can be compared"
        )
    heads = [_head("A", one), _head("B", other)]
    template, context = _shown(one, other, computed, heads)
    answer: Answer = context["answer"]
    return render_template(
        template,
        title=answer.sentence,
        kicker=f"Two runs · A: {heads[0].name} · B: {heads[1].name}",
        footer=as_called("Made from saved records; `python -m reports compare` makes it again."),
        heads=heads,
        machines=unlike.machines(one, other),
        settings=unlike.settings(one, other),
        versions=unlike.versions(one, other),
        environment=unlike.environments(one, other),
        **context,
    )


def write_page(
    one: Run, other: Run, out: Path | None = None, computed: Mapping[str, Any] | None = None
) -> Path:
    """Write the page of two runs, into the second's folder unless another file is named.

    Raises:
        RecordsError: if they are not of one kind, or the file cannot be written.
    """
    path = out or comparison_file(one.folder, other.folder, "html")
    return write(path, compare_page(one, other, computed))


def _shown(
    one: Run, other: Run, computed: Mapping[str, Any] | None, heads: list[Head]
) -> tuple[str, dict[str, Any]]:
    """The template of a kind of run, and what it shows."""
    if one.kind == "verify":
        return "compare_verify.html", verify_context(one, other)
    if one.kind == "bench" and not any(is_load(run) for run in (one, other)):
        context = bench_context(one, other, computed or computed_for(one, other))
        return "compare_bench.html", {**context, "medians": compared(one, other)}
    verdicts = [head.headline.verdict for head in heads]
    sentence = f"A is {verdicts[0]}, B is {verdicts[1]}."
    return "compare.html", {"answer": Answer(verdicts[1], sentence)}


def compared(one: Run, other: Run) -> list[Pair]:
    """The median times of two benchmarks, what differs first."""
    lines = [run_lines(run) for run in (one, other)]
    pairs = [
        _pair(name, lines[0].get(name), lines[1].get(name))
        for name in dict.fromkeys([*lines[0], *lines[1]])
    ]
    return sorted(pairs, key=lambda pair: not pair.differs)


def _pair(name: str, first: Point | None, second: Point | None) -> Pair:
    values = tuple(duration(point.value) if point else "-" for point in (first, second))
    change = second.value / first.value if first and second and first.value else None
    differs = is_step(first, second) if first and second else True
    return Pair(name, (values[0], values[1]), change, differs)


def _head(letter: str, run: Run) -> Head:
    headline: Headline
    if run.kind == "verify":
        headline = verify_headline(run, checks_frame(run))
    else:
        own = {"endpoint": endpoint_headline, "training": training_headline}
        headline = own.get(run.kind, bench_headline)(run)
    moment = moment_of(run.header.get("started_utc"))
    return Head(
        letter=letter,
        name=name_of(run),
        subject=str(run.environment.get("candidate") or run.environment.get("model") or ""),
        command=command_line(run),
        moment=moment.strftime("%Y-%m-%d %H:%M UTC") if moment else "",
        headline=headline,
    )
