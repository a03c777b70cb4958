"""From what was seen of the arms to the rows and effects of a run.

A row is VALID, INVALID, ERROR or SKIP. Only a VALID row has a speed, and only two VALID rows have a
ratio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.arms import BASELINE, spec_of
from bench.statistics import median_time, time_ratio, turns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.contestant import Contestant
    from bench.workloads import Workload

DTYPE = "float32"


def make_rows(
    contestants: Sequence[Contestant],
    workloads: Sequence[Workload],
    *,
    threads: int,
    unverified: Mapping[str, str],
) -> list[dict[str, Any]]:
    """One row for each workload and contestant.

    Args:
        contestants: after they were measured.
        workloads: what was timed.
        threads: of every arm.
        unverified: by device, why the MAX model is not verified there; empty if it is.
    """
    return [
        _row(contestant, workload, threads, unverified)
        for workload in workloads
        for contestant in contestants
    ]


def skip_row(arm: str, device: str, reason: str) -> dict[str, Any]:
    """The row of what cannot be measured on this machine."""
    return {
        "record": "row", "workload": None, "arm": arm, "device": device, "dtype": DTYPE,
        "status": "SKIP", "verified": False, "invalid_reasons": [reason],
    }  # fmt: skip


def make_effects(
    contestants: Sequence[Contestant], rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Time of every other arm over the baseline's by workload and device, if both are VALID."""
    valid = {
        (row["workload"], row["device"], row["arm"]) for row in rows if row["status"] == "VALID"
    }
    effects = []
    for workload in dict.fromkeys(row["workload"] for row in rows):
        for device in dict.fromkeys(contestant.device for contestant in contestants):
            entered = [c for c in contestants if (workload, device, c.label) in valid]
            baseline = next((c for c in entered if c.label == BASELINE), None)
            baseline = baseline or (entered[0] if entered else None)
            for contestant in entered:
                if baseline is not None and contestant is not baseline:
                    effects += _effect(contestant, baseline, workload)
    return effects


def pressure_pct(contestants: Sequence[Contestant]) -> float | None:
    """Share of the timed turns in which some task of the machine waited for a CPU, in percent.

    None where the kernel does not count it, or nothing was timed.
    """
    waited_us, timed_ns = 0, 0
    for sample in (s for c in contestants for group in c.samples.values() for s in group):
        timed_ns += sample["time_ns"]
        if sample["call"] == 0:  # counted once for all calls of a turn
            if sample["cpu_pressure_us"] is None:
                return None
            waited_us += sample["cpu_pressure_us"]
    return 100 * waited_us * 1e3 / timed_ns if timed_ns else None


def _row(
    contestant: Contestant, workload: Workload, threads: int, unverified: Mapping[str, str]
) -> dict[str, Any]:
    status, reasons = _status(contestant, workload, unverified)
    spec = spec_of(contestant.label)
    samples = contestant.samples.get(workload.name, [])
    return {
        "record": "row",
        "workload": workload.name,
        "arm": contestant.label,
        "device": contestant.device,
        "dtype": DTYPE,
        "batch": workload.batch,
        "n_prompt": workload.n_prompt,
        "n_gen": workload.n_gen,
        "n_depth": workload.n_depth,
        "logits_policy": workload.logits_policy,
        "kv_cache": spec.kv_cache if workload.n_gen else None,
        "threads": threads,
        "status": status,
        **_speed(contestant, workload, valid=status == "VALID"),
        "samples": len(samples),
        "peak_rss_mib": contestant.peak_rss_mib,
        "load_s": contestant.phases.get("load_s"),
        "compile_s": contestant.phases.get("compile_s"),
        "first_call_s": contestant.first_call_s.get(workload.name),
        "verified": status == "VALID",
        "invalid_reasons": reasons,
    }


def _status(
    contestant: Contestant, workload: Workload, unverified: Mapping[str, str]
) -> tuple[str, list[str]]:
    """The status of a row, and every reason why it is not VALID."""
    if contestant.skipped:
        return "SKIP", [contestant.skipped]
    if contestant.error:
        return "ERROR", [contestant.error]
    reasons = []
    if spec_of(contestant.label).candidate and unverified.get(contestant.device):
        reasons.append(unverified[contestant.device])
    if message := contestant.disagreements.get(workload.name):
        reasons.append(f"outputs disagree with PyTorch float32: {message}")
    elif not contestant.judged.get(workload.name):
        reasons.append("nothing was measured")
    return ("INVALID" if reasons else "VALID"), reasons


def _speed(contestant: Contestant, workload: Workload, *, valid: bool) -> dict[str, float | None]:
    found = median_time(turns(contestant.samples.get(workload.name, []))) if valid else None
    return {
        "median_s": found.value if found else None,
        "ci_lo_s": found.low if found else None,
        "ci_hi_s": found.high if found else None,
        "tok_s": workload.tokens / found.value if found else None,
    }


def _effect(arm: Contestant, versus: Contestant, workload: str) -> list[dict[str, Any]]:
    ratio = time_ratio(turns(arm.samples[workload]), turns(versus.samples[workload]))
    if ratio is None:
        return []
    return [
        {
            "record": "effect",
            "workload": workload,
            "device": arm.device,
            "arm": arm.label,
            "versus": versus.label,
            "ratio": ratio.value,
            "ci_lo": ratio.low,
            "ci_hi": ratio.high,
            "quads": ratio.quads,
        }
    ]
