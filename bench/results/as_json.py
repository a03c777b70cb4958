"""`--json`: the results of a run in one file, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.saved.records import SCHEMA_VERSION
from reports.tables.speed_sentence import answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def results_json(
    records: Sequence[Mapping[str, Any]], environment: Mapping[str, Any]
) -> dict[str, Any]:
    """Answers, rows, effects, pairs, null, ceilings, environment (keys: `reports/SCHEMA.md`).

    `null` is that of the first workload; `nulls` has each.
    """
    nulls = _of(records, "null")
    first = nulls[0] if nulls else {}
    return {
        "schema_version": SCHEMA_VERSION,
        "answers": answers(records),
        "rows": _of(records, "row"),
        "effects": _of(records, "effect"),
        "pairs": _of(records, "pair"),
        "null": {key: first.get(key) for key in ("arm", "ratio", "ci_lo", "ci_hi", "failed")},
        "nulls": nulls,
        "ceilings": ceilings_json(records),
        "scaling": _of(records, "scaling"),
        "environment": environment,
    }


def ceilings_json(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Each ceiling by a name such as `cpu/2/gemm/float32`."""
    return {
        "/".join(
            str(part)
            for part in (c["device"], c["threads"], c["ceiling"], c["dtype"], c["workload"])
            if part is not None
        ): c
        for c in _of(records, "ceiling")
    }


def _of(records: Sequence[Mapping[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in record.items() if key != "record"}
        for record in records
        if record["record"] == kind
    ]
