"""Cases: which inputs a model is verified on, and why those."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from impl.config import GPT2Config
    from reference.trace import Array

EDGE_LENGTHS = (1, 2, 3, 4, 8, 9, 31, 32, 33)
"""Around the sizes at which kernels change: a single token, SIMD widths, tiles of 8 and of 32."""

LARGE_LENGTHS = (1, 2, 8, 33)
"""The same idea for models above `LARGE_PARAMETERS`, where every token costs."""

LARGE_PARAMETERS = 20_000_000

BATCHES = (1, 2, 5)
BATCHED_LENGTHS = (9, 33)
"""Lengths that are also run with more than one row; an odd and a just-too-long one."""

REGIME_SIZES = ((1, 2), (1, 33), (2, 33), (1, 128))
"""Sizes for every regime but the first: sizes are for the kernels, regimes for the weights."""


PROBE = "probe"
"""Labels a case whose activations are made telling (`verify.truth.probe`); it has no free run."""

PROBE_SIZE = (2, 33)
"""Enough positions for every mask fault, and a second row for faults that mix rows up."""

WIDE_SIZE = (10, 3)
"""A batch beyond nine rows, at which kernels have been seen to go wrong."""


POWER_TOKENS = (10, 300)
"""Cases in which faults are planted: enough tokens to show them, and not so many that they cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One input for one state of the weights on one device.

    Attributes:
        regime: what was done to the weights (`reference.regimes`).
        ids: int64 token ids `[batch, sequence]`.
        label: what it is, `random`, `text` or `probe`.
        seed: drew the ids and draws the envelope's samples.
        device: `cpu`, `gpu` or `gpu:N`.
    """

    regime: str
    ids: Array
    label: str = "random"
    seed: int = 0
    device: str = "cpu"

    @property
    def name(self) -> str:
        """Short and unique within a run: `stress-2x33`, `given-text-1x256`, `gpu-given-1x8`."""
        batch, length = self.ids.shape
        prefix = "" if self.device == "cpu" else f"{self.device}-"
        middle = "" if self.label == "random" else f"{self.label}-"
        return f"{prefix}{self.regime}-{middle}{batch}x{length}"


def plants_faults(case: Case) -> bool:
    """Whether faults are planted in a case."""
    return POWER_TOKENS[0] <= case.ids.size <= POWER_TOKENS[1]


def default_lengths(config: GPT2Config) -> list[int]:
    """Edge lengths, then half and all of the model's positions."""
    large = config.parameter_count > LARGE_PARAMETERS
    edges = LARGE_LENGTHS if large else EDGE_LENGTHS
    ends = () if large else (config.n_positions // 2, config.n_positions)
    return sorted({length for length in (*edges, *ends) if 1 <= length <= config.n_positions})


def default_shapes(config: GPT2Config) -> list[tuple[int, int]]:
    """(batch, length) of the first regime's cases: each length alone, then a few in batches."""
    single = [(1, length) for length in default_lengths(config)]
    if config.parameter_count > LARGE_PARAMETERS:
        return single
    lengths = [length for length in BATCHED_LENGTHS if length <= config.n_positions]
    several = [(batch, length) for batch in BATCHES[1:] for length in lengths]
    return [*single, *several, WIDE_SIZE] if config.n_positions >= WIDE_SIZE[1] else single


def chosen_shapes(
    config: GPT2Config, lengths: Sequence[int] | None, batches: Sequence[int] | None
) -> list[tuple[int, int]] | None:
    """(batch, length) of what a user names, crossed; None where nothing is named."""
    if lengths is None and batches is None:
        return None
    return [
        (batch, length)
        for batch in batches or (1,)
        for length in lengths or default_lengths(config)
    ]


def regime_shapes(config: GPT2Config) -> list[tuple[int, int]]:
    """(batch, length) of the cases of every regime but the first."""
    if config.parameter_count > LARGE_PARAMETERS:
        return [(PROBE_SIZE[0], min(PROBE_SIZE[1], config.n_positions))]
    return [(batch, min(length, config.n_positions)) for batch, length in REGIME_SIZES]


def random_cases(
    config: GPT2Config, regime: str, sizes: Iterable[tuple[int, int]], *, seed: int, device: str
) -> list[Case]:
    """Cases of random token ids, with the first and the last id of the vocabulary among them."""
    return [
        Case(regime=regime, ids=_random_ids(config, *size, seed), seed=seed, device=device)
        for size in sizes
    ]


def probe_case(config: GPT2Config, regime: str, *, seed: int, device: str) -> Case:
    """The probe of one regime."""
    batch, length = PROBE_SIZE
    ids = _random_ids(config, batch, min(length, config.n_positions), seed)
    return Case(regime=regime, ids=ids, label=PROBE, seed=seed, device=device)


def _random_ids(config: GPT2Config, batch: int, length: int, seed: int) -> Array:
    rng = np.random.default_rng([seed, batch, length])
    ids = rng.integers(0, config.vocab_size, (batch, length), dtype=np.int64)
    ids.flat[0] = config.vocab_size - 1
    ids.flat[-1] = 0
    return ids
