"""What each candidate of this folder is: its verdict, and for a fault the place and its name."""

RIGHT = {
    "own_names.py:MyGPT": "logits",
    "split_qkv.py:ForCausalLM": "logits",
    "list_of_blocks.py:GPT": "logits",
    "sequential.py:gpt": "logits",
    "hidden_states.py:Backbone": "hidden",
    "functional_style.py:GPT": "logits",
    "stacked.py:Stacked": "logits",
    "flat_tokens.py:Model": "logits",
    "no_blocks.py:Flat": "logits",
    "forms/called.py:Called": "logits",
    "forms/called.py:Forwarded": "logits",
    "forms/graph_api.py:NNModel": "logits",
    "forms/graph_api.py:NNTied": "logits",
    "forms/graph_api.py:NNGrown": "logits",
    "forms/graph_api.py:NNHidden": "hidden",
    "forms/graph_api.py:Plain": "logits",
    "forms/graph_api.py:closure": "logits",
    "forms/graph_api.py:bound_arguments": "logits",
    "forms/graph_api.py:method": "logits",
}
"""Candidate: what it returns."""

WRONG = {
    "faults.py:erf": ("transformer.h.0.mlp.c_proj:input", "gelu_erf"),
    "faults.py:no_mask": ("transformer.h.0.attn.c_proj:input", "mask_missing"),
    "faults.py:no_bias": ("transformer.h.0.attn.c_attn", "bias_dropped"),
    "faults.py:scaled_by_width": ("transformer.h.0.attn.c_proj:input", "scale_n_embd"),
    "faults.py:key_and_value_swapped": ("transformer.h.0.attn.c_proj:input", "kv_swapped"),
    "faults.py:unbiased": ("transformer.h.0.ln_1", "ln_unbiased_var"),
    "faults.py:other_epsilon": ("transformer.h.0.ln_1", "ln_eps_1e-6"),
    "faults.py:positions_from_one": ("transformer.wpe:input", "pos_off_by_one"),
    "faults.py:no_residual": ("transformer.h.0.ln_2:input", "residual_missing"),
    "forms/called.py:erf": ("transformer.h.0.mlp.c_proj:input", "gelu_erf"),
    "forms/graph_api.py:NNErf": ("transformer.h.0.mlp.c_proj:input", "gelu_erf"),
    "no_blocks.py:linear_mlps": ("transformer.h.0.mlp.c_proj:input", "output_aliased"),
    "faults.py:ErfFunctional": ("lm_head", "gelu_erf"),
    "faults.py:NoLastNorm": ("lm_head", "ln_f_missing"),
}
"""Candidate: the place that must be blamed, and the fault of the catalogue that it computes."""

QUICK = (
    "split_qkv.py:ForCausalLM",
    "list_of_blocks.py:GPT",
    "functional_style.py:GPT",
    "forms/graph_api.py:NNModel",
    "forms/graph_api.py:Plain",
    "faults.py:no_bias",
    "faults.py:scaled_by_width",
    "faults.py:ErfFunctional",
)
"""Those that differ most, for a test of a minute."""
