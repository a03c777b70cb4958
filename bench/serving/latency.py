"""From times of arrival to the figures of serving.

    TTFT  first token  - scheduled
    E2E   last byte    - scheduled
    TPOT  (last token - first token) / (tokens - 1); none for one token
    ITL   each gap between two pieces of a stream that bring tokens

A server may send several tokens in a piece: then gaps are fewer and longer than tokens, which the
column tokens per piece shows, and TPOT is what compares.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.judge.statistics import FEWEST_FOR_MEDIAN, FEWEST_FOR_PERCENTILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Record = Mapping[str, Any]

PERCENTS = (50, 90, 99)
METRICS = ("ttft", "tpot", "itl", "e2e")


def times_of(request: Record) -> dict[str, float | None]:
    """TTFT, TPOT and E2E of one request, in milliseconds; None for what it has not."""
    arrived = request["arrived_ns"]
    if request["error"] or not arrived:
        return {"ttft": None, "tpot": None, "e2e": None}
    begin, tokens = request["scheduled_ns"], request["tokens"] or 0
    between = (arrived[-1] - arrived[0]) / (tokens - 1) if tokens > 1 else None
    return {
        "ttft": (arrived[0] - begin) / 1e6,
        "tpot": None if between is None else between / 1e6,
        "e2e": (request["ended_ns"] - begin) / 1e6,
    }


def gaps_of(request: Record) -> list[float]:
    """ITL: milliseconds between the pieces of one answer."""
    return [float(gap) / 1e6 for gap in np.diff(request["arrived_ns"])]


def latencies(requests: Iterable[Record]) -> dict[str, Any]:
    """Percentiles and means over requests: `ttft_ms_p50`, ..., `itl_ms_n`, `e2e_ms_mean`.

    A percentile is None where there are too few samples to know it (`bench.judge.statistics`).
    """
    good = [one for one in requests if not one["error"]]
    times = [times_of(one) for one in good]
    values = {name: [t[name] for t in times if t[name] is not None] for name in
              ("ttft", "tpot", "e2e")}  # fmt: skip
    values["itl"] = [gap for one in good for gap in gaps_of(one)]
    return {key: value for name in METRICS for key, value in _spread(name, values[name]).items()}


def _spread(name: str, values: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        f"{name}_ms_p{percent}": _percentile(values, percent) for percent in PERCENTS
    }
    found[f"{name}_ms_mean"] = float(np.mean(values)) if values else None
    return {**found, f"{name}_ms_n": len(values)}


def _percentile(values: Sequence[float], percent: int) -> float | None:
    fewest = FEWEST_FOR_MEDIAN if percent == 50 else FEWEST_FOR_PERCENTILE[percent]
    return float(np.percentile(values, percent)) if len(values) >= fewest else None


def too_few(percent: int) -> str:
    """What stands in place of a percentile that is not known."""
    fewest = FEWEST_FOR_MEDIAN if percent == 50 else FEWEST_FOR_PERCENTILE[percent]
    return f"n < {fewest}"


def within(request: Record, slo_ttft_ms: float | None, slo_tpot_ms: float | None) -> bool:
    """Whether an answer came, is not wrong, and keeps the stated limits."""
    if request["error"] or request["right"] is False:
        return False
    times = times_of(request)
    limits = (("ttft", slo_ttft_ms), ("tpot", slo_tpot_ms))
    return all(
        limit is None or times[name] is None or times[name] <= limit  # type: ignore[operator]
        for name, limit in limits
    )


def kind_of(request: Record) -> str:
    """An error in few words, to be counted: `HTTP 503`, `ServerDisconnectedError`."""
    if not request["error"]:
        return ""
    if request["status"] not in (0, 200):
        return f"HTTP {request['status']}"
    first, _, rest = str(request["error"]).partition(":")
    return first if rest and " " not in first else str(request["error"])


def errors_of(requests: Iterable[Record]) -> dict[str, int]:
    """How many failed, by kind."""
    return dict(Counter(kind for one in requests if (kind := kind_of(one))))
