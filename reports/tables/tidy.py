"""Tidy tables: every kind of record as one table, a row for each record, as CSV and Parquet.

Columns are the records' keys, which carry their units (`reports/SCHEMA.md`). A `details` of a check
is spread over separate columns where its figures have a name here; the rest of it, and every
other nested value, is JSON. A figure that is missing is null; one that was measured and is not a
number is NaN.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from reports.saved.files import whole
from reports.tables.numbers import shape

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from reports.saved.records import Run

NAMES = {
    "check": "checks",
    "fault": "faults",
    "mutant": "mutants",
    "finding": "findings",
    "row": "bench",
    "effect": "effects",
    "pair": "pairs",
    "null": "nulls",
    "sample": "samples",
    "agreement": "agreements",
    "exactness": "exactness",
    "ceiling": "ceilings",
    "phase": "phases",
    "memory": "memory",
    "layer": "layers",
    "scaling": "scaling",
    "called": "called",
    "case": "cases",
    "answer": "answers",
    "planted": "planted",
    "checkpoint": "checkpoints",
    "point": "losses",
    "load": "loads",
    "load_effect": "load_effects",
    "knee": "knees",
    "start": "starts",
    "cross_check": "cross_checks",
    "level": "levels",
    "request": "requests",
    "cell": "cells",
    "machine": "machines",
    "machine_ceiling": "machine_ceilings",
    "unit_run": "unit_runs",
    "unit": "units",
    "node": "nodes",
}
"""The table that each kind of record goes to."""

DETAILS = {
    "kl_mean": "kl_mean_nats",
    "kl_p95": "kl_p95_nats",
    "kl_max": "kl_max_nats",
    "torch_kl_mean": "torch_kl_mean_nats",
    "positions": "positions_count",
    "top1_flips": "top1_flips_count",
    "top1_flips_excused": "top1_flips_excused_count",
    "top5_agreement": "top5_agreement_share",
    "perplexity": "perplexity",
    "oracle_perplexity": "oracle_perplexity",
    "torch_perplexity": "torch_perplexity",
    "margin": "margin_ratio",
    "diagnosis": "diagnosis",
}
"""Figures of a check's details that have a column, with their unit."""

_NOT_FINITE = ("nan", "inf", "-inf")


def kinds_of(run: Run) -> list[str]:
    """The kinds of record that the run has and that make a table."""
    found = dict.fromkeys(str(record.get("record")) for record in run.records)
    return [kind for kind in NAMES if kind in found]


def table_of(frame: pd.DataFrame) -> pa.Table:
    """A frame of records as a table with one type for each column."""
    columns = {str(name): frame[name].tolist() for name in frame.columns if name != "record"}
    if any(isinstance(value, dict) for value in columns.get("details", ())):
        columns |= _spread(columns["details"])
    return pa.table({name: _array(name, values) for name, values in columns.items()})


def write_tables(folder: Path, name: str, frame: pd.DataFrame) -> list[Path]:
    """Write `name.csv` and `name.parquet`, each whole or not at all.

    Raises:
        RecordsError: if they cannot be written.
    """
    table = table_of(frame)
    paths = [folder / f"{name}.csv", folder / f"{name}.parquet"]
    for path, write in zip(paths, (write_csv, pyarrow.parquet.write_table), strict=True):
        with whole(path) as part:
            write(table, part)
    return paths


def write_csv(table: pa.Table, target: Any) -> None:
    """Write a table as CSV to a path or a binary file; a list becomes one cell of JSON."""
    for index, column in enumerate(table.columns):
        if pa.types.is_list(column.type):
            texts = [None if v is None else json.dumps(v) for v in column.to_pylist()]
            table = table.set_column(index, table.column_names[index], pa.array(texts, pa.string()))
    options = pyarrow.csv.WriteOptions(quoting_style="needed")
    pyarrow.csv.write_csv(table, target, options)


def _spread(details: list[Any]) -> dict[str, list[Any]]:
    """Columns for the figures of `details`, and what is left of it."""
    found = [one if isinstance(one, dict) else {} for one in details]
    present = [key for key in DETAILS if any(key in one for one in found)]
    columns: dict[str, list[Any]] = {
        DETAILS[key]: [one.get(key) for one in found] for key in present
    }
    rest = [{key: value for key, value in one.items() if key not in DETAILS} for one in found]
    return {"details": [one or None for one in rest], **columns}


def _array(name: str, values: list[Any]) -> pa.Array:
    """The values as one type: numbers if all of them are, else text."""
    if name == "shape":
        return pa.array([shape(v) if isinstance(v, list) else None for v in values], pa.string())
    try:
        array = pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return _mixed(values)
    if pa.types.is_null(array.type):
        return array.cast(pa.string())
    if pa.types.is_nested(array.type) and not _plain(array.type):
        return _mixed(values)
    return array


def _plain(kind: pa.DataType) -> bool:
    """Whether a list holds numbers or texts, which Parquet can keep as they are."""
    return pa.types.is_list(kind) and not pa.types.is_nested(kind.value_type)


def _mixed(values: list[Any]) -> pa.Array:
    """Floats, where everything is a number or the name of one; else text and JSON."""
    if all(value is None or _is_number(value) for value in values):
        return pa.array([None if _is_gone(v) else float(v) for v in values], pa.float64())
    return pa.array([_text(value) for value in values], pa.string())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and value in _NOT_FINITE)


def _is_gone(value: Any) -> bool:
    """A float NaN in a frame is a missing value; a measured NaN is the string."""
    return value is None or (isinstance(value, float) and value != value)


def _text(value: Any) -> str | None:
    if _is_gone(value):
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
