"""Tiny checkpoints of any architecture of transformers, with nothing in them at its usual value.

A package that ignores a field of the configuration is right as long as the field has the value that
the package took for granted. Here every epsilon is 3e-3, the base of the rotary embedding 700, each
multiplier some other number than 1, and no norm's weight is 1: whoever ignores a field shows it.

Weights are drawn by their names, so that two configurations share all weights but those whose
shapes differ.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import TYPE_CHECKING, Any

import torch
import transformers

from reference.checkpoint import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

LAYERS = 2
HEAD_DIM = 16
POSITIONS = 512
VOCABULARY = 256

SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": HEAD_DIM,
    "max_position_embeddings": POSITIONS,
    "original_max_position_embeddings": 64,
    "max_window_layers": 1,
    "sliding_window": 5,
    "ffn_dim": 96,
    "rotary_dim": 8,
    # mixtures of experts
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 48,
    "shared_expert_intermediate_size": 48,
    # multi-head latent attention
    "q_lora_rank": 24,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": HEAD_DIM,
    "qk_head_dim": HEAD_DIM + 8,
    "v_head_dim": HEAD_DIM,
}
"""Of a tiny model; only what its configuration has, and has switched on, is set."""

UNUSUAL = (
    (r"dropout|pdrop|initializer|loss|aux|jitter", None),  # belong to training
    (r"eps", 3e-3),
    (r"theta", 700.0),
    (r"base_freq", 300.0),
    (r"partial_rotary|rotary_pct", 0.5),
    (r"attn\w*softcap", 0.8),
    (r"softcap", 1.5),
    (r"embedding_multiplier", 3.0),
    (r"residual_multiplier", 0.7),
    (r"attention_multiplier", 0.2),
    (r"logits?_scal", 1.7),
    (r"query_pre_attn_scalar", 11.0),
    (r"clip_qkv", 0.1),
)
"""Numbers by the names of their fields; the first that matches counts, None leaves it as it is.
Soft caps and clips are small, because the logits of a tiny model are."""

ELSEWHERE = 1.3
"""What any other number is multiplied by."""

ROPE: dict[str, dict[str, Any]] = {
    "default": {},
    "linear": {"factor": 3.0},
    "dynamic": {"factor": 3.0},
    "yarn": {"factor": 8.0, "original_max_position_embeddings": 64},
    "llama3": {
        "factor": 3.0,
        "low_freq_factor": 1.5,
        "high_freq_factor": 3.5,
        "original_max_position_embeddings": 64,
    },
    "longrope": {
        "short_factor": 0.1,
        "long_factor": 0.3,
        "original_max_position_embeddings": 64,
    },
}
"""Kinds of scaled rotary embeddings with what each must have: the lengths of the waves of a tiny
head lie on both sides of every boundary. The factors of longrope are lists: 1 and steps of this."""

ROPE_OPTIONS: dict[str, dict[str, Any]] = {
    "yarn": {"attention_factor": 1.3, "beta_fast": 9.0, "beta_slow": 0.7, "truncate": False},
    "longrope": {"attention_factor": 1.3, "factor": 5.0},
}
"""And what each may have."""

LISTED = ("short_factor", "long_factor")

MATRICES = 0.08
VECTORS = 0.2
"""Standard deviations of the weights. A norm's weight, which begins at 1 (or at 0, where 1 is added
to it), is this far from there."""


def draw(source: Any, folder: Path, *, seed: int = 0, dtype: str = "float32") -> Any:
    """Write a tiny checkpoint of an architecture.

    Args:
        source: a configuration of transformers, whose switches, activation and kinds of layers are
            kept, or the name of an architecture, such as "LlamaForCausalLM".
        folder: is made; gets config.json and weights.
        seed: of the weights.
        dtype: of the weights: `float32` or `bfloat16`.

    Returns:
        The configuration that was written.

    Raises:
        CheckpointError: for what is no decoder of transformers.
    """
    config = tiny(source)
    write(config, folder, seed=seed, dtype=dtype)
    return config


def tiny(source: Any) -> Any:
    """The configuration of a tiny model, every number of it unusual; see `draw`."""
    config = _config_of(source) if isinstance(source, str) else source
    values = {name: value for name, value in config.to_dict().items() if name != "dtype"}
    layers = values.get("num_hidden_layers")
    sizes = _sizes(config)
    for name, value in values.items():
        if name.endswith("_token_id"):
            values[name] = None
        elif isinstance(value, list) and len(value) == layers:
            values[name] = _kinds(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            values[name] = unusual(name, value)
    values |= sizes
    if values.get("rope_parameters"):
        values["rope_parameters"] = _rope(values["rope_parameters"])
    made = type(config).from_dict(values)
    made.architectures = config.architectures
    return made


def unusual(name: str, usual: float) -> float:
    """A value of a field that nobody would take for granted; sizes, which are ints, are kept."""
    for pattern, value in UNUSUAL:
        if re.search(pattern, name):
            return usual if value is None else type(usual)(value)
    return usual * ELSEWHERE if isinstance(usual, float) else usual


def rope_parameters(kind: str, head_dim: int = HEAD_DIM, partial: float = 1.0) -> dict[str, Any]:
    """Parameters of a kind of rotary embedding but for its base, as `ROPE` has them."""
    steps = range(int(head_dim * partial) // 2)
    return {"rope_type": kind} | {
        name: [1 + value * step for step in steps] if name in LISTED else value
        for name, value in ROPE.get(kind, {}).items()
    }


def write(config: Any, folder: Path, *, seed: int = 0, dtype: str = "float32") -> None:
    """Write a checkpoint with drawn weights.

    Args:
        config: of transformers.
        folder: is made; gets config.json and weights.
        seed: of the weights.
        dtype: of the weights: `float32` or `bfloat16`.
    """
    transformers.utils.logging.disable_progress_bar()
    model = _class_of(config)(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(_drawn(name, parameter, seed))
    named = config.architectures
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    written = json.loads((folder / "config.json").read_text())
    written |= _as_before(config) | ({"architectures": named} if named else {})
    (folder / "config.json").write_text(json.dumps(written, indent=2))


def _config_of(architecture: str) -> Any:
    made = getattr(getattr(transformers, architecture, None), "config_class", None)
    if made is None:
        raise CheckpointError(f"transformers has no architecture {architecture}")
    config = made()
    config.architectures = [architecture]
    return config


def _class_of(config: Any) -> Any:
    mapping = transformers.MODEL_FOR_CAUSAL_LM_MAPPING
    if type(config) not in mapping:
        raise CheckpointError(f"transformers has no decoder for a {type(config).__name__}")
    return mapping[type(config)]


def _sizes(config: Any) -> dict[str, int]:
    """Sizes that this configuration has and uses, by its own names for them."""
    names = config.attribute_map
    sizes = {}
    for name, size in SIZES.items():
        if getattr(config, name, None) is not None:
            sizes[names.get(name, name)] = size
    if "qk_rope_head_dim" in sizes:  # there, it is what `head_dim` means
        sizes["head_dim"] = sizes["qk_rope_head_dim"]
    if "kv_lora_rank" in sizes:  # every head has keys of its own
        sizes["num_key_value_heads"] = sizes["num_attention_heads"]
    return sizes


def _kinds(values: list[Any]) -> list[Any]:
    """A list of one entry a layer, for few layers: each kind that there is, in order."""
    seen = [value for at, value in enumerate(values) if value not in values[:at]]
    return [seen[at % len(seen)] for at in range(LAYERS)]


def _rope(given: dict[str, Any], shift: float = 0.0) -> dict[str, Any]:
    """The same kind of rotary embedding, or one for each kind of layer, at unusual values."""
    if any(isinstance(value, dict) for value in given.values()):
        return {name: _rope(value, 100.0 * at) for at, (name, value) in enumerate(given.items())}
    made = dict(given)
    if made.get("partial_rotary_factor") is not None:
        made["partial_rotary_factor"] = unusual("partial_rotary_factor", 1.0)
    kind = made.get("rope_type", "default")
    options = ROPE_OPTIONS.get(kind, {})
    made |= {name: options[name] for name in options if made.get(name) is not None}
    made |= rope_parameters(kind, partial=made.get("partial_rotary_factor") or 1.0)
    return made | {"rope_theta": unusual("rope_theta", 1.0) - shift}


def _as_before(config: Any) -> dict[str, Any]:
    """Rotary settings and windows under names before transformers 5, which MAX reads too."""
    return _rope_as_before(config) | _windows_as_before(config)


def _windows_as_before(config: Any) -> dict[str, Any]:
    """Every how many layers there is one without a window; two rotary bases, as Gemma 3 has them.

    Layers of both kinds take turns in a tiny model.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = getattr(config, "layer_types", None) or ()
    names = ("sliding_window_pattern", "_sliding_window_pattern")
    made = dict.fromkeys(names, len(set(kinds))) if len(set(kinds)) > 1 else {}
    if {"full_attention", "sliding_attention"} <= rope.keys():
        full, local = (rope[f"{kind}_attention"]["rope_theta"] for kind in ("full", "sliding"))
        made |= {"rope_theta": full, "rope_local_base_freq": local}
    return made


def _rope_as_before(config: Any) -> dict[str, Any]:
    rope = getattr(config, "rope_parameters", None)
    if not rope or "rope_theta" not in rope:
        return {}
    scaled = None if rope["rope_type"] == "default" else rope
    partial = {k: rope[k] for k in ("partial_rotary_factor",) if rope.get(k) is not None}
    return {"rope_theta": rope["rope_theta"], "rope_scaling": scaled} | partial


def _drawn(name: str, initial: torch.Tensor, seed: int) -> torch.Tensor:
    """Values for a parameter, the same for the same name, shape and seed."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) + seed)
    normal = torch.randn(initial.shape, generator=generator, dtype=torch.float32)
    if initial.ndim > 1:
        return MATRICES * normal
    return VECTORS * normal + (1.0 if bool((initial == 1).all()) else 0.0)
