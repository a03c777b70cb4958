"""`python -m bench sweep`: models x dtypes x sizes x threads, on each kind of machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.fleet.carried_out import Work, carry_out
from bench.fleet.sweep_plan import SweepPlan, arms_by_dtype
from bench.plan.from_options import make_plans
from bench.plan.options import make_parser
from bench.plan.sweep_options import sweep_parser
from bench.results.surroundings import environment_of
from bench.screen.unit_tables import show_sweep
from reports.commands import UsageError
from reports.saved.environment import usable_cpus

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from bench.fleet.places import Place
    from bench.plan.plan import Plan
    from verify.fleet.unit import Unit


def main(argv: Sequence[str]) -> int:
    """Measure every unit, and return the exit code."""
    options = sweep_parser().parse_args(argv)
    arms = arms_by_dtype(options.arms, options.dtypes)
    sizes, others = _sizes(options), _others(options)
    plans = checked(options, [arm for some in arms.values() for arm in some], sizes)
    plan = SweepPlan(
        models=options.models, dtypes=options.dtypes, threads=options.threads,
        workloads=plans[0].workloads, arms=arms, device=options.device, sizes=sizes, others=others,
    )  # fmt: skip

    def units(found: Sequence[Place]) -> list[Unit]:
        return plan.units(list(dict.fromkeys(place.cpu for place in found)))

    work = Work(
        kind="sweep", units=units, command=["python", "-m", "bench", "sweep", *argv],
        environment={**environment_of(plans), "threads": options.threads, "sweep": plan.as_dict()},
        seconds=options.budget_each, show=show_sweep,
    )  # fmt: skip
    return carry_out(work, options)


def checked(
    options: argparse.Namespace, arms: Sequence[str], sizes: Sequence[str]
) -> list[Plan]:  # fmt: skip
    """The plans of all models, as `python -m bench run` makes them, which finds every mistake.

    On a cluster, threads and devices are those of its nodes, which say for themselves what they
    lack.

    Raises:
        UsageError, reference.checkpoint.CheckpointError: for what cannot be carried out.
    """
    here = options.on is None
    models = [word for model in options.models for word in ("--model", model)]
    if here and (most := max(options.threads)) > len(usable_cpus()):
        raise UsageError(f"--threads: {most} is more than the {len(usable_cpus())} usable CPUs")
    run = make_parser().parse_args([
        *models, *_revision(options), "--device", options.device if here else "cpu",
        "--arms", ",".join(dict.fromkeys(arms)), *sizes, "--threads", "1",
    ])  # fmt: skip
    run.json, run.summary, run.seed = options.json, options.summary, options.seed
    return make_plans(run)[0]


def _sizes(options: argparse.Namespace) -> list[str]:
    listed = {"-p": options.p, "-n": options.n, "-d": options.d, "-b": options.b}
    words = [word for name, sizes in listed.items() for word in (name, ",".join(map(str, sizes)))]
    return [*words, "--logits", options.logits]


def _others(options: argparse.Namespace) -> list[str]:
    return [*how(options), *_revision(options)]


def how(options: argparse.Namespace) -> list[str]:
    """How a unit is timed, as options of `python -m bench run`."""
    return [
        "--budget", f"{options.budget_each:g}s", "--processes", str(options.processes),
        "--margin", f"{100 * options.margin:g}%", "--seed", str(options.seed),
    ]  # fmt: skip


def _revision(options: argparse.Namespace) -> list[str]:
    return ["--revision", options.revision] if options.revision else []
