"""A checkpoint: a configuration and its weights, as numpy, under Hugging Face's names.

This module imports neither torch nor max; `reference.load` makes checkpoints.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from impl.config import parameter_shapes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from impl.config import GPT2Config

    Array = npt.NDArray[Any]


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message is one sentence."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A GPT-2's configuration and weights.

    Attributes:
        name: how the user asked for it.
        config: the sizes, under Hugging Face's names.
        weights: float32 arrays by Hugging Face parameter name (`transformer.h.0.ln_1.weight`);
            linear weights are laid out as Conv1D, `[in, out]`; a tied head has no
            `lm_head.weight`.
        regime: what was done to the weights, one of `reference.regimes.REGIMES`.
        folder: where the tokenizer's files are, if there are any.
    """

    name: str
    config: GPT2Config
    weights: Mapping[str, Array]
    regime: str = "given"
    folder: Path | None = None

    @cached_property
    def sha256(self) -> str:
        """As `weights_sha256` has it."""
        return weights_sha256(self.weights)


def weights_sha256(weights: Mapping[str, Array]) -> str:
    """Hash of every name, shape and value, independent of the file format."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def check_weights(config: GPT2Config, weights: Mapping[str, Array]) -> None:
    """Check that `weights` are exactly the parameters of `config`: names, shapes, dtype, finite.

    Raises:
        CheckpointError: names the first few offenders.
    """
    shapes = parameter_shapes(config)
    if missing := sorted(shapes.keys() - weights.keys()):
        raise CheckpointError(f"the checkpoint has no weight {listing(missing)}")
    if extra := sorted(weights.keys() - shapes.keys()):
        raise CheckpointError(f"the checkpoint has weights that GPT-2 lacks: {listing(extra)}")
    for name, shape in shapes.items():
        array = weights[name]
        if array.shape != shape:
            raise CheckpointError(
                f"{name} has shape {list(array.shape)}; the configuration asks for {list(shape)}"
            )
        if array.dtype != np.float32:
            raise CheckpointError(f"{name} has dtype {array.dtype}, not float32")
        if not np.isfinite(array).all():
            raise CheckpointError(f"{name} holds NaN or infinity")


def listing(names: Iterable[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
