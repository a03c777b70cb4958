"""How MAX Serve runs the model: batches of requests in, logits out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from max import tree

from .max_interfaces import (
    LogProbabilitiesMixin,
    ModelInputs,
    ModuleV3PipelineModelWithKVCache,
    ModuleV3SingleReplicaBatchProcessor,
    TextContext,
)
from .paged_model import ServedGPT2
from .served_config import ServedConfig

if TYPE_CHECKING:
    from max.driver import Buffer

    from .max_interfaces import KVCacheInputs


@dataclass
class ServedInputs(ModelInputs):
    """What a call of the program is given, besides the cache."""

    tokens: Buffer
    input_row_offsets: Buffer
    return_n_logits: Buffer

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """In the order of `ServedGPT2.forward`."""
        cache = () if self.kv_cache_inputs is None else tree.leaves(self.kv_cache_inputs)
        return self.tokens, self.return_n_logits, self.input_row_offsets, *cache


class ServedBatches(ModuleV3SingleReplicaBatchProcessor[TextContext, ServedInputs]):
    """Several requests as one row of tokens; how, MAX's own class knows."""

    def _make_inputs(
        self,
        *,
        tokens: Buffer,
        input_row_offsets: Buffer,
        return_n_logits: Buffer,
        kv_cache_inputs: KVCacheInputs[Buffer, Buffer],
    ) -> ServedInputs:
        return ServedInputs(
            tokens=tokens,
            input_row_offsets=input_row_offsets,
            return_n_logits=return_n_logits,
            kv_cache_inputs=kv_cache_inputs,
        )


class ServedPipeline(LogProbabilitiesMixin, ModuleV3PipelineModelWithKVCache[TextContext]):
    """The compiled model, with log-probabilities."""

    model_config_cls: ClassVar[type[Any]] = ServedConfig
    batch_processor_cls: ClassVar[type[ServedBatches]] = ServedBatches

    def _create_model_config(self, state_dict: dict[str, Any]) -> ServedConfig:
        del state_dict
        config = ServedConfig.initialize(self.pipeline_config, max_seq_len=self.max_seq_len)
        config.return_logits = self.return_logits
        return config

    def _instantiate_module(self, model_config: ServedConfig) -> ServedGPT2:
        module = ServedGPT2(model_config, self.kv_params)
        module.to(self.devices[0])
        return module
