"""Who runs when.

A run has generations: in each one every arm is a new process. Within a generation arms take turns.
A quad is a random order of the arms and then the same reversed (A B B A), so that whatever drifts
steadily is the same for all. The n-th turn of an arm in its generation is block n, and works on the
inputs of block n: within a quad every arm gets the same two inputs, and no process sees an input
twice. The next generation's processes are given the same inputs again, which their references need
not be computed anew for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

T = TypeVar("T")

TURN_S = 0.03
"""A turn repeats its workload until the slowest arm has run for about this long, in seconds: long
against the reading of counters (0.1 ms) and the first call, which finds cold caches."""

MOST_CALLS = 8
"""Bounds the number of records, and of calls on one and the same input."""


def quad_order(arms: Sequence[T], rng: np.random.Generator) -> list[T]:
    """A random order of the arms, followed by its reverse."""
    order = [arms[index] for index in rng.permutation(len(arms))]
    return order + order[::-1]


def block_at(quad: int, position: int, arm_count: int) -> int:
    """The block of the turn at `position` (from 0) of a generation's quad: two in every quad."""
    return 2 * quad + (position >= arm_count)


def quads_for(blocks: int, processes: int) -> int:
    """Quads in each generation, so that each arm takes at least `blocks` turns in all."""
    return math.ceil(blocks / 2 / processes)


def calls_per_turn(estimates_s: Iterable[float]) -> int:
    """How often every arm calls the workload in a turn, from one duration of each arm."""
    slowest = max(estimates_s, default=TURN_S)
    return max(1, min(MOST_CALLS, math.ceil(TURN_S / max(slowest, 1e-9))))
