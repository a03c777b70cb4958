"""Tiny checkpoints that the tests of this folder share, and MAX's registry as it was."""

import sys
from functools import cache

import pytest
import torch
import transformers
from max.pipelines.lib.arch_lookup import ARCH_LOOKUP

from tests.verify.package.checkpoints import draw

SIZES = {
    "vocab_size": 256, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
    "rope_theta": 700.0, "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 1,
    "pad_token_id": 0,
}  # fmt: skip
"""Away from what configurations take by default, so that a value that is not read shows."""

CONFIGS = {
    "llama3": ("LlamaConfig", {"rms_norm_eps": 3e-3}),
    "olmo2": ("Olmo2Config", {"rms_norm_eps": 3e-3, "num_key_value_heads": 4}),
    "olmo": ("OlmoConfig", {}),
    "qwen2": ("Qwen2Config", {"rms_norm_eps": 3e-3}),
    "qwen3": ("Qwen3Config", {"rms_norm_eps": 3e-3, "head_dim": 16}),
    "phi3": ("Phi3Config", {"rms_norm_eps": 3e-3}),
    "granite": ("GraniteConfig", {
        "rms_norm_eps": 3e-3, "embedding_multiplier": 3.0, "logits_scaling": 2.0,
        "residual_multiplier": 0.7, "attention_multiplier": 0.2,
    }),
    "mistral": ("MistralConfig", {"rms_norm_eps": 3e-3, "sliding_window": None, "head_dim": 16}),
}  # fmt: skip


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """`checkpoints(name) -> Path`: a checkpoint of two layers in float32, drawn once a session."""

    @cache
    def drawn(name):
        kind, more = CONFIGS[name]
        config = getattr(transformers, kind)(**{**SIZES, **more})
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        with torch.no_grad():
            for each in model.parameters():
                each.add_(torch.randn_like(each) * (0.2 if each.ndim == 1 else 0.05))
        folder = tmp_path_factory.mktemp("checkpoints") / name
        model.save_pretrained(folder)
        return folder

    return drawn


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """The folder of a tiny checkpoint by its name in `checkpoints.TINY`."""
    drawn = {}

    def folder(name):
        if name not in drawn:
            drawn[name] = draw(name, tmp_path_factory.mktemp("package") / "checkpoint")
        return drawn[name]

    return folder


@pytest.fixture(autouse=True)
def _registry_as_it_was(monkeypatch):
    """What a test registers in the place of a built-in is not there for the next one."""
    tables = ("architectures", "_architectures_by_task", "_lazy_architectures")
    for name in tables:
        monkeypatch.setattr(ARCH_LOOKUP, name, dict(getattr(ARCH_LOOKUP, name)))
    monkeypatch.setattr(ARCH_LOOKUP, "_imported_custom_arch_specs", set())
    monkeypatch.setattr(sys, "path", list(sys.path))
