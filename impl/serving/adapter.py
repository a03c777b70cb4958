"""A Hugging Face checkpoint, as MAX Serve reads it from the disk, laid out for the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from max.dtype import DType
from max.graph.weights import WeightData

from impl.config import GPT2Config
from impl.weights import from_hugging_face

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Array = npt.NDArray[Any]

    from .max_interfaces import Weights

BARE = "transformer."
"""What names lack in checkpoints that were saved from the model without its head."""


def from_safetensors(
    state_dict: Mapping[str, Weights], huggingface_config: Any, pipeline_config: Any, **_: object
) -> dict[str, WeightData]:
    """Check every weight, transpose those of Conv1D, and bring them to the precision asked for.

    Args:
        state_dict: by the checkpoint's names.
        huggingface_config: the parsed config.json.
        pipeline_config: whose model says the precision.

    Returns:
        By the names of `paged_model.ServedGPT2`'s parameters, which has none for a tied head.

    Raises:
        WeightsError: for a weight that is missing, of another shape, or not a GPT-2's.
        ConfigError: for a configuration that is not computed here.
    """
    config = GPT2Config.from_dict(huggingface_config.to_dict())
    arrays = {_full(name): _float32(weight.data()) for name, weight in state_dict.items()}
    laid_out = from_hugging_face(config, arrays)
    if config.tie_word_embeddings:
        del laid_out["lm_head.weight"]
    dtype = _asked_for(pipeline_config)
    return {
        name: WeightData.from_numpy(array, name).astype(dtype) for name, array in laid_out.items()
    }


def _full(name: str) -> str:
    return name if name.startswith((BARE, "lm_head.")) else BARE + name


def _float32(data: WeightData) -> Array:
    converted = data if data.dtype == DType.float32 else data.astype(DType.float32)
    return np.from_dlpack(converted.to_buffer())


def _asked_for(pipeline_config: Any) -> DType:
    from .max_interfaces import encoding_of, supported_encoding_dtype
    from .served_config import ServedConfig

    encoding = encoding_of(pipeline_config.model, ServedConfig.DEFAULT_ENCODING)
    return supported_encoding_dtype(encoding)
