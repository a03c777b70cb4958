"""A package as it was written for MAX 25, in the API of that time: what has moved since is told."""

ARCH = """
from max.graph.weights import WeightsFormat
from max.interfaces import PipelineTask
from max.nn.kv_cache import KVCacheStrategy
from max.pipelines.lib import RopeType, SupportedArchitecture, SupportedEncoding, TextTokenizer

from . import weight_adapters
from .model import OldModel

old_arch = SupportedArchitecture(
    name="LlamaForCausalLM",
    example_repo_ids=["meta-llama/Llama-3.1-8B-Instruct"],
    default_encoding=SupportedEncoding.float32,
    supported_encodings={
        SupportedEncoding.float32: [KVCacheStrategy.PAGED],
        SupportedEncoding.bfloat16: [KVCacheStrategy.PAGED],
    },
    pipeline_model=OldModel,
    tokenizer=TextTokenizer,
    rope_type=RopeType.normal,
    default_weights_format=WeightsFormat.safetensors,
    weight_adapters={
        WeightsFormat.safetensors: weight_adapters.convert_safetensor_state_dict,
    },
    task=PipelineTask.TEXT_GENERATION,
)
"""

MODEL = """
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from max.driver import Device, Tensor
from max.engine import InferenceSession, Model
from max.graph import DeviceRef, Graph, TensorType
from max.graph.weights import Weights, WeightsAdapter
from max.nn import Module, ReturnLogits
from max.nn.kv_cache import KVCacheInputs, KVCacheInputsInterface, KVCacheManager, KVCacheParams
from max.pipelines.core import TextContext
from max.pipelines.lib import KVCacheConfig, KVCacheMixin, ModelInputs, ModelOutputs, PipelineConfig
from max.pipelines.lib import PipelineModel, SupportedEncoding

if TYPE_CHECKING:
    from max.never import Anything


class OldInputs(ModelInputs):
    def __init__(self, tokens, input_row_offsets, return_n_logits, kv_cache_inputs=None):
        self.tokens = tokens
        self.input_row_offsets = input_row_offsets
        self.return_n_logits = return_n_logits
        self.kv_cache_inputs = kv_cache_inputs


class OldModel(PipelineModel[TextContext], KVCacheMixin):
    model: Model

    def __init__(
        self,
        pipeline_config: PipelineConfig,
        session: InferenceSession,
        huggingface_config,
        encoding: SupportedEncoding,
        devices: list[Device],
        kv_cache_config: KVCacheConfig,
        weights: Weights,
        adapter: WeightsAdapter | None = None,
        return_logits: ReturnLogits = ReturnLogits.LAST_TOKEN,
    ) -> None:
        super().__init__(
            pipeline_config, session, huggingface_config, encoding, devices, kv_cache_config,
            weights, adapter, return_logits,
        )
        self.model = self.load_model(session)

    @classmethod
    def get_kv_params(cls, huggingface_config, n_devices, kv_cache_config, cache_dtype):
        return KVCacheParams(
            dtype=cache_dtype,
            n_kv_heads=huggingface_config.num_key_value_heads,
            head_dim=huggingface_config.hidden_size // huggingface_config.num_attention_heads,
        )

    @classmethod
    def get_num_layers(cls, huggingface_config):
        return huggingface_config.num_hidden_layers

    @classmethod
    def calculate_max_seq_len(cls, pipeline_config, huggingface_config):
        return pipeline_config.max_length or huggingface_config.max_position_embeddings

    def execute(self, model_inputs):
        outputs = self.model.execute(model_inputs.tokens, *model_inputs.kv_cache_inputs)
        return ModelOutputs(logits=outputs[0])

    def prepare_initial_token_inputs(self, context_batch, kv_cache_inputs=None, return_n_logits=1):
        tokens = np.concatenate([context.next_tokens for context in context_batch])
        return OldInputs(Tensor.from_numpy(tokens), None, None, kv_cache_inputs)

    def prepare_next_token_inputs(self, next_tokens, prev_model_inputs):
        return OldInputs(next_tokens, None, None, prev_model_inputs.kv_cache_inputs)

    def load_kv_manager(self, session, available_cache_memory):
        return KVCacheManager(max_batch_size=self.pipeline_config.max_batch_size)

    def load_model(self, session):
        encoding = self.pipeline_config.model_config.quantization_encoding
        return session.load(Graph("old"), weights_registry={"dtype": self.encoding.dtype})
"""

ADAPTERS = """
from max.graph.weights import WeightData, Weights


def convert_safetensor_state_dict(state_dict, **unused):
    return {name: value.data() for name, value in state_dict.items()}
"""

FILES = {
    "__init__.py": "from .arch import old_arch\n\nARCHITECTURES = [old_arch]\n",
    "arch.py": ARCH,
    "model.py": MODEL,
    "weight_adapters.py": ADAPTERS,
}


def old_package(folder):
    """Write the package into a folder of that name."""
    made = folder / "old_llama"
    made.mkdir()
    for name, text in FILES.items():
        (made / name).write_text(text)
    return made
