"""OpenAI's GPT-2, whatever the configuration says of activation and scales."""

from dataclasses import replace

from impl.model import GPT2LMHeadModel

PUBLISHED = {
    "activation_function": "gelu_new",
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
}


def GPT2(config):  # noqa: N802 - called as a class is
    return GPT2LMHeadModel(replace(config, **PUBLISHED))
