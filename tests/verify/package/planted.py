"""Faults planted in copies of correct packages, by a line each: what finds them, and where.

Every one stands for a mistake that ports are known to make: a value fixed, a step left out,
operands exchanged, an order of heads or halves confused, a position or a layer forgotten in
decoding.
"""

from dataclasses import dataclass

LLAMA, OLMO2 = ("llama3", "LlamaForCausalLM"), ("olmo2", "Olmo2ForCausalLM")
"""Built-in packages, and the architectures of their checkpoints."""

ATTENTION = "self_attn.o_proj:input"
"""Where attention's own result is first seen."""


@dataclass(frozen=True)
class Planted:
    """A fault.

    Attributes:
        id: short.
        edit: file, what stands there, and what shall stand there.
        answer: that must find it: `weights`, `mathematics`, or `preflight`.
        blamed: is part of the place that must be named first.
        base: the package that is copied.
        v3: whether the one of `max.experimental.nn` is copied.
        config: changes of the checkpoint's configuration.
    """

    id: str
    edit: tuple[str, str, str]
    answer: str
    blamed: str
    base: tuple[str, str] = LLAMA
    v3: bool = True


def _swapped(a: str, b: str) -> tuple[str, str, str]:
    """An adapter that exchanges two tensors of each layer."""
    line = "new_state_dict[max_name] = value.data()"
    name = f'max_name.replace("{a}", "?").replace("{b}", "{a}").replace("?", "{b}")'
    return "weight_adapters.py", line, f"new_state_dict[{name}] = value.data()"


def _cache(which: str, change: str) -> tuple[str, str, str]:
    """What an operation of OLMo 2's attention is given as the cache."""
    after = {"store": "n_heads=self.n_heads", "attention": "input_row_offsets=input_row_offsets"}
    lines = ("kv_collection=kv_collection,", "layer_idx=layer_idx,", after[which])
    line = "\n            ".join(lines)
    changed = f"kv_collection=__import__('dataclasses').replace(kv_collection, {change}),"
    return "layers/attention.py", line, line.replace("kv_collection=kv_collection,", changed)


LENGTHS = "kv_collection.cache_lengths"
BLOCK = "layers/transformer_block.py"
OWN = "layers/attention.py"

PLANTED = (
    # ---- a value fixed, or a field not read
    Planted(
        "eps_fixed",
        ("llama3.py", "eps=config.rms_norm_eps", "eps=1e-5"),
        "mathematics",
        "input_layernorm",
    ),
    Planted(
        "eps_of_q_norm_fixed",
        ("olmo2.py", "rms_norm_eps=config.rms_norm_eps,", ""),
        "mathematics",
        "self_attn.q_norm",
        OLMO2,
    ),
    Planted(
        "eps_in_v2",
        (
            "llama3.py",
            "config.rms_norm_eps,\n                multiply",
            "1e-5,\n                multiply",
        ),
        "mathematics",
        "input_layernorm",
        LLAMA,
        v3=False,
    ),
    Planted(
        "rope_base_fixed",
        ("llama3.py", "theta=config.rope_theta", "theta=10000.0"),
        "mathematics",
        ATTENTION,
    ),
    Planted(
        "rope_base_in_v2",
        ("llama3.py", "rope_theta=config.rope_theta", "rope_theta=10000.0"),
        "mathematics",
        ATTENTION,
        LLAMA,
        v3=False,
    ),
    Planted(
        "scale_missing",
        ("llama3.py", "scale=config.attention_multiplier", "scale=1.0"),
        "mathematics",
        ATTENTION,
    ),
    Planted(
        "scale_twice",
        (
            OWN,
            "scale=self.scale,\n        ).rebind",
            "scale=self.scale * self.scale,\n        ).rebind",
        ),
        "mathematics",
        ATTENTION,
        OLMO2,
    ),
    Planted(
        "embedding_scaled",
        ("llama3.py", "h = self.embed_tokens(tokens)\n", "h = self.embed_tokens(tokens) * 8.0\n"),
        "mathematics",
        "layers.0:input",
    ),
    # ---- an order confused
    Planted(
        "rope_interleaved",
        ("llama3.py", "interleaved=config.interleaved_rope_weights", "interleaved=True"),
        "mathematics",
        ATTENTION,
    ),
    Planted("key_and_value_exchanged", _swapped("k_proj", "v_proj"), "weights", "k_proj"),
    Planted("gate_and_up_exchanged", _swapped("gate_proj", "up_proj"), "weights", "gate_proj"),
    Planted(
        "norms_exchanged_in_adapter",
        _swapped("input_layernorm", "post_attention_layernorm"),
        "weights",
        "input_layernorm",
    ),
    Planted(
        "norms_exchanged",
        (BLOCK, "self.input_layernorm(x),", "self.post_attention_layernorm(x),"),
        "mathematics",
        ATTENTION,
    ),
    Planted(
        "layers_reversed",
        ("llama3.py", "in enumerate(self.layers):", "in reversed(list(enumerate(self.layers))):"),
        "mathematics",
        "layers.0:input",
    ),
    Planted(
        "heads_repeated_for_groups",
        (
            OWN,
            "q = q.reshape((-1, self.n_heads, self.kv_params.head_dim))",
            (
                "q = q.reshape((-1, 2, self.n_heads // 2, self.kv_params.head_dim))"
                ".permute([0, 2, 1, 3]).reshape((-1, self.n_heads, self.kv_params.head_dim))"
            ),
        ),
        "mathematics",
        ATTENTION,
        OLMO2,
    ),
    Planted(
        "heads_not_merged",
        (
            OWN,
            "attn_out = F.reshape(attn_out,",
            "attn_out = F.reshape(attn_out.permute([0, 2, 1]),",
        ),
        "mathematics",
        ATTENTION,
        OLMO2,
    ),
    Planted(
        "queries_and_keys_exchanged",
        (OWN, "F.concat([x_q, x_k, x_v], axis=-1)", "F.concat([x_k, x_q, x_v], axis=-1)"),
        "mathematics",
        ATTENTION,
        OLMO2,
    ),
    # ---- a step left out, or one too many
    Planted("no_q_norm", (OWN, "x_q = self.q_norm(x_q)", "pass"), "weights", "q_norm", OLMO2),
    Planted(
        "k_norm_for_queries",
        (OWN, "x_q = self.q_norm(x_q)", "x_q = self.k_norm(x_q)"),
        "preflight",
        "RMSNorm",
        OLMO2,
    ),
    Planted(
        "residual_of_the_norm",
        (BLOCK, "h = x + attn_out", "h = self.input_layernorm(x) + attn_out"),
        "mathematics",
        "post_attention_layernorm:input",
    ),
    Planted(
        "no_residual", (BLOCK, "return h + mlp_out", "return mlp_out"), "mathematics", "layers.0"
    ),
    Planted(
        "residual_subtracted",
        (BLOCK, "h = x + attn_out", "h = x - attn_out"),
        "mathematics",
        "post_attention_layernorm:input",
    ),
    Planted(
        "no_final_norm",
        (
            "llama3.py",
            "logits = self._compute_logits(self.norm(h))",
            "logits = self._compute_logits(h)",
        ),
        "mathematics",
        "lm_head:input",
    ),
    Planted(
        "norm_left_out",
        (BLOCK, "self.mlp(self.post_attention_layernorm(h))", "self.mlp(h)"),
        "weights",
        "post_attention_layernorm",
    ),
    Planted(
        "head_of_the_embedding",
        (
            "llama3.py",
            "if self.tie_word_embeddings:\n            return",
            "if True:\n            return",
        ),
        "weights",
        "lm_head",
    ),
    Planted(
        "another_activation",
        ("llama3.py", "mlp = MLP(", 'mlp = functools.partial(MLP, activation_function="gelu")('),
        "mathematics",
        "mlp.down_proj:input",
    ),
    Planted(
        "no_mask",
        (OWN, "MHAMaskVariant.CAUSAL_MASK", "MHAMaskVariant.NULL_MASK"),
        "mathematics",
        ATTENTION,
        OLMO2,
    ),
    Planted(
        "tensor_loaded_twice",
        (
            "weight_adapters.py",
            "new_state_dict[max_name] = value.data()",
            (
                'new_state_dict[max_name.replace("post_attention_layernorm", "input_layernorm")]'
                " = value.data()"
            ),
        ),
        "preflight",
        "post_attention_layernorm",
    ),
    Planted(
        "kv_heads_as_many_as_heads",
        (
            "llama3.py",
            "num_key_value_heads=config.num_key_value_heads",
            "num_key_value_heads=config.num_attention_heads",
        ),
        "preflight",
        "proj",
    ),
    # ---- as it is served
    Planted(
        "positions_from_0_in_decode",
        _cache("store", f"cache_lengths={LENGTHS} * 0"),
        "mathematics",
        ATTENTION,
        OLMO2,
    ),
    Planted(
        "position_late_in_decode",
        _cache("store", f"cache_lengths={LENGTHS} + 1"),
        "mathematics",
        ATTENTION,
        OLMO2,
    ),
    Planted(
        "cache_not_read",
        _cache("attention", f"cache_lengths={LENGTHS} * 0"),
        "mathematics",
        ATTENTION,
        OLMO2,
    ),
    Planted(
        "off_by_one_at_a_pages_end",
        _cache("attention", f"cache_lengths={LENGTHS} - {LENGTHS} // 128"),
        "mathematics",
        ATTENTION,
        OLMO2,
    ),
    Planted(
        "layer_0_for_all",
        (OWN, "F.constant(self.layer_idx,", "F.constant(0,"),
        "mathematics",
        "layers.0",
        OLMO2,
    ),
    Planted(
        "cache_of_another_row",
        _cache(
            "attention",
            "lookup_table=__import__('max.graph', fromlist=['ops']).ops.concat("
            "[kv_collection.lookup_table[1:], kv_collection.lookup_table[:1]])",
        ),
        "mathematics",
        ATTENTION,
        OLMO2,
    ),
)
