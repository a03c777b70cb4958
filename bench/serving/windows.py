"""What came in the seconds that count: rates of tokens and of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Record = Mapping[str, Any]


def level_record(requests: Sequence[Record], client: Record) -> dict[str, Any]:
    """Rates of one level on one process of a server, and how the client fared.

    Tokens count when they arrive in the window, whenever their request was sent, so that what is
    in flight at both ends of it is neither lost nor counted twice.
    """
    begin, end = client["window_begin_ns"], client["window_end_ns"]
    seconds = (end - begin) / 1e9
    good = [one for one in requests if not one["error"]]
    tokens = sum(_tokens_within(one, begin, end) for one in good)
    pieces = sum(len(one["arrived_ns"]) for one in good)
    return {
        "begin_ns": begin,
        "seconds": seconds,
        "offered_s": sum(begin <= one["scheduled_ns"] < end for one in requests) / seconds,
        "requests_s": sum(begin <= one["ended_ns"] < end for one in good) / seconds,
        "tok_s": tokens / seconds,
        "tokens_per_piece": sum(one["tokens"] for one in good) / pieces if pieces else None,
        "in_flight": client["in_flight"],
        "client_late_ms_p50": client["late_ms_p50"],
        "client_late_ms_p99": client["late_ms_p99"],
        "client_late_ms_max": client["late_ms_max"],
        "client_late_n": client["late_n"],
        "client_cpu_share": client["cpu_share"],
    }


def _tokens_within(one: Record, begin: int, end: int) -> float:
    """Tokens of an answer that arrived in the window; pieces hold equally many where unknown."""
    counts = one["pieces"]
    each = one["tokens"] / max(1, sum(counts))
    pairs = zip(one["arrived_ns"], counts, strict=True)
    return each * sum(count for arrived, count in pairs if begin <= arrived < end)
