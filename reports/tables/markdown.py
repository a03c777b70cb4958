"""Frames as Markdown, for people. Every cell that has no figure is empty or a dash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from reports.saved.records import Run

LEGEND = (
    "error, PyTorch: rms distance to float64 in the worst case. used: share of the allowed error, "
    "each stage alone; free: running free.\n"
)


def missing(value: Any) -> bool:
    """Whether there is no figure. A measured NaN is the string "nan", and is not missing."""
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


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
    if len(layers):
        parts += ["## By layer\n", layer_table(layers), ""]
        parts += [LEGEND, ""]
    kinds = modes.assign(used=modes["used"].map(_percent))
    parts += ["## By kind of check\n", markdown_table(kinds), ""]
    return "\n".join(parts)


def layer_table(layers: pd.DataFrame, style: str = "pipe") -> str:
    """One row for each place; `style` is one of tabulate's, `pipe` for Markdown."""
    shown = pd.DataFrame(
        {
            "tap": layers["tap"],
            "device": layers["device"],
            "shape": layers["shape"].map(_shape),
            "error": layers["error"].map(_scientific),
            "PyTorch": layers["pytorch"].map(_scientific),
            "used": layers["used"].map(_percent),
            "free": layers["used_free"].map(_percent),
            "verdict": layers["verdict"],
        }
    )
    one_device = len(set(layers["device"])) <= 1
    return markdown_table(shown.drop(columns="device") if one_device else shown, style)


def bench_markdown(run: Run, rows: pd.DataFrame, effects: pd.DataFrame) -> str:
    """The tables of a benchmark: by workload and arm, ratios, the null, and the ceilings."""
    parts = [_title(run, "Benchmark")]
    nulls, ceilings = (pd.DataFrame(run.of(kind), dtype=object) for kind in ("null", "ceiling"))
    if not len(rows):
        samples = len(run.of("sample"))
        return "\n".join([*parts, f"No rows were recorded ({samples} samples were).\n"])
    if (rows["status"] == "SKIP").all():
        parts.append("Everything was skipped, so nothing was measured.\n")
    parts += [markdown_table(_bench_table(rows)), ""]
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


def _bench_table(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "workload": rows["workload"].map(_text),
            "arm": rows["arm"],
            "device": rows["device"],
            "threads": rows["threads"].map(_text),
            "median, ms": rows["median_s"].map(_milliseconds),
            "95% interval, ms": [
                _interval(low, high)
                for low, high in zip(rows["ci_lo_s"], rows["ci_hi_s"], strict=True)
            ],
            "tokens/s": rows["tok_s"].map(_short),
            "TTFT, ms": rows["ttft_ms"].map(_short),
            "TPOT, ms": rows["tpot_ms"].map(_short),
            "limit": rows["roofline_pct"].map(lambda pct: "" if missing(pct) else f"{pct:.0f}%"),
            "bound": rows["bound"].map(_text),
            "peak RSS, MiB": rows["peak_rss_mib"].map(_short),
            "status": rows["status"],
            "reasons": rows["invalid_reasons"].map(_reasons),
        }
    )  # fmt: skip


def _effect_table(effects: pd.DataFrame) -> pd.DataFrame:
    """Ratios of times, and what they say."""
    columns = ["workload", "device", "threads", "arm", "versus", "quads", "verdict"]
    shown = effects.reindex(columns=columns).map(_text)
    effects = effects.reindex(columns=["ratio", "ci_lo", "ci_hi"])
    pairs = zip(effects["ci_lo"], effects["ci_hi"], strict=True)
    shown.insert(5, "ratio", effects["ratio"].map(_short))
    shown.insert(
        6,
        "95% interval",
        ["" if missing(low) else f"{_short(low)} to {_short(high)}" for low, high in pairs],
    )
    return shown.loc[:, (shown != "").any()]


def _ceiling_table(ceilings: pd.DataFrame) -> pd.DataFrame:
    columns = ["ceiling", "workload", "device", "threads", "dtype", "unit", "blocks", "what"]
    shown = ceilings.reindex(columns=columns).map(_text)
    rates = ceilings.reindex(columns=["value", "median"]).map(_short)
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


def _shape(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, list | tuple) else _text(value)


def _reasons(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else _text(value)


def _scientific(value: Any) -> str:
    return "-" if missing(value) else f"{float(value):.2e}"


def _percent(value: Any) -> str:
    if missing(value):
        return "-"
    return f"{float(value):.0%}" if float(value) < 1000 else f"{float(value):.0e}x"


def _milliseconds(value: Any) -> str:
    return "" if missing(value) else f"{float(value) * 1e3:.4g}"


def _interval(low: Any, high: Any) -> str:
    if missing(low) or missing(high):
        return ""
    return f"{_milliseconds(low)} to {_milliseconds(high)}"


def _short(value: Any) -> str:
    if isinstance(value, int | str) or missing(value):
        return _text(value)
    return f"{float(value):.4g}"
