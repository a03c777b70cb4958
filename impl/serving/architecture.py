"""All of it, under the name that Hugging Face's config.json has in `architectures`."""

from __future__ import annotations

from .adapter import from_safetensors
from .checked_tokenizer import CheckedTokenizer
from .max_interfaces import (
    PagedMemoryPlanner,
    PipelineTask,
    SupportedArchitecture,
    TextContext,
    WeightsFormat,
)
from .pipeline import ServedBatches, ServedPipeline
from .served_config import ServedConfig

gpt2 = SupportedArchitecture(
    name="GPT2LMHeadModel",
    task=PipelineTask.TEXT_GENERATION,
    example_repo_ids=["openai-community/gpt2", "distilbert/distilgpt2"],
    default_encoding=ServedConfig.DEFAULT_ENCODING,
    supported_encodings=ServedConfig.SUPPORTED_ENCODINGS,
    pipeline_model=ServedPipeline,
    tokenizer=CheckedTokenizer,
    context_type=TextContext,
    default_weights_format=WeightsFormat.safetensors,
    weight_adapters={WeightsFormat.safetensors: from_safetensors},
    multi_gpu_supported=False,
    config=ServedConfig,
    batching=ServedBatches,
    memory_planner=PagedMemoryPlanner,
    supports_overlap_scheduler=False,
    supports_device_graph_capture=False,
)
