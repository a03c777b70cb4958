"""`python -m reports publish RUN ...`: a run's tables and figures, small enough to be committed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pandas as pd

from reports.figures import parity, roofline, saturation, scaling, speed, strips
from reports.figures.arms import exactness, token_latency
from reports.figures.several_runs import over_training, swept
from reports.output.summary import summary
from reports.pages.rendering import TEMPLATES, render_template
from reports.saved.files import write
from reports.saved.records import RECORDS, RecordsError, read_run
from reports.tables.frames import checks_frame, computing_taps, frame_of, layers_frame, modes_frame
from reports.tables.machine_rows import machine_rows
from reports.tables.tidy import NAMES, table_of, write_csv
from reports.tables.units import opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from reports.figures.chart import Chart
    from reports.saved.records import Run

PUBLISHED = "published"
INDEX = "README.md"

BENCH_TABLES = ("row", "effect", "pair", "null", "ceiling", "layer", "memory", "phase", "scaling",
                "called", "load", "load_effect", "knee", "start", "cross_check")  # fmt: skip
"""Kinds of record that are published; samples are left out, because they are large."""

_TWO_COLOURS = re.compile(r"(--[\w-]+):\s*light-dark\((#\w+), (#\w+)\)")


def publish(folders: Sequence[Path], root: Path, suffix: str = "") -> list[Path]:
    """Write each run's tables and figures below `root/published`, and an index over all of them.

    What was published under the same name before is replaced.

    Args:
        folders: of the runs.
        root: the folder that `published` is in.
        suffix: of each name, so that runs on unlike machines stand beside each other.

    Raises:
        RecordsError: if a run cannot be read or has no end, or a file cannot be written.
    """
    where = root / PUBLISHED
    files = [path for folder in folders for path in _publish(read_run(folder), where, suffix)]
    return [*files, _write_index(root / PUBLISHED)]


def _publish(run: Run, root: Path, suffix: str) -> list[Path]:
    if run.end is None:
        raise RecordsError(f"{run.folder} was interrupted: only a whole run is published")
    target = root / "-".join(filter(None, (name_of(run), suffix)))
    target.mkdir(parents=True, exist_ok=True)
    for old in target.iterdir():
        if old.suffix in (".csv", ".svg", ".md"):
            old.unlink()
    tables_of, charts_of = BY_KIND.get(run.kind, (_bench_tables, _bench_charts))
    whole = opened(run)
    tables, charts = tables_of(whole), list(charts_of(whole))
    files = [write(target / f"{name}.svg", svg(chart)) for name, chart in charts]
    for name, frame in tables:
        path = target / f"{name}.csv"
        with path.open("wb") as file:
            write_csv(table_of(frame), file)
        files.append(path)
    if run.kind == "machines":  # small, and what a later table of more machines is made from
        files.append(write(target / RECORDS, (run.folder / RECORDS).read_text(encoding="utf-8")))
    return [*files, write(target / INDEX, _page(run, charts))]


def name_of(run: Run) -> str:
    """The folder of a run: its kind and model, and what tells it from the usual one of these.

    That is a candidate that is not `impl`, a device that is not the CPU, and another precision.
    There is one table of machines, which `python -m bench machines --from` adds machines to.
    """
    if run.kind == "machines":
        return run.kind
    environment = run.environment
    candidate = str(environment.get("candidate") or "impl")
    kind = "serve" if run.of("load_plan") else run.kind
    parts = [kind, str(environment.get("model") or "model")]
    parts += [] if candidate == "impl" else [candidate.rpartition("/")[2]]
    parts += _apart(run)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip("-")


def _apart(run: Run) -> list[str]:
    """The accelerator and the precision of a run, where they are not the usual ones."""
    end, tf32 = run.end or {}, run.environment.get("tf32")
    used = end.get("devices") or [
        row.get("device") for row in run.of("row") if row.get("status") != "SKIP"
    ]
    dtypes = end.get("dtypes") or []
    parts = sorted(
        {str(device).partition(":")[0] for device in used if device not in (None, "cpu")}
    )
    parts += [str(dtype) for dtype in dtypes if dtype != "float32"]
    return [*parts, "tf32"] if tf32 else parts


def _verify_tables(run: Run) -> Iterator[tuple[str, pd.DataFrame]]:
    checks = checks_frame(run)
    yield "layers", layers_frame(checks, (run.end or {}).get("order") or ())
    yield "kinds", modes_frame(checks)
    faults = frame_of(run, "fault")
    if len(faults):
        yield "faults", faults


def _bench_tables(run: Run) -> Iterator[tuple[str, pd.DataFrame]]:
    for kind in BENCH_TABLES:
        frame = frame_of(run, kind)
        if len(frame):
            yield NAMES[kind], frame


def _verify_charts(run: Run) -> Iterator[tuple[str, Chart]]:
    checks = checks_frame(run)
    known = set(computing_taps(checks))
    layers = layers_frame(checks, (run.end or {}).get("order") or ())
    taps = list(dict.fromkeys(tap for tap in layers["tap"] if tap in known))
    for name, make in (("errors", parity.errors_by_place), ("growth", parity.growth)):
        variants = make(checks, taps)
        if variants:
            yield name, variants[0].figure


def _bench_charts(run: Run) -> Iterator[tuple[str, Chart]]:
    for name, figure in (
        ("ratios", speed.ratios(run)),
        ("latency", saturation.latency_by_rate(run)),
        ("answered", saturation.answered_by_rate(run)),
        ("callers", saturation.tokens_by_callers(run)),
    ):
        if figure:
            yield name, figure
    for name, variants in (
        ("exactness", exactness.exactness(run)),
        ("tokens", token_latency.by_position(run)),
        ("strips", strips.strips(run)),
        ("roofline", roofline.rooflines(run)),
        ("scaling", scaling.scalings(run)),
    ):
        if variants:
            yield name, variants[0].figure


def _training_tables(run: Run) -> Iterator[tuple[str, pd.DataFrame]]:
    for kind in ("checkpoint", "point"):
        if len(frame := frame_of(run, kind)):
            yield NAMES[kind], frame


def _training_charts(run: Run) -> Iterator[tuple[str, Chart]]:
    for figure in over_training.figures(run):
        yield figure.name, figure


def _sweep_tables(run: Run) -> Iterator[tuple[str, pd.DataFrame]]:
    yield NAMES["cell"], frame_of(run, "cell")


def _machine_tables(run: Run) -> Iterator[tuple[str, pd.DataFrame]]:
    yield NAMES["machine"], pd.DataFrame(machine_rows(run), dtype=object)


def _sweep_charts(run: Run) -> Iterator[tuple[str, Chart]]:
    for variant in swept.by_machine(run):
        yield variant.figure.name, variant.figure


def _machine_charts(run: Run) -> Iterator[tuple[str, Chart]]:
    if figure := swept.machines(run):
        yield figure.name, figure


BY_KIND = {
    "verify": (_verify_tables, _verify_charts),
    "training": (_training_tables, _training_charts),
    "sweep": (_sweep_tables, _sweep_charts),
    "machines": (_machine_tables, _machine_charts),
}
"""What is published of a run; a benchmark's where its kind is not here."""


def _page(run: Run, charts: Sequence[tuple[str, Chart]]) -> str:
    figures = [f"### {chart.title}\n\n{chart.aid}\n\n![{chart.title}]({name}.svg)\n"
               for name, chart in charts]  # fmt: skip
    return summary(run, figures, heading="#").rstrip() + "\n"


def svg(chart: Chart) -> str:
    """A chart as a separate file, in the reader's light or dark colours."""
    style = (TEMPLATES / "parts/report.css").read_text(encoding="utf-8")
    pairs = _TWO_COLOURS.findall(style)
    light = " ".join(f"{name}: {one};" for name, one, _ in pairs)
    dark = " ".join(f"{name}: {other};" for name, _, other in pairs)
    rules = [line.removeprefix("svg ") for line in style.splitlines() if line.startswith("svg ")]
    rules = [rule.replace(" svg ", " ").replace(", svg ", ", ") for rule in rules]
    return render_template("figure.svg", chart=chart, light=light, dark=dark, rules=rules)


def _write_index(root: Path) -> Path:
    lines = ["# Published runs\n", "Made by `python -m reports publish RUN ...`.\n"]
    for page in sorted(root.glob(f"*/{INDEX}")):
        title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        lines.append(f"- [{page.parent.name}]({page.parent.name}/{INDEX}): {title}")
    return write(root / INDEX, "\n".join(lines) + "\n")
