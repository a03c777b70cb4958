"""What a pass through the model costs, fitted to the rows of a sweep.

    time = passes x a + FLOPs / F + bytes / W          a, 1/F, 1/W >= 0

by least squares of relative errors. `a` is what every pass costs however small it is: launches, the
interpreter, threads that wait for each other. The bytes of one model differ little from pass to
pass, so that they cannot be told from `a`; W is fitted where sizes or depths differ enough, else
`a` holds the reading too. Where a row's time is far from the fit, cost is not explained by work:
caches, another kernel, other processes. Beside each row stands the least time by the ceilings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import nnls

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Row = Mapping[str, Any]

FEWEST_ROWS = 4
"""One more than there are coefficients."""
APART = 2.0
"""Bytes of a pass must differ by this factor for reading to be told from the cost of a pass."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted cost.

    Attributes:
        pass_s: seconds of each pass, whatever its size.
        gflop_s: rate of FLOPs, None where they cost nothing beside the rest.
        gb_s: rate of bytes, None where they cannot be told from `pass_s`, or cost nothing.
        fitted_s: for each row.
    """

    pass_s: float
    gflop_s: float | None
    gb_s: float | None
    fitted_s: tuple[float, ...]


def fit(rows: Sequence[Row]) -> Fit:
    """Fit the cost to rows with `median_s`, `passes`, `flops_executed` and `bytes`."""
    times = np.array([row["median_s"] for row in rows])
    passes, flops, moved = (
        np.array([row[name] for row in rows], float)
        for name in ("passes", "flops_executed", "bytes")
    )
    each = moved / passes
    told_apart = each.max() >= APART * each.min()
    # in units that make the coefficients alike: seconds, GFLOP, GB
    terms = [passes, flops / 1e9] + ([moved / 1e9] if told_apart else [])
    work = np.stack(terms, axis=1)  # [rows, terms]
    cost, _ = nnls(work / times[:, None], np.ones(len(times)))
    per_gflop, per_gb = cost[1], cost[2] if told_apart else 0.0
    return Fit(
        float(cost[0]),
        float(1 / per_gflop) if per_gflop else None,
        float(1 / per_gb) if per_gb else None,
        tuple(float(value) for value in work @ cost),
    )


def make_scaling(records: Iterable[Row]) -> list[dict[str, Any]]:
    """A `scaling` record for each arm, device, dtype and threads with enough VALID rows."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in records:
        if row["record"] == "row" and row["status"] == "VALID" and "#" not in row["arm"]:
            key = row["arm"], row["device"], row["dtype"], row["threads"]
            groups.setdefault(key, []).append(row)
    return [_record(key, rows) for key, rows in groups.items() if len(rows) >= FEWEST_ROWS]


def _record(key: tuple[Any, ...], rows: Sequence[Row]) -> dict[str, Any]:
    fitted = fit(rows)
    errors = [100 * abs(f / row["median_s"] - 1)
              for f, row in zip(fitted.fitted_s, rows, strict=True)]  # fmt: skip
    return {
        "record": "scaling",
        **dict(zip(("arm", "device", "dtype", "threads"), key, strict=True)),
        "model": ", ".join(dict.fromkeys(row["model"] for row in rows)),
        "workloads": len(rows),
        "pass_s": fitted.pass_s,
        "gflop_s": fitted.gflop_s,
        "gb_s": fitted.gb_s,
        "median_error_pct": float(np.median(errors)),
        "worst_error_pct": max(errors),
        "points": [_point(row, f) for row, f in zip(rows, fitted.fitted_s, strict=True)],
    }


def _point(row: Row, fitted_s: float) -> dict[str, Any]:
    share = row.get("roofline_pct")
    explained = None if share is None else share / 100
    return {
        "model": row["model"],
        "workload": row["workload"],
        "median_s": row["median_s"],
        "fitted_s": fitted_s,
        "ceiling_s": None if explained is None else explained * row["median_s"],
        "explained": explained,
    }
