"""A checkpoint: a configuration and its weights, as numpy, under Hugging Face's names.

This module imports neither torch nor max; `reference.load` makes checkpoints.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from impl.config import GPT2Config, parameter_shapes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy.typing as npt

    Array = npt.NDArray[Any]


COMPUTED = (
    "layer_norm_epsilon", "activation_function", "scale_attn_weights",
    "scale_attn_by_inverse_layer_idx",
)  # fmt: skip
"""What a configuration can change of a model without changing a weight's shape."""


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
        notes: what was done to read it that is not done to every checkpoint, a sentence each.
    """

    name: str
    config: GPT2Config
    weights: Mapping[str, Array]
    regime: str = "given"
    folder: Path | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """As `weights_sha256` has it, and of what else the configuration computes than GPT-2."""
        own = weights_sha256(self.weights)
        others = {name: getattr(self.config, name) for name in COMPUTED}
        unusual = {n: value for n, value in others.items() if value != getattr(GPT2Config, n)}
        return hashlib.sha256(f"{own}{unusual}".encode()).hexdigest() if unusual else own


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
        if all(name.endswith(".bias") for name in missing) and len(missing) >= config.n_layer:
            raise CheckpointError(f"{NO_BIASES} {listing(missing)} (nanoGPT with bias=False?)")
        raise CheckpointError(f"the checkpoint has no weight {listing(missing)}")
    if extra := sorted(weights.keys() - shapes.keys()):
        raise CheckpointError(f"the checkpoint has weights that GPT-2 lacks: {listing(extra)}")
    for name, shape in shapes.items():
        array = weights[name]
        if array.shape != shape and array.shape[1:] == shape[1:] and name.endswith(PADDED):
            raise CheckpointError(_padding(name, len(array), shape[0]))
        if array.shape != shape:
            raise CheckpointError(
                f"{name} has shape {list(array.shape)}; the configuration asks for {list(shape)}"
            )
        if array.dtype != np.float32:
            raise CheckpointError(f"{name} has dtype {array.dtype}, not float32")
        if not np.isfinite(array).all():
            raise CheckpointError(f"{name} holds NaN or infinity")


NO_BIASES = "the checkpoint has no biases:"
"""How the sentence about a model without them begins."""

PADDED = ("wte.weight", "lm_head.weight")
"""Ends of the names of weights with a row for each token."""

PADDED_TO = (128, 64, 8)
"""Multiples that vocabularies are padded to, for fast kernels."""


def _padding(name: str, rows: int, vocab_size: int) -> str:
    """A sentence about an embedding with other rows than the vocabulary has."""
    told = f"{name} has {rows} rows, and the configuration's vocab_size is {vocab_size}"
    multiple = next((m for m in PADDED_TO if rows % m == 0 and 0 < rows - vocab_size < 2 * m), None)
    if multiple is None:
        return told
    return (
        f"{told}: it is padded to a multiple of {multiple}; set vocab_size to {rows} in "
        "config.json, as the model was trained, or cut the rows off"
    )


def listing(names: Iterable[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
