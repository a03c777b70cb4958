"""Frames as Markdown, for people. Every cell that has no figure is empty or a dash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.commands import as_called
from reports.tables.draws import unfinished
from reports.tables.frames import missing
from reports.tables.load_markdown import load_tables
from reports.tables.numbers import (
    brief,
    counted,
    figure,
    interval,
    percent,
    scientific,
    shape,
    short,
)
from reports.tables.paired import name_of, standings, word

if TYPE_CHECKING:
    from reports.saved.records import Run
    from reports.tables.paired import Standing

LEGEND = (
    "error, PyTorch: rms distance to float64 in the worst case. used: share of the allowed error, "
    "each stage alone; free: running free.\n"
)


def verify_markdown(
    run: Run, checks: pd.DataFrame, layers: pd.DataFrame, modes: pd.DataFrame
) -> str:
    """The tables of a verification, by layer and by kind of check."""
    parts = [_title(run, "Verification")]
    if not len(checks):
        return "\n".join([*parts, "No checks were recorded.\n"])
    if (checks["verdict"] == "SKIP").all():
        reasons = "\n".join(f"- {text}" for text in dict.fromkeys(checks["message"].dropna()))
        return "\n".join(
            [*parts, f"Every check was skipped, so nothing is verified.\n\n{reasons}\n"]
        )
    return "\n".join([*parts, verify_tables(checks, layers, modes)])


def verify_tables(checks: pd.DataFrame, layers: pd.DataFrame, modes: pd.DataFrame) -> str:
    """The tables alone; empty where nothing was judged."""
    if not len(checks) or (checks["verdict"] == "SKIP").all():
        return ""
    parts = ["## By layer\n", layer_table(layers), "", LEGEND, ""] if len(layers) else []
    kinds = modes.assign(used=modes["used"].map(percent))
    return "\n".join([*parts, "## By kind of check\n", markdown_table(kinds), ""])


def layer_table(layers: pd.DataFrame, style: str = "pipe") -> str:
    """One row for each place; `style` is one of tabulate's, `pipe` for Markdown."""
    shown = pd.DataFrame(
        {
            "tap": layers["tap"],
            "device": layers["device"],
            "shape": layers["shape"].map(shape),
            "error": layers["error"].map(scientific),
            "PyTorch": layers["pytorch"].map(scientific),
            "used": layers["used"].map(percent),
            "free": layers["used_free"].map(percent),
            "verdict": layers["verdict"],
        }
    )
    one_device = len(set(layers["device"])) <= 1
    return markdown_table(shown.drop(columns="device") if one_device else shown, style)


def bench_markdown(run: Run, rows: pd.DataFrame, effects: pd.DataFrame) -> str:
    """The tables of a benchmark: by workload and arm, ratios, the null, and the ceilings."""
    if run.of("load_plan"):
        return "\n".join([_title(run, "Servers under load"), loads_markdown(run)])
    parts = [_title(run, "Benchmark")]
    if not len(rows):
        samples = len(run.of("sample"))
        finish = as_called(f"python -m bench finish {run.folder}")
        how = f": `{finish}` makes them" if unfinished(run) else ""
        return "\n".join([*parts, f"No rows were recorded ({samples} samples were){how}.\n"])
    if (rows["status"] == "SKIP").all():
        parts.append("Everything was skipped, so nothing was measured.\n")
    return "\n".join([*parts, bench_tables(run, rows, effects)])


def bench_tables(run: Run, rows: pd.DataFrame, effects: pd.DataFrame) -> str:
    """The tables alone; empty without rows."""
    if run.of("load_plan"):
        return loads_markdown(run)
    if not len(rows):
        return ""
    matrices = [table for one in standings(run.records) if (table := _matrix(one))]
    nulls, ceilings = (pd.DataFrame(run.of(kind), dtype=object) for kind in ("null", "ceiling"))
    parts = [*matrices, markdown_table(_bench_table(rows)), ""]
    if len(effects):
        parts += ["## Time of one arm over another's\n", markdown_table(_effect_table(effects)), ""]
    if len(nulls):
        parts += ["## The same arm against itself\n", markdown_table(_effect_table(nulls)), ""]
    if len(ceilings):
        parts += [
            "## What the machine can do at most\n",
            markdown_table(_ceiling_table(ceilings)),
            "",
        ]
    return "\n".join(parts)


def _matrix(standing: Standing) -> str:
    """Each arm's time over the own arm's, arms by workloads; empty where nothing is beside it."""
    if not standing.arms or not standing.main:
        return ""
    own = name_of(standing.own)
    model, device, threads = standing.place
    cells = standing.cells
    frame = pd.DataFrame(
        [
            {"arm": arm}
            | {w: f"{c.text}, {word(c, standing.own)}" if (c := cells.get((arm, w))) and c.ratio
               else c.text if c else "" for w in standing.workloads}
            for arm in standing.arms
        ]
    )  # fmt: skip
    heading = f"## Time of each arm over {own}'s ({model}, {device}, {counted(threads, 'thread')})"
    return f"{heading}\n\nAbove 1, {own} is faster.\n\n{markdown_table(frame)}\n"


def loads_markdown(run: Run) -> str:
    """The tables of servers under load alone; empty where no load came to its end."""
    parts = []
    for heading, rows in load_tables(run):
        if rows:
            parts += [f"## {heading}\n"] if heading else []
            parts += [markdown_table(pd.DataFrame(rows)), ""]
    return "\n".join(parts)


def _bench_table(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "workload": rows["workload"].map(_text),
            "arm": rows["arm"],
            "device": rows["device"],
            "threads": rows["threads"].map(_text),
            "median, ms": rows["median_s"].map(_milliseconds),
            "95% interval, ms": [
                interval(low, high, _milliseconds)
                for low, high in zip(rows["ci_lo_s"], rows["ci_hi_s"], strict=True)
            ],
            "tokens/s": rows["tok_s"].map(_blank),
            "TTFT, ms": rows["ttft_ms"].map(_blank),
            "TPOT, ms": rows["tpot_ms"].map(_blank),
            "limit": _limits(rows).map(_limit),
            "bound": rows["bound"].map(_text),
            "processes differ, %": rows["spread_processes_pct"].map(_blank),
            "quads of one, %": rows["spread_quads_pct"].map(_blank),
            "peak RSS, MiB": rows["peak_rss_mib"].map(_blank),
            "status": rows["status"],
            "reasons": rows["invalid_reasons"].map(_reasons),
        }
    )  # fmt: skip


def _limits(rows: pd.DataFrame) -> pd.Series:
    """The share of what the machine allowed in the same quads; else of the best of the run."""
    if "limit_pct" not in rows:
        return rows["roofline_pct"]
    return rows["limit_pct"].where(rows["limit_pct"].notna(), rows["roofline_pct"])


def _effect_table(effects: pd.DataFrame) -> pd.DataFrame:
    """Ratios of times, and what they say."""
    columns = [
        "workload", "device", "threads", "arm", "versus", "processes", "quads", "verdict", "why",
    ]  # fmt: skip
    shown = effects.reindex(columns=columns).map(_text)
    effects = effects.reindex(columns=["ratio", "ci_lo", "ci_hi"])
    pairs = zip(effects["ci_lo"], effects["ci_hi"], strict=True)
    shown.insert(5, "ratio", effects["ratio"].map(lambda value: brief(value, none="")))
    shown.insert(
        6,
        "95% interval",
        [interval(low, high) for low, high in pairs],
    )
    return shown.loc[:, (shown != "").any()]


def _ceiling_table(ceilings: pd.DataFrame) -> pd.DataFrame:
    columns = ["ceiling", "workload", "device", "threads", "dtype", "unit", "blocks", "what"]
    shown = ceilings.reindex(columns=columns).map(_text)
    rates = ceilings.reindex(columns=["value", "median"]).map(_blank)
    shown.insert(5, "best", rates["value"])
    shown.insert(6, "median", rates["median"])
    return shown


def _title(run: Run, what: str) -> str:
    """The heading, the verdict, and whether the run is whole."""
    environment = run.header.get("environment") or {}
    lines = [f"# {what} {run.header.get('run_id', '')}".rstrip(), ""]
    lines += [f"- model: {environment['model']}"] if "model" in environment else []
    lines += [f"- verdict: {run.end['verdict']}"] if run.end and "verdict" in run.end else []
    lines += [] if run.end else ["- interrupted: this is what was recorded until then"]
    lines += ["- the last record was cut off and is left out"] if run.damaged else []
    return "\n".join([*lines, ""])


def markdown_table(frame: pd.DataFrame, style: str = "pipe") -> str:
    """A frame as text; `style` is one of tabulate's, `pipe` for Markdown."""
    bar = "\\|" if style == "pipe" else "|"
    text = frame.map(lambda value: _text(value).replace("|", bar).replace("\n", " "))
    table: str = text.to_markdown(index=False, disable_numparse=True, tablefmt=style)
    return table


def _text(value: Any) -> str:
    return "" if missing(value) else str(value)


def _reasons(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else _text(value)


def _limit(pct: Any) -> str:
    share = figure(pct)
    return "" if share is None else percent(share / 100)


def _milliseconds(value: Any) -> str:
    seconds = figure(value)
    return "" if seconds is None else short(seconds * 1e3)


def _blank(value: Any) -> str:
    """Four digits; nothing where there is no figure, so that a column without any can go."""
    return short(value, none="")


def endpoint_markdown(run: Run) -> str:
    """The tables of an endpoint's run: by case, and what was planted."""
    return "\n".join([_title(run, "Endpoint parity"), endpoint_tables(run)])


def endpoint_tables(run: Run) -> str:
    """The tables alone; empty where nothing was asked."""
    cases = pd.DataFrame(
        {
            "case": case.get("name"),
            "answers": case.get("answers"),
            "tokens": case.get("tokens"),
            "ties": case.get("ties"),
            "used": percent(case.get("used")),
            "verdict": case.get("verdict"),
            "seen": case.get("message") or "",
        }
        for case in run.of("case")
    )
    planted = pd.DataFrame(
        {
            "planted fault": one.get("fault"),
            "what it is": one.get("text"),
            "state": one.get("state"),
            "noticed in": one.get("case") or "",
        }
        for one in run.of("planted")
    )
    return "\n\n".join(markdown_table(frame) for frame in (cases, planted) if len(frame)) + "\n"
