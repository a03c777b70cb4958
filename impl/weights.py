"""From a Hugging Face GPT-2 state dict to the weights of `impl.model`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from impl.config import parameter_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from impl.config import GPT2Config

    Array = npt.NDArray[Any]

# GPT-2's checkpoints hold linear layers as Conv1D, [in, out]; MAX's Linear is [out, in].
# attn.c_proj is square, so a forgotten transpose shows in no shape.
CONV1D = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")

MASK_BUFFERS = (".attn.bias", ".attn.masked_bias")
"""Ends of names that are no weights: old checkpoints carry the causal mask and its fill value."""


class WeightsError(ValueError):
    """Weights that do not fit the model, told in one sentence."""


def expected_shapes(config: GPT2Config) -> dict[str, tuple[int, ...]]:
    """Every weight of `impl.model.GPT2LMHeadModel` with its shape; a tied head is not listed."""
    return {
        name: shape[::-1] if name.endswith(CONV1D) else shape
        for name, shape in parameter_shapes(config).items()
    }


def from_hugging_face(
    config: GPT2Config, state: Mapping[str, Array], *, contiguous: bool = True
) -> dict[str, Array]:
    """Lay out a Hugging Face state dict as `impl.model.GPT2LMHeadModel` holds it.

    Conv1D weights are transposed, mask buffers skipped, a tied head shares the embedding's memory,
    and every key is used exactly once. MAX checks neither shape nor dtype of what it is handed and
    reads past the end of a short array, so both are checked here.

    Args:
        config: the model's sizes.
        state: float32 arrays by Hugging Face name.
        contiguous: as MAX reads them; without it transposes are views, and no memory is taken.

    Returns:
        C-contiguous float32 arrays by the model's parameter names, `lm_head.weight` included.

    Raises:
        WeightsError: for a missing or an unused key, a wrong shape, dtype or value.
    """
    shapes = expected_shapes(config)
    rest = {name: array for name, array in state.items() if not name.endswith(MASK_BUFFERS)}
    head = rest.pop("lm_head.weight", None) if config.tie_word_embeddings else None
    weights: dict[str, Array] = {}
    for name, shape in shapes.items():
        if name not in rest:
            raise WeightsError(f"weight {name} is missing")
        array = _laid_out(name, rest.pop(name), shape)
        weights[name] = np.ascontiguousarray(array) if contiguous else array
    if rest:
        raise WeightsError(f"GPT-2 has no weight {', '.join(sorted(rest)[:3])}")
    if config.tie_word_embeddings:
        wte = weights["transformer.wte.weight"]
        if head is not None and not np.array_equal(head, wte):
            raise WeightsError("lm_head.weight is tied to transformer.wte.weight, but differs")
        weights["lm_head.weight"] = wte
    return weights


def _laid_out(name: str, array: Array, shape: tuple[int, ...]) -> Array:
    """Check one weight, and view it in the model's layout."""
    if array.dtype != np.float32:
        raise WeightsError(f"{name} has dtype {array.dtype}, not float32")
    if name.endswith(CONV1D):
        array = array.T
    if array.shape != shape:
        raise WeightsError(f"{name} has shape {array.shape} as [out, in]; {shape} was expected")
    if not np.isfinite(array).all():
        raise WeightsError(f"{name} holds NaN or infinity")
    return array
