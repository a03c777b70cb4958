"""Everything of MAX Serve that this package stands on, imported in one place.

These interfaces move between versions of MAX: the package that once came with MAX for GPT-2 no
longer imports (`KVCacheInputsInterface` is gone, `memory_plan` is required). So a new version is
read against this list first; `tests/impl/serving/test_max_interfaces.py` says what of it has moved.
Written for MAX 26.7.
"""

from __future__ import annotations

from max.graph.weights import WeightData, Weights, WeightsFormat
from max.nn.attention import MHAMaskVariant
from max.nn.kernels import flash_attention_ragged, store_k_cache_ragged, store_v_cache_ragged
from max.nn.kv_cache import (
    KVCacheInputs,
    KVCacheInputsPerDevice,
    KVCacheParamInterface,
    KVCacheParams,
    PagedCacheValues,
)
from max.nn.transformer import ReturnLogits
from max.pipelines.context import TextContext
from max.pipelines.context.exceptions import InputError
from max.pipelines.kv_cache import cache_dtype_for_encoding
from max.pipelines.kv_cache.memory_planner import PagedMemoryPlanner
from max.pipelines.lib import (
    KVCacheConfig,
    MAXModelConfig,
    ModelInputs,
    ModuleV3Outputs,
    ModuleV3PipelineModelWithKVCache,
    PipelineConfig,
    SupportedArchitecture,
    TextTokenizer,
)
from max.pipelines.lib.config.model_config import _select_quantization_encoding
from max.pipelines.lib.interfaces.arch_config import (
    ArchConfigWithKVCache,
    ArchConfigWithStoredKVParams,
)
from max.pipelines.lib.interfaces.batch_processor import ModuleV3SingleReplicaBatchProcessor
from max.pipelines.lib.log_probabilities import LogProbabilitiesMixin
from max.pipelines.modeling.config_enums import SupportedEncoding, supported_encoding_dtype
from max.pipelines.modeling.types import PipelineTask

encoding_of = _select_quantization_encoding
"""Which precision `--quantization-encoding` or the checkpoint asks for."""

__all__ = [
    "ArchConfigWithKVCache",
    "ArchConfigWithStoredKVParams",
    "InputError",
    "KVCacheConfig",
    "KVCacheInputs",
    "KVCacheInputsPerDevice",
    "KVCacheParamInterface",
    "KVCacheParams",
    "LogProbabilitiesMixin",
    "MAXModelConfig",
    "MHAMaskVariant",
    "ModelInputs",
    "ModuleV3Outputs",
    "ModuleV3PipelineModelWithKVCache",
    "ModuleV3SingleReplicaBatchProcessor",
    "PagedCacheValues",
    "PagedMemoryPlanner",
    "PipelineConfig",
    "PipelineTask",
    "ReturnLogits",
    "SupportedArchitecture",
    "SupportedEncoding",
    "TextContext",
    "TextTokenizer",
    "WeightData",
    "Weights",
    "WeightsFormat",
    "cache_dtype_for_encoding",
    "encoding_of",
    "flash_attention_ragged",
    "store_k_cache_ragged",
    "store_v_cache_ragged",
    "supported_encoding_dtype",
]
