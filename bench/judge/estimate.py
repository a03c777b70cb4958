"""A ratio of times, from quads within generations within a pair of arms.

A process differs from its like for as long as it lives, by where its code and memory happen to lie
(0.4% to 0.5% on several machines), so that no number of turns of two processes tells which *code*
is faster. A run therefore consists of generations, in each of which every arm is a new process:

    log time = arm + moment (what all arms of a quad share) + process + noise
    d        = log time A - log time B of one quad: the moment drops out
    value    = exp(mean over generations of (mean over its quads of d))

With G generations of Q quads, S the variance of the generations' means and V the part of it that
noise within them explains (variance of d within generations, over Q),

    S = V + P,    P = variance of process A + variance of process B

P is hardly known from the few generations of one pair, but all arms of a run tell something about
how much processes differ, and so do those that `python -m bench null` started on this machine
before. So P is pooled over all of them (`bench.judge.luck`) and added to the pair's own V; the
pair's own S then has a say with its own weight, as in moderated t-tests (Smyth 2004, "Linear models
and empirical Bayes methods", section 4):

    s2 = (d0 (P + V) + (G - 1) S) / (d0 + G - 1),    interval: t of d0 + G - 1, times sqrt(s2 / G)

d0 is what is left of the pool's degrees of freedom (Satterthwaite) without the pair's own G - 1, at
most `MOST_PRIOR`. Arms may differ in how much their processes differ: a pair whose S is too large
for the pool (F test at `ALONE`) stands alone. So does one without others, or with one quad in each
generation: Student's t over its generations.

Other work comes in bursts, so each d that lies far from the pair's median is moved nearer
(`bench.judge.parts`). Below `FEWEST_GENERATIONS` there is no interval.

How often equal code is called different, in percent of 1,000 simulated runs of three arms (nominal
5), by the number of generations x quads (`python -m bench.judge.simulation`, whose docstring names
the noises):

    noise         3x1    3x2    3x6   3x20    5x1    5x2    5x6   5x12   10x3   20x1  20x20
    normal        5.5    3.5    3.6    3.9    5.2    3.3    3.9    4.4    5.4    4.7    4.8
    heavy         3.3    2.9    3.1    6.4    4.0    4.0    3.4    6.7    5.2    5.5    4.8
    bursts        4.1    2.9    2.2    3.0    2.4    2.6    2.7    3.9    3.3    4.6    3.8
    follows       5.5    4.7    4.4    5.0    5.2    5.6    5.9    6.5    6.9    4.7    4.9
    unlike        5.6    4.3    3.0    3.4    5.4    5.7    3.9    3.9    5.5    4.6    4.2
    no luck       5.0    3.4    2.3    2.1    5.5    3.1    3.5    3.9    5.0    4.9    4.6
    one luck      4.6    3.4    5.3    6.1    4.5    3.5    5.5    6.1    5.6    4.9    5.0
    known         5.5    4.6    4.3    2.5    5.2    4.2    4.3    4.7    5.5    4.7    4.8
    changed       4.9    5.4    5.7    6.6    5.1    4.2    5.0    6.0    5.7    4.9    5.5

and how often a true +2% is found:

    noise         3x1    3x2    3x6   3x20    5x1    5x2    5x6   5x12   10x3   20x1  20x20
    normal         14     24     58     85     25     48     88     97     96     90    100
    heavy          17     32     66     87     36     63     95     99     98     95    100
    bursts          8     12     34     68     15     27     61     84     66     60    100
    follows        14     22     37     63     25     39     63     81     82     90    100
    unlike          6     10     23     58      9     14     37     62     42     34    100
    no luck        13     25     70     99     26     51     95    100     98     92    100
    one luck       12     23     48     65     23     44     77     88     92     88    100
    known          14     30     70     93     25     53     90     98     96     90    100
    changed        13     30     62     82     25     49     85     91     94     88    100
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from bench.judge.luck import ALONE
from bench.judge.parts import FEWEST_GENERATIONS, TINY, log_ratios, log_times, parts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.judge.luck import Pool
    from bench.judge.parts import Array, Parts
    from bench.judge.statistics import Turns

MOST_PRIOR = 8.0
"""Degrees of freedom that other arms' processes count for at most: a pair's own always matter."""
LUCK = 0.005
"""Standard deviation between processes of equal code that is assumed where it cannot be seen: 0.4%
to 0.5% were, on several machines."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A ratio or a time, with its intervals; bounds are None where there are too few generations.

    Attributes:
        low: of the 95% interval.
        high: of the 95% interval.
        low_90: of the 90% interval, by which equivalence is judged.
        high_90: of the 90% interval.
        generations: how many it was made from.
        quads: in all.
        error: standard error of the logarithm.
        freedom: degrees of freedom of `error`.
        between: variance that processes add to a generation's logarithm (P above).
        within: variance of one quad's logarithm within a generation; None with one in each.
    """

    value: float
    low: float | None = None
    high: float | None = None
    low_90: float | None = None
    high_90: float | None = None
    generations: int = 0
    quads: int = 0
    error: float | None = None
    freedom: float | None = None
    between: float | None = None
    within: float | None = None


def estimate(arm: Turns, versus: Turns, pool: Pool | None = None) -> Estimate | None:
    """Time of `arm` over time of `versus`; None without a quad that is complete in both.

    Args:
        arm: its turns.
        versus: the other's.
        pool: of all arms that took turns with them (`pool_of`); None for these two alone.
    """
    logs = log_ratios(arm, versus)
    return _estimate(logs, pool) if logs else None


def median_time(arm: Turns) -> Estimate | None:
    """The median time of an arm's turns; None without a complete quad.

    Its interval is that of the generations' means: processes differ, and so do moments.
    """
    logs = log_times(arm)
    if not logs:
        return None
    times = [time for both in arm.values() if len(both) == 2 for time in both]
    return _around(float(np.median(times)), parts_of(logs), None)


def ratio_of_ratios(after: Estimate, before: Estimate) -> Estimate:
    """How a ratio changed between two runs, which are independent (Welch)."""
    value = math.log(after.value) - math.log(before.value)
    generations = min(after.generations, before.generations)
    quads = min(after.quads, before.quads)
    if not (after.error is not None and before.error is not None
            and after.freedom and before.freedom):  # fmt: skip
        return Estimate(math.exp(value), generations=generations, quads=quads)
    variances = after.error**2, before.error**2
    total = sum(variances)
    below = variances[0] ** 2 / after.freedom + variances[1] ** 2 / before.freedom
    freedom = total**2 / below if below > 0 else after.freedom + before.freedom
    between = _sum(after.between, before.between)
    within = _sum(after.within, before.within)
    found = Estimate(
        math.exp(value), generations=generations, quads=quads, error=math.sqrt(total),
        freedom=freedom, between=between, within=within,
    )  # fmt: skip
    return with_bounds(found)


def assuming_luck(found: Estimate) -> Estimate:
    """The estimate of a run of fewer than three generations, if processes differ by `LUCK`.

    With one process of each arm a ratio then has an error of 0.7% at least, and the change between
    two such runs one of 1%: differences under 2% are not resolved.
    """
    if found.error is not None or found.within is None:
        return found
    between = 2 * LUCK**2
    freedom = max(1, found.quads - found.generations)
    error = math.sqrt(between / found.generations + found.within / found.quads)
    return with_bounds(
        dataclasses.replace(found, error=error, freedom=float(freedom), between=between)
    )


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _estimate(logs: Sequence[Array], pool: Pool | None) -> Estimate:
    parts = parts_of(logs)
    return _around(math.exp(parts.means.mean()), parts, pool)


def _around(value: float, parts: Parts, pool: Pool | None) -> Estimate:
    """The estimate of this value, with the spread of these generations."""
    count = len(parts.means)
    plain = Estimate(value, generations=count, quads=parts.quads, within=parts.within)
    if count < FEWEST_GENERATIONS:
        return plain
    variance, freedom, between = _variance(parts, pool)
    error = math.sqrt(variance / count)
    return with_bounds(dataclasses.replace(plain, error=error, freedom=freedom, between=between))


def _variance(parts: Parts, pool: Pool | None) -> tuple[float, float, float]:
    """Variance of one generation, its degrees of freedom, and what processes add to it."""
    own, own_freedom = parts.spread, len(parts.means) - 1
    alone = own, float(own_freedom), max(0.0, own - (parts.noise or 0.0))
    if pool is None or parts.noise is None:
        return alone
    pooled = pool.between + parts.noise
    if pooled <= TINY:
        return alone
    freedom = _freedom(parts, pool, pooled)
    if own > pooled * stats.f.ppf(1 - ALONE, own_freedom, max(2.0, freedom)):
        return alone
    prior = min(MOST_PRIOR, max(1.0, freedom - own_freedom))
    variance = (prior * pooled + own_freedom * own) / (prior + own_freedom)
    return variance, prior + own_freedom, pool.between


def _freedom(parts: Parts, pool: Pool, pooled: float) -> float:
    """Degrees of freedom of P + V (Satterthwaite).

    P comes from the pool's S, V is the pair's own. Where all pairs are as noisy, V is in the pool's
    S too and adds nothing.
    """
    assert parts.noise is not None
    apart = max(0.0, parts.noise - pool.noise)
    variance = 2 * pool.spread**2 / pool.freedom + 2 * apart**2 / parts.freedom
    most = pool.freedom + parts.freedom
    return min(float(most), 2 * pooled**2 / variance) if variance > 0 else float(most)


def with_bounds(found: Estimate) -> Estimate:
    """The same with its intervals, from its standard error and degrees of freedom."""
    assert found.error is not None
    assert found.freedom is not None
    factor, factor_90 = (
        math.exp(float(stats.t.isf(tail, found.freedom)) * found.error) for tail in (0.025, 0.05)
    )
    return dataclasses.replace(
        found, low=found.value / factor, high=found.value * factor,
        low_90=found.value / factor_90, high_90=found.value * factor_90,
    )  # fmt: skip
