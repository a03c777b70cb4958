"""From what was seen of the arms to the rows of a run.

A row is VALID, INVALID, ERROR or SKIP. Only a VALID row has a speed.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.arms.specs import spec_of
from bench.arms.tf32 import judged_as
from bench.judge.estimate import median_time
from bench.judge.luck import spreads
from bench.judge.statistics import effective_count, percentile, turns
from bench.match.contestant import PHASES
from bench.results.effects import times_of
from bench.results.roofline import Utilisation, least_times, utilisation
from bench.workload.work import work
from reports.tables.classes import ERRORS, coarser

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.arms.specs import ArmSpec
    from bench.judge.estimate import Estimate
    from bench.match.contestant import Contestant
    from bench.match.group import Group
    from bench.workload.work import Work
    from bench.workload.workload import Workload

PERCENTILES = 90, 95, 99


def make_rows(group: Group, unverified: Mapping[tuple[str, str], str]) -> list[dict[str, Any]]:
    """One row for each workload and contestant of a group.

    Args:
        group: after it was measured.
        unverified: by device and engine, why that MAX model is not verified; empty if it is.
    """
    rows = []
    for workload in group.plan.workloads:
        found = spreads(times_of(group, workload))
        for contestant in group.contestants:
            row = make_row(contestant, workload, group, unverified)
            rows.append(row | _spreads(row, found.get(contestant.label, (None, None))))
    return rows


def _spreads(
    row: Mapping[str, Any], found: tuple[float | None, float | None]
) -> dict[str, float | None]:
    """What processes of the arm differ by, and the quads of one, in percent; of VALID rows only."""
    between, within = found if row["status"] == "VALID" else (None, None)
    return {
        "spread_processes_pct": None if between is None else 100 * between,
        "spread_quads_pct": None if within is None else 100 * within,
    }


def skip_row(arm: str, device: str, reason: str) -> dict[str, Any]:
    """The row of what cannot be measured on this machine."""
    return {
        "record": "row", "workload": None, "arm": arm, "device": device, "dtype": "float32",
        "status": "SKIP", "verified": False, "invalid_reasons": [reason],
    }  # fmt: skip


def make_row(
    contestant: Contestant,
    workload: Workload,
    group: Group,
    unverified: Mapping[tuple[str, str], str],
) -> dict[str, Any]:
    """The row of one contestant and workload."""
    samples = contestant.samples.get(workload.name, [])
    status, reasons = _status(contestant, workload, unverified)
    used = Utilisation()
    if status == "VALID":
        used = _utilisation(contestant, workload, group)
        if used.problem:
            status, reasons, used = "INVALID", [used.problem], Utilisation()
    valid = status == "VALID"
    kv_cache = spec_of(contestant.label).kv_cache if workload.n_gen else None
    return {
        "record": "row",
        **contestant.place(workload),
        "batch": workload.batch,
        "n_prompt": workload.n_prompt,
        "n_gen": workload.n_gen,
        "n_depth": workload.n_depth,
        "logits_policy": workload.logits_policy,
        "kv_cache": kv_cache,
        "compared_in": spec_of(contestant.label).class_,
        "judged_as": judged_as(contestant.label, contestant.device),
        "runtime": contestant.facts.get("runtime"),
        "kernel_path": contestant.facts.get("kernel_path"),
        "status": status,
        **(speed(samples, workload) if valid else dict.fromkeys(speed([], workload))),
        **_error(contestant, workload),
        **_counts(samples),
        **(latencies(samples, workload) if valid else dict.fromkeys(latencies([], workload))),
        **_work(contestant, workload, group),
        **used.as_dict(),
        **(_limit(contestant, workload, group) if valid else _limit_of(None)),
        **_memory(contestant, workload),
        **_phases(contestant, workload),
        "paused_ratio": _median(contestant.paused.get(workload.name)) if valid else None,
        "verified": valid,
        "invalid_reasons": reasons,
    }


def _error(contestant: Contestant, workload: Workload) -> dict[str, float | str | None]:
    """The largest difference of an output to PyTorch's in float32, of an INVALID row too."""
    found, allowed = contestant.errors.get(workload.name, (None, None))
    relative, error_class, _ = contestant.exactness or (None, None, "")
    return {"error_logits": found, "error_allowed_logits": allowed,
            "error_relative": relative, "error_class": error_class}  # fmt: skip


def pressure_pct(contestants: Sequence[Contestant]) -> float | None:
    """CPU time that other programs took from the arms while they were timed, in percent of a CPU.

    In records that do not tell, and where the kernel does not count it: the share of the time in
    which some task of the machine waited for a CPU. None where neither is known.
    """
    taken_us, timed_s = 0, 0.0
    for sample in (s for c in contestants for group in c.samples.values() for s in group):
        if sample["call"] == 0:  # counted once for all calls of a turn
            told_us = sample.get("taken_us")
            spent_us = sample["psi_us"] if told_us is None else told_us
            if spent_us is None:
                return None
            taken_us += spent_us
            timed_s += sample["wall_s"]
    return 100 * max(0, taken_us) / 1e6 / timed_s if timed_s else None


def _status(
    contestant: Contestant, workload: Workload, unverified: Mapping[tuple[str, str], str]
) -> tuple[str, list[str]]:
    """The status of a row, and every reason why it is not VALID."""
    if contestant.skipped:
        return "SKIP", [contestant.skipped]
    if contestant.error:
        return "ERROR", [contestant.error]
    reasons = []
    spec = spec_of(contestant.label)
    if spec.candidate and (reason := unverified.get((contestant.device, spec.engine))):
        reasons.append(reason)
    if message := contestant.disagreements.get(workload.name):
        reasons.append(f"outputs disagree with PyTorch float32: {message}")
    elif not contestant.judged.get(workload.name):
        reasons.append("nothing was measured")
    if reason := wrong_class(contestant):
        reasons.append(reason)
    return ("INVALID" if reasons else "VALID"), reasons


def wrong_class(contestant: Contestant) -> str:
    """Why a peer's results are not of the class that it takes part in; empty where they are.

    What MAX computes in is verified, and PyTorch's float32 is what others are held to.
    """
    if contestant.exactness is None or not spec_of(contestant.label).peer:
        return ""
    relative, found, message = contestant.exactness
    judged = judged_as(contestant.label, contestant.device)
    if not coarser(found, judged):
        return ""
    if relative is None:
        return f"its error cannot be measured: {message}"
    class_ = spec_of(contestant.label).class_
    larger = ERRORS[found] if found else "larger than that of 8 bits"
    return (
        f"its error is {larger} ({relative:.1e} of the largest logit), and not {class_}'s: "
        f"compared with no row of {class_}"
    )


def speed(samples: Sequence[Mapping[str, Any]], workload: Workload) -> dict[str, float | None]:
    """Median time and tokens a second, of all blocks and of the clean ones."""
    found = median_time(turns(samples))
    clean = median_time(turns(samples, clean_only=True))
    return {
        "median_s": found.value if found else None,
        "ci_lo_s": found.low if found else None,
        "ci_hi_s": found.high if found else None,
        "median_clean_s": clean.value if clean else None,
        "ci_lo_clean_s": clean.low if clean else None,
        "ci_hi_clean_s": clean.high if clean else None,
        "tok_s": workload.tokens / found.value if found else None,
    }


def latencies(samples: Sequence[Mapping[str, Any]], workload: Workload) -> dict[str, float | None]:
    """Time to first token, per token, between tokens, and from end to end, in milliseconds."""
    times_ms = [sample["time_ns"] / 1e6 for sample in samples]
    first_ms = [sample["ttft_ns"] / 1e6 for sample in samples if "ttft_ns" in sample]
    steps_ms = [step / 1e6 for sample in samples for step in sample.get("steps_ns", [])]
    e2e_ms = (
        [time + first for time, first in zip(times_ms, first_ms, strict=True)]
        if workload.n_gen
        else times_ms
    )
    ttft_ms, decode_ms = percentile(first_ms, 50), percentile(times_ms, 50)
    ttft_ms = ttft_ms if workload.n_gen else None
    return {
        "ttft_ms": ttft_ms,
        "tpot_ms": decode_ms / workload.n_gen if workload.n_gen and decode_ms else None,
        **_tails("itl_ms", steps_ms),
        **_tails("e2e_ms", e2e_ms),
        "prefill_tok_s": _rate(
            workload.batch * workload.prompt_length, ttft_ms if workload.n_gen else decode_ms
        ),
        "decode_tok_s": _rate(workload.tokens, decode_ms) if workload.n_gen else None,
    }


def _tails(name: str, values: Sequence[float]) -> dict[str, float | None]:
    """The median and the percentiles that there are enough samples for."""
    tails = {f"{name}_p{percent}": percentile(values, percent) for percent in PERCENTILES}
    return {name: percentile(values, 50), **tails, f"{name}_n": len(values)}


def _rate(tokens: int, milliseconds: float | None) -> float | None:
    return 1e3 * tokens / milliseconds if milliseconds else None


def _counts(samples: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """How many blocks, quads and calls there were, and how much the blocks tell."""
    found, clean = turns(samples), turns(samples, clean_only=True)
    in_order = list(itertools.chain.from_iterable(found[quad] for quad in sorted(found)))
    return {
        "blocks": len(in_order),
        "blocks_clean": sum(map(len, clean.values())),
        "processes": len({generation for generation, _ in found}),
        "quads": len(found),
        "samples": len(samples),
        "n_eff": effective_count(in_order),
    }


def _work(contestant: Contestant, workload: Workload, group: Group) -> dict[str, float]:
    spec = spec_of(contestant.label)
    needed = _needed(spec, contestant, workload, group)
    return {
        "flops": needed.flops,
        "flops_executed": needed.flops_executed,
        "bytes": needed.bytes,
        "passes": needed.passes,
    }


def _needed(spec: ArmSpec, contestant: Contestant, workload: Workload, group: Group) -> Work:
    return work(
        group.plan.config, workload, spec.dtype,
        kv_cache=spec.kv_cache, kv_dtype=spec.kv_dtype,
        weight_bits=contestant.facts.get("weight_bits"),
    )  # fmt: skip


def _utilisation(contestant: Contestant, workload: Workload, group: Group) -> Utilisation:
    found = median_time(turns(contestant.samples.get(workload.name, [])))
    if found is None or group.ceilings is None:
        return Utilisation()
    spec = spec_of(contestant.label)
    needed = _needed(spec, contestant, workload, group)
    arithmetic = group.ceilings.arithmetic(spec.judged_as)
    bandwidth = group.ceilings.bandwidth(spec.dtype)
    return utilisation(needed, found.value, arithmetic, bandwidth)


def _limit(contestant: Contestant, workload: Workload, group: Group) -> dict[str, float | None]:
    """The share of what could be read in the same seconds, of the quads in which that was measured.

    A machine's memory may be twice as fast in one minute as in the next one: the best of a run says
    what it can do, a quad's own says what there was for the arm.
    """
    spec = spec_of(contestant.label)
    arithmetic = group.ceilings.arithmetic(spec.judged_as) if group.ceilings else None
    if group.ceilings is None or arithmetic is None:
        return _limit_of(None)
    beside = group.ceilings.quads(spec.dtype)
    needed = _needed(spec, contestant, workload, group)
    shares = {
        (generation, quad): [max(least_times(needed, arithmetic, beside[quad])) / s for s in times]
        for (generation, quad), times in turns(contestant.samples.get(workload.name, [])).items()
        if quad in beside
    }
    return _limit_of(median_time(shares))


def _limit_of(share: Estimate | None) -> dict[str, float | None]:
    if share is None:
        return dict.fromkeys(("limit_pct", "limit_lo_pct", "limit_hi_pct"))
    low, high = (None if bound is None else 100 * bound for bound in (share.low, share.high))
    return {"limit_pct": 100 * share.value, "limit_lo_pct": low, "limit_hi_pct": high}


def _memory(contestant: Contestant, workload: Workload) -> dict[str, Any]:
    return {
        "peak_rss_mib": contestant.peak_rss_mib.get(workload.name),
        "peak_device_mib": contestant.peak_device_mib.get(workload.name),
        "kv_bytes": contestant.kv_bytes.get(workload.name),
        "weight_bytes": contestant.facts.get("weight_bytes"),
        "weight_bits": contestant.facts.get("weight_bits"),
    }


def _phases(contestant: Contestant, workload: Workload) -> dict[str, Any]:
    """What came before, the median of all processes, between the least and the most.

    Compiling with a cold cache happens once, in the first: its time is `compile_s`, and that of
    the later ones `compile_warm_s`.
    """
    every = {
        name: [s for p in contestant.processes if (s := p.get("seconds", {}).get(name))]
        for name in PHASES
    }
    first_calls = contestant.first_call_s.get(workload.name, [])
    cold = contestant.facts.get("cache") == "cold"
    compiled = every["compile"]
    return {
        "import_s": _median(every["import"]),
        "load_s": _median(every["load"]),
        "compile_s": compiled[0] if cold and compiled else _median(compiled),
        "compile_warm_s": _median(compiled[1:] if cold else compiled),
        "compile_cache": contestant.facts.get("cache"),
        "first_call_s": _median(first_calls),
        **_ends("import", every["import"]),
        **_ends("load", every["load"]),
        **_ends("compile_warm", compiled[1:] if cold else compiled),
        **_ends("first_call", first_calls),
        "host_copy_s": _median(contestant.host_copy_s.get(workload.name)),
    }


def _median(values: Sequence[float] | None) -> float | None:
    return float(np.median(values)) if values else None


def _ends(name: str, values: Sequence[float]) -> dict[str, float | None]:
    return {f"{name}_min_s": min(values, default=None), f"{name}_max_s": max(values, default=None)}
