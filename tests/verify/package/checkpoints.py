"""Tiny checkpoints as transformers writes them: two or four layers, every scalar unusual.

What is usual (an epsilon of 1e-6, a scale of 1 / sqrt(head_dim)) would hide a program that ignores
its configuration.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import torch
import transformers
from safetensors.torch import load_file, save_file

COMMON = {
    "vocab_size": 256, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
    "rms_norm_eps": 3e-3, "rope_theta": 700.0, "tie_word_embeddings": False, "bos_token_id": 0,
    "eos_token_id": 1, "pad_token_id": 0,
}  # fmt: skip
WITHOUT_EPSILON = {name: value for name, value in COMMON.items() if name != "rms_norm_eps"}
WINDOWED = {
    **COMMON, "num_hidden_layers": 4, "head_dim": 32, "sliding_window": 9,
    "layer_types": [f"{kind}_attention" for kind in ("sliding", "sliding", "full", "sliding")],
}  # fmt: skip
LLAMA_3 = {
    "rope_type": "llama3", "factor": 3.0, "low_freq_factor": 1.5, "high_freq_factor": 4.5,
    "original_max_position_embeddings": 64, "rope_theta": 700.0,
}  # fmt: skip
YARN = {
    "rope_type": "yarn", "factor": 4.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": True,
    "original_max_position_embeddings": 64, "rope_theta": 700.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tiny:
    """A checkpoint to be drawn.

    Attributes:
        config: the name of a class of transformers.
        values: what it is made with.
        dtype: of the weights.
    """

    config: str
    values: dict = field(default_factory=dict)
    dtype: str = "float32"


TINY = {
    "llama3": Tiny("LlamaConfig", COMMON),
    "llama3 scaled": Tiny("LlamaConfig", {**COMMON, "rope_parameters": LLAMA_3}),
    "olmo": Tiny("OlmoConfig", WITHOUT_EPSILON),
    "olmo2": Tiny("Olmo2Config", {**COMMON, "num_key_value_heads": 4}),
    "olmo2 usual": Tiny("Olmo2Config", {**COMMON, "num_key_value_heads": 4, "rms_norm_eps": 1e-6}),
    "granite": Tiny("GraniteConfig", {
        **COMMON, "embedding_multiplier": 3.0, "logits_scaling": 2.0, "residual_multiplier": 0.7,
        "attention_multiplier": 0.2,
    }),
    "phi3": Tiny("Phi3Config", COMMON),
    "phi3 partial": Tiny("Phi3Config", {**COMMON, "partial_rotary_factor": 0.5}),
    "phi3 window": Tiny("Phi3Config", {**COMMON, "sliding_window": 9}),
    "qwen2": Tiny("Qwen2Config", COMMON),
    "qwen3": Tiny("Qwen3Config", {**COMMON, "head_dim": 32}),
    "qwen3 usual": Tiny("Qwen3Config", {**COMMON, "head_dim": 32, "rms_norm_eps": 1e-6}),
    "mistral": Tiny("MistralConfig", {**COMMON, "sliding_window": None, "head_dim": 16}),
    "mistral window": Tiny("MistralConfig", {**COMMON, "sliding_window": 9, "head_dim": 16}),
    "olmo3": Tiny("Olmo3Config", {**WINDOWED, "rope_parameters": {**YARN, "factor": 1.0}}),
    "gemma3": Tiny("Gemma3TextConfig", {
        **WINDOWED, "query_pre_attn_scalar": 20, "rope_local_base_freq": 300.0,
        "sliding_window_pattern": 3,
    }, "bfloat16"),
    "gemma3 usual": Tiny("Gemma3TextConfig", {
        **WINDOWED, "query_pre_attn_scalar": 32, "rope_local_base_freq": 300.0,
        "sliding_window_pattern": 3,
    }, "bfloat16"),
    "gpt_oss": Tiny("GptOssConfig", {
        **WINDOWED, "num_local_experts": 4, "num_experts_per_tok": 2,
        "rope_parameters": {**YARN, "truncate": False},
    }),
    "gpt_oss truncated": Tiny("GptOssConfig", {
        **WINDOWED, "num_local_experts": 4, "num_experts_per_tok": 2, "rope_parameters": YARN,
    }),
    "qwen3_moe": Tiny("Qwen3MoeConfig", {
        **COMMON, "head_dim": 16, "moe_intermediate_size": 32, "num_experts": 4,
        "num_experts_per_tok": 2, "norm_topk_prob": True, "rms_norm_eps": 1e-6,
    }, "bfloat16"),
    "llama4": Tiny("Llama4TextConfig", {
        **COMMON, "num_hidden_layers": 4, "intermediate_size": 48, "intermediate_size_mlp": 96,
        "head_dim": 16, "num_local_experts": 4, "num_experts_per_tok": 1,
        "attention_chunk_size": 8, "interleave_moe_layer_step": 2, "no_rope_layers": [1, 1, 1, 0],
    }, "bfloat16"),
    "lfm2": Tiny("Lfm2Config", {
        **WITHOUT_EPSILON, "num_hidden_layers": 4, "norm_eps": 3e-3,
        "layer_types": ["conv", "full_attention"] * 2, "block_auto_adjust_ff_dim": False,
    }),
}  # fmt: skip


def draw(name, folder):
    """Write a checkpoint into a folder, its norms and biases other than 1 and 0."""
    tiny = TINY[name]
    config = getattr(transformers, tiny.config)(**tiny.values)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.2 if parameter.ndim == 1 else 0.05))
    model.save_pretrained(folder)
    if tiny.dtype == "bfloat16":
        _narrow(folder / "model.safetensors")
    _write_bases(folder / "config.json")
    return folder


def _narrow(path):
    tensors = {name: tensor.bfloat16() for name, tensor in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})


def _write_bases(path):
    """`rope_theta` beside transformers 5's `rope_parameters`, where some of MAX's readers look."""
    config = json.loads(path.read_text())
    rope = config.get("rope_parameters", {})
    if "rope_theta" in rope:
        config["rope_theta"] = rope["rope_theta"]
        config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    path.write_text(json.dumps(config))
