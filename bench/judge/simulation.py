"""How honest the estimate is, in simulation: `python -m bench.judge.simulation` prints the table.

Runs are drawn with what was seen on a quiet machine (torch, `tiny`, one thread): processes of equal
code differ by 0.45%, a quad's ratio by 2.5%. Noise is

    normal
    heavy     Student's t with 3 degrees of freedom, of the same variance
    bursts    normal, and each tenth turn takes longer by an exponential of six standard deviations
    follows   normal, each quad correlated by 0.5 with the one before
    unlike    normal, and the first arm's three times that of the others
    no luck   normal, and processes do not differ at all
    one luck  normal, and the first arm's processes differ twice as much as the others'

    known     normal, and P is known from this machine, with 20 degrees of freedom
    changed   the same, but the code's processes now differ by 1.4 times as much (P has doubled)

For each, G generations of Q quads are judged: how often equal code is called different (nominal
5%), how often a true +1%, +2% and +5% is found, and half the width of the interval. 1,000 runs of
each take five minutes; `bench.judge.estimate` has what they came to.
"""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING

import numpy as np

from bench.judge.estimate import estimate
from bench.judge.luck import Machine, pool_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from bench.judge.statistics import Turns

    Array = npt.NDArray[np.float64]

PROCESS, QUAD = 0.0045, 0.025
"""Standard deviations of logarithms: between processes, and of the ratio of two arms in a quad."""

NOISES = (
    "normal",
    "heavy",
    "bursts",
    "follows",
    "unlike",
    "no luck",
    "one luck",
    "known",
    "changed",
)
SIZES = (
    (3, 1),
    (3, 2),
    (3, 6),
    (3, 20),
    (5, 1),
    (5, 2),
    (5, 6),
    (5, 12),
    (10, 3),
    (20, 1),
    (20, 20),
)
"""Generations, and quads in each."""
EFFECTS = 0.01, 0.02, 0.05


def draw(
    rng: np.random.Generator, noise: str, arms: int, generations: int, quads: int
) -> list[Turns]:
    """Turns of arms with equal code, in one run."""
    shape = arms, generations, quads
    each = QUAD / math.sqrt(2)  # of one arm
    scale = np.ones((arms, 1, 1))
    luck = np.full((arms, 1, 1), PROCESS)
    match noise:
        case "heavy":
            drawn = rng.standard_t(3, shape) / math.sqrt(3)
        case "bursts":
            hit = rng.random(shape) < 0.1
            drawn = rng.standard_normal(shape) + hit * rng.exponential(6, shape)
        case "follows":
            drawn = _following(rng, shape)
        case _:
            drawn = rng.standard_normal(shape)
    if noise == "unlike":
        scale[0] = 3
    if noise == "no luck":
        luck[:] = 0
    if noise == "one luck":
        luck[0] *= 2
    if noise == "changed":
        luck *= math.sqrt(2)
    logs = luck * rng.standard_normal((arms, generations, 1)) + each * scale * drawn
    return [_turns(arm) for arm in np.exp(logs)]


def _following(rng: np.random.Generator, shape: tuple[int, int, int]) -> Array:
    drawn = rng.standard_normal(shape)
    for quad in range(1, shape[2]):
        drawn[..., quad] = 0.5 * drawn[..., quad - 1] + math.sqrt(0.75) * drawn[..., quad]
    return drawn


def _turns(times: Array) -> Turns:
    return {(int(at[0]), int(at[1])): [float(t), float(t)] for at, t in np.ndenumerate(times)}


def rates(
    noise: str, generations: int, quads: int, *, arms: int = 3, runs: int = 1000, seed: int = 0
) -> tuple[float, list[float], float]:
    """Share of equal code that is called different, shares of `EFFECTS` found, half a width."""
    rng = np.random.default_rng(seed)
    known = Machine(2 * PROCESS**2, 20.0) if noise in ("known", "changed") else None
    wrong, found, widths = 0, np.zeros(len(EFFECTS)), []
    for _ in range(runs):
        drawn = draw(rng, noise, arms, generations, quads)
        ratio = estimate(drawn[0], drawn[1], pool_of(drawn, known))
        assert ratio is not None
        assert ratio.low is not None
        assert ratio.high is not None
        wrong += not ratio.low <= 1 <= ratio.high
        found += [ratio.low * (1 + effect) > 1 for effect in EFFECTS]
        widths.append(math.log(ratio.high / ratio.low) / 2)
    return wrong / runs, [float(n) / runs for n in found], float(np.median(widths))


def table(noises: Sequence[str], sizes: Sequence[tuple[int, int]], arms: int, runs: int) -> str:
    """The table of all these, as Markdown."""
    lines = ["| noise | G x Q | called different | +1% | +2% | +5% | half width |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for noise in noises:
        for generations, quads in sizes:
            wrong, found, half = rates(noise, generations, quads, arms=arms, runs=runs)
            power = " | ".join(f"{share:.0%}" for share in found)
            size = f"{generations} x {quads}"
            lines.append(f"| {noise} | {size} | {wrong:.1%} | {power} | {half:.2%} |")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.judge.simulation")
    parser.add_argument("--arms", type=int, default=3, help="that take turns (3)")
    parser.add_argument("--runs", type=int, default=1000, help="of each kind and size (1000)")
    options = parser.parse_args(argv)
    print(table(NOISES, SIZES, options.arms, options.runs))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
