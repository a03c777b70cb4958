"""Regimes: ways to draw or change a checkpoint's weights so that faults cannot hide.

At initialisation every bias is 0 and every LayerNorm is the identity, so that a model that drops
them all looks right; and scores are so small that a wrong mask fill does no harm.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from impl.config import parameter_shapes
from reference.checkpoint import Checkpoint, CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from impl.config import GPT2Config
    from reference.checkpoint import Array

REGIMES = ("given", "init", "perturbed", "stress")

INITIALIZER_RANGE = 0.02
"""Standard deviation of GPT-2's initial weights (Radford et al. 2019; `initializer_range`)."""

PERTURBATION = 0.1
"""Standard deviation added to every bias and LayerNorm parameter by the `perturbed` regime."""

STRESS_FACTOR = 10.0
"""The `stress` regime scales queries and keys by this each, so scores by its square: x 100.

A mask of -1e4 in place of -inf is invisible until scores are scaled by about 100."""


def with_regime(checkpoint: Checkpoint, regime: str, *, seed: int = 0) -> Checkpoint:
    """The checkpoint with its weights changed as `regime` says.

    Args:
        checkpoint: what to change; it stays as it is.
        regime: `given` (unchanged), `init` (GPT-2's initialisation, drawn again),
            `perturbed` (every parameter moved, biases and LayerNorm included) or
            `stress` (queries and keys scaled up, so that masks matter).
        seed: draws what is random.

    Raises:
        CheckpointError: for an unknown regime.
    """
    if regime not in REGIMES:
        raise CheckpointError(f"unknown regime {regime!r}; choose from {', '.join(REGIMES)}")
    weights: Mapping[str, Array] = checkpoint.weights
    if regime == "init":
        weights = initial_weights(checkpoint.config, seed)
    elif regime == "perturbed":
        weights = _perturbed(weights, seed)
    elif regime == "stress":
        weights = _stressed(checkpoint.config, weights)
    return replace(checkpoint, weights=weights, regime=regime)


def initial_weights(config: GPT2Config, seed: int) -> dict[str, Array]:
    """GPT-2's initialisation: N(0, 0.02), residual projections divided by sqrt(2 layers)."""
    rng = np.random.default_rng([seed, 1])
    weights: dict[str, Array] = {}
    for name, shape in parameter_shapes(config).items():
        if name.endswith(".bias"):
            weights[name] = np.zeros(shape, np.float32)
        elif ".ln_" in name:
            weights[name] = np.ones(shape, np.float32)
        else:
            weights[name] = rng.standard_normal(shape, np.float32) * np.float32(INITIALIZER_RANGE)
        if name.endswith("c_proj.weight"):
            weights[name] /= np.float32(math.sqrt(2 * config.n_layer))
    return weights


def _perturbed(weights: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """Move every parameter: vectors by `PERTURBATION`, matrices by a tenth of their own spread.

    In the order of their names: a checkpoint's own order is another one each time it is read.
    """
    rng = np.random.default_rng([seed, 2])
    moved = {}
    for name, array in sorted(weights.items()):
        scale = PERTURBATION if array.ndim == 1 else PERTURBATION * float(array.std())
        moved[name] = array + rng.standard_normal(array.shape, np.float32) * np.float32(scale)
    return moved


def _stressed(config: GPT2Config, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Scale the query and key columns of every fused projection by `STRESS_FACTOR`."""
    scaled = dict(weights)
    queries_and_keys = slice(0, 2 * config.n_embd)
    for name, array in weights.items():
        if ".attn.c_attn." in name:
            scaled[name] = array.copy()
            scaled[name][..., queries_and_keys] *= np.float32(STRESS_FACTOR)
    return scaled
