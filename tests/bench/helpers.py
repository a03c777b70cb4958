"""Contestants as they are after a measurement, without a worker."""

from bench.match.ceiling_rates import Ceilings, Kind
from bench.match.contestant import Contestant
from bench.match.group import Group
from bench.plan.plan import Plan
from bench.workload.workload import Workload
from impl.config import PRESETS

PP8 = Workload(batch=2, n_prompt=8)
TG4 = Workload(batch=1, n_gen=4, n_depth=8)


def samples(workload, milliseconds=10.0, *, quads=2, processes=3, clean=True, jitter=0.0):
    """Two turns of one call in each quad; every other quad is slower by `jitter`."""
    made = []
    for number in range(quads * processes):
        generation, within = divmod(number, quads)
        for turn in range(2):
            time_ns = int(milliseconds * 1e6 * (1 + jitter * (number % 2)))
            tokens = (
                {"ttft_ns": 3_000_000, "steps_ns": [time_ns // workload.n_gen] * workload.n_gen}
                if workload.n_gen
                else {}
            )
            made.append(
                {
                    "record": "sample", "workload": workload.name, "generation": generation,
                    "quad": number, "block": 2 * within + turn, "call": 0, "time_ns": time_ns,
                    "clean": clean, "psi_us": 1000, "switches": 0, "steal_us": 0,
                    "wall_s": time_ns / 1e9, "others_cpu_s": 0.0, **tokens,
                }
            )  # fmt: skip
    return made


def contestant(
    label, milliseconds=10.0, *, workload=PP8, quads=2, processes=3, clean=True, jitter=0.0,
    **fields,
):  # fmt: skip
    made = samples(
        workload, milliseconds, quads=quads, processes=processes, clean=clean, jitter=jitter
    )
    filled = {"samples": {workload.name: made}, "judged": {workload.name: len(made)}} | fields
    return Contestant(label, "cpu", 2, "tiny", **filled)


def plan(arms, workloads=(PP8,), **fields):
    values = {
        "model": "tiny", "revision": None, "config": PRESETS["tiny"], "weights_sha256": "w",
        "devices": ["cpu"], "arms": list(arms), "workloads": list(workloads), "threads": [2],
        "budget_s": 60.0, "blocks": 8, "seed": 0,
    }  # fmt: skip
    return Plan(**values | fields)


def group(*contestants, workloads=(PP8,), gemm=None, read=None):
    """A group after its measurement; rates in FLOPs and bytes a second."""
    ceilings = Ceilings(None, "tiny", "cpu", 2)
    if gemm and read:
        ceilings.rates = {Kind("gemm", "float32"): [gemm], Kind("read", "float32"): [read]}
        ceilings.what = dict.fromkeys(ceilings.rates, "a test")
    labels = [c.label for c in contestants]
    return Group(plan(labels, workloads), "cpu", 2, list(contestants), ceilings)
