"""The records and the JSON of `python -m bench serve`: servers under load."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET

from reports.contract.measuring import Comparison, MaybeCount, MaybeFigure
from reports.contract.parts import Absent, Closed, Environment, Figure, Place, Process, Record

Loop = Literal["closed", "open"]


class LoadPlanned(Record, kw_only=True, tag="load_plan"):
    """All that was to be measured."""

    plan: dict[str, Any]


class StartFigures(Process, kw_only=True):
    """One start of a server, or why there was none; `generation` is -1 for a cold one."""

    skipped: str
    error: str
    cache: Literal["cold", "usual"] | Absent = UNSET
    ready_s: MaybeFigure = UNSET
    first_token_s: MaybeFigure = UNSET
    warm_ttft_ms: MaybeFigure = UNSET
    rss_mib: MaybeFigure = UNSET


class Start(StartFigures, kw_only=True, tag_field="record", tag="start"):
    """One start of a server."""


class Request(Process, kw_only=True, tag_field="record", tag="request"):
    """One request under load; times are nanoseconds of one clock."""

    loop: Loop
    load: float
    round: int
    number: int
    prompt: int
    counts: bool
    scheduled_ns: int
    sent_ns: int
    ended_ns: int
    arrived_ns: list[int]
    tokens: int | None
    status: int
    error: str
    right: bool | None
    wrong: str
    text: str | None
    ids: list[int] | None


class LevelSeen(Process, kw_only=True, tag_field="record", tag="level"):
    """One load on one process, in the seconds that count."""

    loop: Loop
    load: float
    round: int
    begin_ns: int
    seconds: float
    offered_s: float
    requests_s: float
    tok_s: float
    tokens_per_piece: Figure
    in_flight: int
    client_late_ms_p50: float
    client_late_ms_p99: float
    client_late_ms_max: float
    client_late_n: int
    client_cpu_share: float


class LoadFigures(Place, kw_only=True):
    """One server under one load. Of a server without any it has place, status and reasons alone."""

    loop: Loop | None
    load: Figure
    status: Literal["VALID", "INVALID", "ERROR", "SKIP"]
    invalid_reasons: list[str]
    processes: MaybeCount = UNSET
    seconds: MaybeFigure = UNSET
    requests: MaybeCount = UNSET
    checked: MaybeCount = UNSET
    wrong: MaybeCount = UNSET
    errors: dict[str, int] | Absent = UNSET
    offered_s: MaybeFigure = UNSET
    requests_s: MaybeFigure = UNSET
    tok_s: MaybeFigure = UNSET
    tok_s_ci_lo: MaybeFigure = UNSET
    tok_s_ci_hi: MaybeFigure = UNSET
    goodput_s: MaybeFigure = UNSET
    goodput_share: MaybeFigure = UNSET
    ttft_ms_p50: MaybeFigure = UNSET
    ttft_ms_p90: MaybeFigure = UNSET
    ttft_ms_p99: MaybeFigure = UNSET
    ttft_ms_mean: MaybeFigure = UNSET
    ttft_ms_n: MaybeCount = UNSET
    tpot_ms_p50: MaybeFigure = UNSET
    tpot_ms_p90: MaybeFigure = UNSET
    tpot_ms_p99: MaybeFigure = UNSET
    tpot_ms_mean: MaybeFigure = UNSET
    tpot_ms_n: MaybeCount = UNSET
    itl_ms_p50: MaybeFigure = UNSET
    itl_ms_p90: MaybeFigure = UNSET
    itl_ms_p99: MaybeFigure = UNSET
    itl_ms_mean: MaybeFigure = UNSET
    itl_ms_n: MaybeCount = UNSET
    e2e_ms_p50: MaybeFigure = UNSET
    e2e_ms_p90: MaybeFigure = UNSET
    e2e_ms_p99: MaybeFigure = UNSET
    e2e_ms_mean: MaybeFigure = UNSET
    e2e_ms_n: MaybeCount = UNSET
    tokens_per_piece: MaybeFigure = UNSET
    in_flight: MaybeCount = UNSET
    client_late_ms_p50: MaybeFigure = UNSET
    client_late_ms_p99: MaybeFigure = UNSET
    client_late_ms_max: MaybeFigure = UNSET
    client_cpu_share: MaybeFigure = UNSET


class Load(LoadFigures, kw_only=True, tag_field="record", tag="load"):
    """One server under one load."""


class LoadEffectFigures(Place, kw_only=True):
    """One server's times over the first one's, under the same load."""

    loop: Loop
    load: float
    versus: str
    metric: Literal["token", "ttft", "tpot"]
    ratio: Figure
    ci_lo: Figure
    ci_hi: Figure
    processes: int
    margin: float
    verdict: Comparison
    more_processes: int | None
    why: str | None


class LoadEffect(LoadEffectFigures, kw_only=True, tag_field="record", tag="load_effect"):
    """One server's times over the first one's."""


class KneeFigures(Place, kw_only=True):
    """Where a server stops keeping up, and the most that it answered."""

    knee_s: Figure
    knee_ci_lo: Figure
    knee_ci_hi: Figure
    beyond: Literal["", "above", "below"] | None
    alone_ms: Figure
    most_requests_s: float
    most_tok_s: float
    most_loop: Loop
    most_load: float


class Knee(KneeFigures, kw_only=True, tag_field="record", tag="knee"):
    """Where a server stops keeping up."""


class CrossCheckFigures(Place, kw_only=True):
    """One figure by `max benchmark` and by this client, or why there is none."""

    loop: Loop
    load: float
    error: str
    metric: str | Absent = UNSET
    unit: str | Absent = UNSET
    theirs: MaybeFigure = UNSET
    ours: MaybeFigure = UNSET
    apart: MaybeFigure = UNSET


class CrossCheck(CrossCheckFigures, kw_only=True, tag_field="record", tag="cross_check"):
    """One figure by two programs."""


LoadRecord = (
    LoadPlanned | Start | Request | LevelSeen | Load | LoadEffect | Knee | CrossCheck
)  # fmt: skip


class Loaded(Closed, kw_only=True):
    """Of `python -m bench serve`."""

    schema_version: int
    loads: list[LoadFigures]
    effects: list[LoadEffectFigures]
    knees: list[KneeFigures]
    starts: list[StartFigures]
    cross_checks: list[CrossCheckFigures]
    environment: Environment
