"""The records of a benchmark."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET

from reports.contract.parts import (
    Absent,
    Closed,
    Figure,
    Header,
    Place,
    Problem,
    Process,
    Record,
)

Comparison = Literal["FASTER", "SLOWER", "SAME", "INCONCLUSIVE"]
MaybeFigure = Figure | Absent
MaybeCount = int | None | Absent


class Plan(Record, kw_only=True, tag="plan"):
    """All that a competition was to measure."""

    model: str
    device: str
    threads: int
    plan: dict[str, Any]


class Unverified(Record, kw_only=True, tag="unverified"):
    """Why a MAX model shows no speed; the reason is empty where it does."""

    model: str
    device: str
    engine: str
    reason: str


class Ready(Process, kw_only=True, tag_field="record", tag="ready"):
    """A process that takes part, or why it does not."""

    alone: bool | Absent = UNSET
    facts: dict[str, Any]
    error: str
    skipped: str


class Luck(Record, kw_only=True, tag="luck"):
    """How much processes differ on this machine, as it was known before."""

    model: str
    device: str
    threads: int
    arms: list[str]
    between: Figure
    freedom: float


class Failure(Process, kw_only=True, tag_field="record", tag="failure"):
    """What ended an arm's part."""

    error: str


class Pause(Process, kw_only=True, tag_field="record", tag="pause"):
    """A call after its caller was busy, beside one right after another."""

    pause_s: float
    tight_s: Figure
    paused_s: Figure


class Phase(Process, kw_only=True, tag_field="record", tag="phase"):
    """How long something took once."""

    phase: str
    seconds: Figure
    cache: Literal["cold", "warm"] | None


class Memory(Process, kw_only=True, tag_field="record", tag="memory"):
    """The most that a phase or a workload held."""

    phase: str | None
    peak_rss_mib: Figure
    rss_mib: Figure
    peak_device_mib: MaybeFigure = UNSET


class Rate(Process, kw_only=True, tag_field="record", tag="rate"):
    """One block of a ceiling."""

    ceiling: str
    rate: float
    what: str
    quad: MaybeCount = UNSET


class Sample(Process, kw_only=True, tag_field="record", tag="sample"):
    """One timed call, with what was seen of its block."""

    quad: int
    block: int
    position: int
    call: int
    start_ns: int
    time_ns: int
    clean: bool
    psi_us: int | None
    switches: int | None
    steal_us: int | None
    wall_s: float
    others_cpu_s: float
    peak_rss_mib: Figure
    peak_device_mib: Figure
    kv_bytes: int | None
    ttft_ns: int | Absent = UNSET
    steps_ns: list[int] | Absent = UNSET
    waited_us: MaybeCount = UNSET
    taken_us: MaybeCount = UNSET


class Agreement(Process, kw_only=True, tag_field="record", tag="agreement"):
    """One block's output beside PyTorch's in float32."""

    block: int
    agreed: bool
    difference: Figure
    allowed: Figure
    message: str


class Exactness(Process, kw_only=True, tag_field="record", tag="exactness"):
    """How far an arm's logits are from PyTorch's in float32, over the largest one."""

    relative: Figure
    error_class: str
    message: str


class RowFigures(Place, kw_only=True):
    """One arm and workload. Of what cannot run here it has its place, status and reasons alone."""

    status: Literal["VALID", "INVALID", "ERROR", "SKIP"]
    verified: bool
    invalid_reasons: list[str]
    batch: MaybeCount = UNSET
    n_prompt: MaybeCount = UNSET
    n_gen: MaybeCount = UNSET
    n_depth: MaybeCount = UNSET
    logits_policy: Literal["all", "last"] | Absent = UNSET
    kv_cache: bool | Absent | None = UNSET
    compared_in: str | Absent = UNSET
    judged_as: str | Absent = UNSET
    runtime: str | Absent | None = UNSET
    kernel_path: str | Absent | None = UNSET
    median_s: MaybeFigure = UNSET
    ci_lo_s: MaybeFigure = UNSET
    ci_hi_s: MaybeFigure = UNSET
    median_clean_s: MaybeFigure = UNSET
    ci_lo_clean_s: MaybeFigure = UNSET
    ci_hi_clean_s: MaybeFigure = UNSET
    spread_processes_pct: MaybeFigure = UNSET
    spread_quads_pct: MaybeFigure = UNSET
    tok_s: MaybeFigure = UNSET
    blocks: MaybeCount = UNSET
    blocks_clean: MaybeCount = UNSET
    processes: MaybeCount = UNSET
    quads: MaybeCount = UNSET
    samples: MaybeCount = UNSET
    n_eff: MaybeFigure = UNSET
    ttft_ms: MaybeFigure = UNSET
    tpot_ms: MaybeFigure = UNSET
    itl_ms: MaybeFigure = UNSET
    itl_ms_p90: MaybeFigure = UNSET
    itl_ms_p95: MaybeFigure = UNSET
    itl_ms_p99: MaybeFigure = UNSET
    itl_ms_n: MaybeCount = UNSET
    e2e_ms: MaybeFigure = UNSET
    e2e_ms_p90: MaybeFigure = UNSET
    e2e_ms_p95: MaybeFigure = UNSET
    e2e_ms_p99: MaybeFigure = UNSET
    e2e_ms_n: MaybeCount = UNSET
    prefill_tok_s: MaybeFigure = UNSET
    decode_tok_s: MaybeFigure = UNSET
    flops: MaybeFigure = UNSET
    flops_executed: MaybeFigure = UNSET
    bytes: MaybeFigure = UNSET
    passes: MaybeFigure = UNSET
    mfu: MaybeFigure = UNSET
    hfu: MaybeFigure = UNSET
    mbu: MaybeFigure = UNSET
    roofline_pct: MaybeFigure = UNSET
    bound: Literal["compute", "memory"] | Absent | None = UNSET
    limit_pct: MaybeFigure = UNSET
    limit_lo_pct: MaybeFigure = UNSET
    limit_hi_pct: MaybeFigure = UNSET
    peak_rss_mib: MaybeFigure = UNSET
    peak_device_mib: MaybeFigure = UNSET
    kv_bytes: MaybeCount = UNSET
    weight_bytes: MaybeCount = UNSET
    weight_bits: MaybeFigure = UNSET
    import_s: MaybeFigure = UNSET
    import_min_s: MaybeFigure = UNSET
    import_max_s: MaybeFigure = UNSET
    load_s: MaybeFigure = UNSET
    load_min_s: MaybeFigure = UNSET
    load_max_s: MaybeFigure = UNSET
    compile_s: MaybeFigure = UNSET
    compile_cache: Literal["cold", "warm"] | Absent | None = UNSET
    compile_warm_s: MaybeFigure = UNSET
    compile_warm_min_s: MaybeFigure = UNSET
    compile_warm_max_s: MaybeFigure = UNSET
    first_call_s: MaybeFigure = UNSET
    first_call_min_s: MaybeFigure = UNSET
    first_call_max_s: MaybeFigure = UNSET
    host_copy_s: MaybeFigure = UNSET
    error_logits: MaybeFigure = UNSET
    error_allowed_logits: MaybeFigure = UNSET
    error_relative: MaybeFigure = UNSET
    error_class: str | Absent | None = UNSET
    paused_ratio: MaybeFigure = UNSET


class Row(RowFigures, kw_only=True, tag_field="record", tag="row"):
    """One arm and workload."""


class Ratio(Place, kw_only=True):
    """One arm's time over another's, with the interval of processes."""

    versus: str
    ratio: float
    ci_lo: Figure
    ci_hi: Figure
    processes: int
    quads: int
    log_error: Figure
    freedom: Figure


class PairFigures(Ratio, kw_only=True):
    """One arm against another."""

    ratio_typical: float
    margin: float
    verdict: Comparison
    more_processes: int | None
    more_processes_s: Figure
    more_quads: int | None
    more_quads_s: Figure
    why: str | None


class EffectFigures(PairFigures, kw_only=True):
    """One arm against the baseline; `clean`: of quads that nothing else disturbed."""

    ratio_clean: Figure
    ci_lo_clean: Figure
    ci_hi_clean: Figure
    quads_clean: int


class Effect(EffectFigures, kw_only=True, tag_field="record", tag="effect"):
    """One arm against the baseline."""


class Pair(PairFigures, kw_only=True, tag_field="record", tag="pair"):
    """One arm against this project's own, whatever the baseline."""


class NullFigures(Ratio, kw_only=True):
    """The same arm against itself."""

    failed: bool | None


class Null(NullFigures, kw_only=True, tag_field="record", tag="null"):
    """The same arm against itself."""


class CeilingFigures(Place, kw_only=True):
    """What the machine can do at most."""

    ceiling: str
    unit: Literal["GB/s", "GFLOP/s"]
    value: float
    median: float
    ci_lo: Figure
    ci_hi: Figure
    blocks: int
    what: str


class Ceiling(CeilingFigures, kw_only=True, tag_field="record", tag="ceiling"):
    """What the machine can do at most."""


class Layer(Record, kw_only=True, tag="layer"):
    """One place of the model: time and error."""

    model: str
    tap: str
    arm: str
    device: str
    dtype: str
    batch: int
    length: int
    median_s: float
    ci_lo_s: Figure
    ci_hi_s: Figure
    rounds: int
    rms_error: float
    max_error: float
    allowed: float


class Point(Closed, kw_only=True):
    """One row beside its fit."""

    model: str
    workload: str
    median_s: float
    fitted_s: float
    ceiling_s: Figure
    explained: Figure


class ScalingFigures(Closed, kw_only=True):
    """The fitted cost of an arm."""

    arm: str
    device: str
    dtype: str
    threads: int
    model: str
    workloads: int
    pass_s: float
    gflop_s: Figure
    gb_s: Figure
    median_error_pct: float
    worst_error_pct: float
    points: list[Point]


class Scaling(ScalingFigures, kw_only=True, tag_field="record", tag="scaling"):
    """The fitted cost of an arm."""


class Spread(Closed, kw_only=True):
    """What the processes of all parts of a replay differed by."""

    between: float
    spread: float
    noise: float
    freedom: float


class Part(Closed, kw_only=True):
    """The ratio of one part of a replay."""

    ratio: float
    ci_lo: Figure
    ci_hi: Figure
    log_error: Figure
    freedom: Figure
    processes: int
    quads: int
    between: Figure
    within: Figure
    verdict: Comparison


class Replay(Record, kw_only=True, tag="replay"):
    """One whole benchmark of equal code (`python -m bench null`)."""

    replay: int
    pool: int
    cpu_pressure_pct: Figure
    luck: Spread | None
    ratios: dict[str, Part]


class Called(Record, kw_only=True, tag="called"):
    """How often a part of the replays was called different."""

    part: str
    count: int
    called: int
    rate: float
    ci_lo: float
    ci_hi: float
    passed: bool
    sentence: str


class End(Record, kw_only=True, tag="end"):
    """The last record, with what its command sums up."""

    finished_utc: str
    rows: int | Absent = UNSET
    statuses: dict[str, int] | Absent = UNSET
    cpu_pressure_pct: MaybeFigure = UNSET
    idle_cpu_pct: MaybeFigure = UNSET
    shares: dict[str, float] | Absent = UNSET
    replays: int | Absent = UNSET
    passed: bool | Absent = UNSET
    ceilings: int | Absent = UNSET
    layers: int | Absent = UNSET


BenchRecord = (
    Header | Plan | Unverified | Ready | Luck | Failure | Pause | Phase | Memory | Rate | Sample
    | Agreement | Exactness | Row | Effect | Pair | Null | Ceiling | Layer | Scaling | Replay
    | Called | Problem | End
)  # fmt: skip
