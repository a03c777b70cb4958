"""The model's sizes and its cache's, from Hugging Face's `config.json` and what was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from max.graph import DeviceRef

from impl.config import GPT2Config

from .max_interfaces import (
    ArchConfigWithKVCache,
    ArchConfigWithStoredKVParams,
    ReturnLogits,
    cache_dtype_for_encoding,
    encoding_of,
    supported_encoding_dtype,
)

if TYPE_CHECKING:
    from max.dtype import DType

    from .max_interfaces import (
        KVCacheConfig,
        KVCacheParams,
        MAXModelConfig,
        PipelineConfig,
        SupportedEncoding,
    )


@dataclass(kw_only=True)
class ServedConfig(ArchConfigWithStoredKVParams, ArchConfigWithKVCache):
    """What the model is built from.

    Attributes:
        gpt2: the sizes, as `impl.model` takes them.
        dtype: of weights, activations and cache.
        kv_params: the paged cache's.
        max_seq_len: tokens of a request, prompt and answer, at most.
        devices: the first one is used.
        return_logits: of which tokens.
    """

    DEFAULT_ENCODING: ClassVar[SupportedEncoding] = "float32"
    SUPPORTED_ENCODINGS: ClassVar[set[SupportedEncoding]] = {"float32", "bfloat16"}

    gpt2: GPT2Config
    dtype: DType
    kv_params: KVCacheParams
    max_seq_len: int
    devices: list[DeviceRef]
    return_logits: ReturnLogits = ReturnLogits.LAST_TOKEN

    @classmethod
    def construct_kv_params(
        cls,
        huggingface_config: Any,
        pipeline_config: PipelineConfig,
        devices: list[DeviceRef],
        kv_cache_config: KVCacheConfig,
        cache_dtype: DType,
        *,
        allow_kv_head_replication: bool = False,
    ) -> KVCacheParams:
        """The cache's sizes: every head has keys and values of its own."""
        gpt2 = GPT2Config.from_dict(huggingface_config.to_dict())
        return kv_cache_config.to_params(
            dtype=cache_dtype,
            allow_kv_head_replication=allow_kv_head_replication,
            n_kv_heads=gpt2.n_head,
            head_dim=gpt2.head_dim,
            num_layers=gpt2.n_layer,
            devices=devices,
            data_parallel_degree=pipeline_config.model.data_parallel_degree,
        )

    @classmethod
    def initialize(
        cls,
        pipeline_config: PipelineConfig,
        model_config: MAXModelConfig | None = None,
        *,
        max_seq_len: int,
    ) -> Self:
        """Read everything.

        Raises:
            ConfigError: for a model that is not a GPT-2, or computes what is not computed here.
            ValueError: without a config.json.
        """
        model_config = model_config or pipeline_config.model
        found = model_config.huggingface_config
        if found is None:
            raise ValueError(f"{model_config.model_path} has no config.json")
        encoding = encoding_of(model_config, cls.DEFAULT_ENCODING)
        devices = [DeviceRef(spec.device_type, spec.id) for spec in model_config.device_specs]
        cache_dtype = cache_dtype_for_encoding(encoding, model_config.kv_cache.kv_cache_format)
        return cls(
            gpt2=GPT2Config.from_dict(found.to_dict()),
            dtype=supported_encoding_dtype(encoding),
            kv_params=cls.construct_kv_params(
                found, pipeline_config, devices, model_config.kv_cache, cache_dtype
            ),
            max_seq_len=max_seq_len,
            devices=devices,
        )
