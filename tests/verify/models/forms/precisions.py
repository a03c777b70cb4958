"""GPT-2s whose parameters are not all, or not at all, of float32."""

from max.dtype import DType
from max.experimental.nn import LayerNorm
from max.experimental.tensor import default_dtype
from own_names import MyGPT


def all_bfloat16(config):
    with default_dtype(DType.bfloat16):
        return MyGPT(config)


def one_bfloat16(config):
    """Float32 but for its last LayerNorm."""
    model = MyGPT(config)
    with default_dtype(DType.bfloat16):
        model.final_norm = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
    return model


class WideNorm(LayerNorm):
    """Computes in float32, and returns what it was given."""

    def forward(self, x):
        return super().forward(x.cast(DType.float32)).cast(x.dtype)


def norms_in_float32(config):
    """Bfloat16 but for its LayerNorms."""
    model = all_bfloat16(config)
    with default_dtype(DType.float32):
        for layer in model.layers:
            layer.norm1 = WideNorm(config.n_embd, eps=config.layer_norm_epsilon)
            layer.norm2 = WideNorm(config.n_embd, eps=config.layer_norm_epsilon)
        model.final_norm = WideNorm(config.n_embd, eps=config.layer_norm_epsilon)
    return model


class RoundedInside(MyGPT):
    """Float32, but the last LayerNorm returns bfloat16."""

    def __init__(self, config):
        super().__init__(config)
        self.final_norm = RoundingNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def forward(self, tokens):
        return super().forward(tokens).cast(DType.float32)


class RoundingNorm(LayerNorm):
    def forward(self, x):
        return super().forward(x).cast(DType.bfloat16)
