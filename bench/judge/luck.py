"""How much processes of the same code differ: by all arms of a run, and by earlier runs here.

A pair of arms has few processes, a run has those of all its arms, and the machine had many more
when `python -m bench null` was last run on it. What it found (`Machine`) counts like so many more
arms of the run, `MOST_KNOWN` degrees of freedom at most, as long as the run does not contradict it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize, stats

from bench.judge.parts import FEWEST_GENERATIONS, TINY, log_ratios, parts_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.judge.statistics import Turns

ALONE = 0.1
"""Whose spread is this improbable beside the others' (F test) is judged by its own."""
MOST_KNOWN = 8.0
"""Degrees of freedom that the machine's earlier processes count for at most: code changes."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What is known of this machine from `python -m bench null`.

    Attributes:
        between: P of a pair of arms: the variance of two processes' logarithms, added.
        freedom: its degrees of freedom.
    """

    between: float
    freedom: float


@dataclass(frozen=True, slots=True)
class Pool:
    """How much processes of the same code differ, as a prior of one pair.

    Attributes:
        between: P, pooled.
        spread: the pairs' S, weighted alike.
        noise: the pairs' V, weighted alike.
        freedom: degrees of freedom of `spread`.
    """

    between: float
    spread: float
    noise: float
    freedom: float


def machine_in(record: Mapping[str, Any]) -> Machine | None:
    """What a `luck` record tells."""
    if record["between"] is None:
        return None
    return Machine(float(record["between"]), float(record["freedom"]))


def pool_of(arms: Sequence[Turns], machine: Machine | None = None) -> Pool | None:
    """How much processes differ, by all arms of one workload, and by what the machine is known for.

    Args:
        arms: all that took turns with each other.
        machine: what `python -m bench null` found here before; None where it never did.

    Returns:
        None where that cannot be separated from noise: one quad in each generation, fewer than
        three generations, or fewer than three arms on a machine of which nothing is known.
    """
    found = _of_run(arms)
    if machine is None or machine.freedom <= 0:
        return found
    if found is not None:
        return _joined(found, machine)
    noise = [parts_of(log_ratios(one, other)).noise for one, other in combinations(arms, 2)]
    if not noise or any(one is None for one in noise):
        return None
    mean = float(np.mean([one for one in noise if one is not None]))
    return Pool(machine.between, machine.between + mean, mean, min(machine.freedom, MOST_KNOWN))


def _joined(run: Pool, machine: Machine) -> Pool:
    """Both, by their degrees of freedom; the run alone where its processes differ by far more."""
    freedom = min(machine.freedom, MOST_KNOWN)
    known = machine.between + run.noise
    if run.spread > known * stats.f.ppf(1 - ALONE, run.freedom, freedom):
        return run
    both = run.freedom + freedom
    spread = (run.freedom * run.spread + freedom * known) / both
    return Pool(max(0.0, spread - run.noise), spread, run.noise, both)


def _of_run(arms: Sequence[Turns]) -> Pool | None:
    """By the arms of one run; None with fewer than three."""
    pairs = [parts_of(log_ratios(one, other)) for one, other in combinations(arms, 2)]
    known = [pair for pair in pairs if pair.noise is not None and len(pair.means) > 1]
    if len(arms) < 3 or len(known) < len(pairs):
        return None
    generations = min(len(pair.means) for pair in known)
    if generations < FEWEST_GENERATIONS:
        return None
    noise = np.array([pair.noise for pair in known])
    spread = np.array([pair.spread for pair in known])
    weights = 1 / np.maximum(noise, TINY)
    mean_spread, mean_noise = (
        float(np.average(values, weights=weights)) for values in (spread, noise)
    )
    return Pool(
        between=max(0.0, mean_spread - mean_noise),
        spread=mean_spread,
        noise=mean_noise,
        freedom=(len(arms) - 1) * (generations - 1),
    )


def spreads(arms: Mapping[str, Turns]) -> dict[str, tuple[float | None, float | None]]:
    """Of each arm, the standard deviation between processes, and of a quad within one, in logs.

    A pair's variance is the sum of its two arms' variances; those of all pairs are taken apart by
    least squares, none being negative. None where noise hides it.
    """
    names, nothing = list(arms), (None, None)
    pairs = list(combinations(range(len(names)), 2))
    parts = [parts_of(log_ratios(arms[names[i]], arms[names[j]])) for i, j in pairs]
    if not pairs or any(pair.noise is None or len(pair.means) < 2 for pair in parts):
        return dict.fromkeys(names, nothing)
    between = [pair.spread - (pair.noise or 0.0) for pair in parts]
    within = [pair.within or 0.0 for pair in parts]
    apart = [_taken_apart(pairs, values, len(names)) for values in (between, within)]
    enough = min(len(pair.means) for pair in parts) >= FEWEST_GENERATIONS
    return {
        name: (math.sqrt(b) if enough else None, math.sqrt(w))
        for name, b, w in zip(names, *apart, strict=True)
    }


def _taken_apart(
    pairs: Sequence[tuple[int, int]], variances: Sequence[float], count: int
) -> list[float]:
    """Variances of single arms, from those of pairs: non-negative least squares."""
    if count == 2:
        return [max(0.0, variances[0] / 2)] * 2
    sums = np.zeros((len(pairs), count))
    for row, (i, j) in enumerate(pairs):
        sums[row, i] = sums[row, j] = 1.0
    scale = max(map(abs, variances)) or 1.0
    found, _ = optimize.nnls(sums, np.maximum(np.array(variances) / scale, 0.0))
    return [float(value) * scale for value in found]
