"""`python -m reports export`: speeds as github-action-benchmark reads them, one entry each.

Its tools `customSmallerIsBetter` and `customBiggerIsBetter` take a JSON list of `name`, `unit`,
`value`, and, to be shown, `range` and `extra`. It joins the entries of one name to a line, run
after run, and compares each with the one before. So a name says all that must be alike, the machine
included: hosted runners differ, and another machine begins another line.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from reports.history.same_machine import machine_of
from reports.saved.records import RecordsError, read_run
from reports.tables.load_markdown import load_name
from reports.tables.numbers import figure, interval, short

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from reports.saved.records import Run

    Better = Literal["smaller", "bigger"]
    Entry = dict[str, Any]

BETTER = ("smaller", "bigger")
"""Times and ratios of times; tokens and answers a second."""

LATENCIES = {"ttft": "time to first token", "tpot": "time a further token", "e2e": "whole answer"}


def exported(folders: Sequence[Path], better: Better) -> tuple[list[Entry], list[str]]:
    """The entries of benchmarks, and a sentence on each row that has none.

    Args:
        folders: of runs of `python -m bench` or `python -m bench serve`.
        better: whether figures are taken that are better smaller, or bigger.

    Raises:
        RecordsError: if a run cannot be read or holds no benchmark, two have an entry of the same
            name, or no row is VALID.
    """
    runs = [read_run(folder) for folder in folders]
    for run in runs:
        if run.kind != "bench":
            raise RecordsError(f"{run.folder} holds no benchmark, but a run of kind {run.kind!r}")
    entries = [entry for run in runs for entry in _entries(run, better)]
    left_out = [sentence for run in runs for sentence in _left_out(run)]
    repeated = [name for name, count in Counter(e["name"] for e in entries).items() if count > 1]
    if repeated:
        raise RecordsError(f"two of these runs have {repeated[0]!r}: export one of them")
    if not entries:
        raise RecordsError("; ".join(["there is no VALID row to export", *left_out[:1]]))
    return entries, left_out


def as_text(entries: Sequence[Entry]) -> str:
    """What the action reads: strict JSON, one entry a line."""
    lines = (json.dumps(entry, allow_nan=False, ensure_ascii=False) for entry in entries)
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _entries(run: Run, better: Better) -> Iterator[Entry]:
    bigger = better == "bigger"
    for row in _valid(run, "row"):
        yield from _tokens(run, row) if bigger else _time(run, row)
    if not bigger:
        valid = {_place(row) for row in _valid(run, "row")}
        for effect in run.of("effect"):
            if {_place(effect), _place(effect, "versus")} <= valid:
                yield from _ratio(run, effect)
    for load in _valid(run, "load"):
        yield from _throughput(run, load) if bigger else _latencies(run, load)


def _valid(run: Run, record: str) -> list[dict[str, Any]]:
    """Rows that have a speed, less the runner of an arm that is there twice: the null."""
    rows = [row for row in run.of(record) if row.get("status") == "VALID"]
    return [row for row in rows if "#" not in str(row.get("arm"))]


def _place(record: Mapping[str, Any], arm: str = "arm") -> tuple[Any, ...]:
    """Of a ratio's two rows: the same but for the arm, which alone says what dtype it has."""
    return tuple(record.get(key) for key in ("model", "workload", arm, "device", "threads"))


def _time(run: Run, row: Mapping[str, Any]) -> Iterator[Entry]:
    values = (row.get(key) for key in ("median_s", "ci_lo_s", "ci_hi_s"))
    yield from _entry(run, row, "median", "ms", [_times(value, 1e3) for value in values])


def _tokens(run: Run, row: Mapping[str, Any]) -> Iterator[Entry]:
    """Tokens a second are as sure as the time that they were computed from."""
    tokens, median = figure(row.get("tok_s")), figure(row.get("median_s"))
    low, high = figure(row.get("ci_lo_s")), figure(row.get("ci_hi_s"))
    bounds = [
        tokens * median / bound if tokens and median and bound else None for bound in (high, low)
    ]
    yield from _entry(run, row, "throughput", "tokens/s", [tokens, *bounds])


def _ratio(run: Run, effect: Mapping[str, Any]) -> Iterator[Entry]:
    values = [figure(effect.get(key)) for key in ("ratio", "ci_lo", "ci_hi")]
    yield from _entry(run, effect, f"time over {effect.get('versus')}'s", "ratio", values)


def _latencies(run: Run, load: Mapping[str, Any]) -> Iterator[Entry]:
    for name, words in LATENCIES.items():
        for percentile in ("p50", "p90", "p99"):
            value = figure(load.get(f"{name}_ms_{percentile}"))
            yield from _entry(run, load, f"{words}, {percentile}", "ms", [value, None, None])


def _throughput(run: Run, load: Mapping[str, Any]) -> Iterator[Entry]:
    values = [figure(load.get(key)) for key in ("tok_s", "tok_s_ci_lo", "tok_s_ci_hi")]
    yield from _entry(run, load, "throughput", "tokens/s", values)
    answered = [figure(load.get("requests_s")), None, None]
    yield from _entry(run, load, "answers", "answers/s", answered)


def _times(value: Any, factor: float) -> float | None:
    number = figure(value)
    return None if number is None else number * factor


def _entry(
    run: Run, row: Mapping[str, Any], what: str, unit: str, values: Sequence[float | None]
) -> Iterator[Entry]:
    """One entry; none where there is no figure."""
    value, low, high = values
    if value is None:
        return
    entry: Entry = {"name": _name(run, row, what), "unit": unit, "value": value}
    if low is not None and high is not None:
        entry["range"] = f"95%: {interval(low, high, short)}"
    yield entry | {"extra": _extra(run, row)}


def _name(run: Run, row: Mapping[str, Any], what: str) -> str:
    """All that must be alike from run to run: what, of what, by whom, and on which machine."""
    machine = machine_of(run.environment, row.get("threads"), row.get("device"))
    parts = [row.get("model"), row.get("workload"), load_name(row), _arm(run, row),
             row.get("dtype"), what, machine.label]  # fmt: skip
    return " · ".join(str(part) for part in parts if part)


def _arm(run: Run, row: Mapping[str, Any]) -> str:
    arm = str(row.get("arm"))
    own = run.environment.get("candidate") if arm == "candidate" else None
    return f"{arm} {own}" if own else arm


def _extra(run: Run, row: Mapping[str, Any]) -> str:
    """What may change from run to run, to be shown beside a point."""
    versions = run.environment.get("versions") or {}
    parts = {
        "run": run.header.get("run_id"), "MAX": versions.get("max"),
        "torch": versions.get("torch"), "kernels": row.get("kernel_path"),
        "processes": row.get("processes"), "verdict": row.get("verdict"),
        "system": run.environment.get("system"),
    }  # fmt: skip
    return "\n".join(f"{name}: {value}" for name, value in parts.items() if value)


def _left_out(run: Run) -> Iterator[str]:
    """Why a row is not exported, in a sentence each."""
    for row in [*run.of("row"), *run.of("load")]:
        if row.get("status") != "VALID":
            words = (row.get("workload"), load_name(row), row.get("arm"), row.get("device"))
            where = " ".join(str(word) for word in words if word)
            why = "; ".join(map(str, row.get("invalid_reasons") or [])) or "no reason recorded"
            yield f"{where} is {row.get('status')}: {why}"
