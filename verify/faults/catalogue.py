"""The catalogue of faults. Each entry names the bugs that it stands for.

`model` is the oracle that the fault is planted in, `original` the method that it replaces. Shapes
as in `reference.oracle`: B batch, S sequence, D n_embd, H heads, K features of a head.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import erf

from impl.config import GPT2Config
from reference.taps import INPUT, LOGITS, layer_of
from verify.faults.base import Fault
from verify.faults.configured import DIVIDED, GELU, bends_by, bends_by_other_than
from verify.judge.rounding import to_bf16, to_fp8, to_fp16, to_tf32

if TYPE_CHECKING:
    from reference.oracle import Oracle
    from reference.trace import Array

BLOCK = "transformer.h.{layer}"
ACTIVATION = f"{BLOCK}.mlp.act"
LN_1 = f"{BLOCK}.ln_1"
ATTENTION = f"{BLOCK}.attn"
CORE = f"{ATTENTION}.c_proj{INPUT}"
C_ATTN = f"{ATTENTION}.c_attn"
C_FC = f"{BLOCK}.mlp.c_fc"

LAYER_NORM = "(x - mean) / sqrt(var + eps) * weight + bias"
SCORES = "softmax(q k^T / sqrt(head_dim) + mask) v"

PUBLISHED = GPT2Config()
"""What OpenAI's GPT-2s compute."""

CATALOGUE: list[Fault] = []
"""Every fault, in the order of the model's stages."""


WITHIN_TF32 = frozenset({"matmul_tf32", "matmul_bf16", "weights_bf16", "accumulate_fp16"})
"""Roundings of factors and sums that are within twice of what TF32 may do: cutting off 13 bits is
as far off as rounding to one bit less, and the rule allows twice the envelope."""


def catalogue(dtype: str, config: GPT2Config = PUBLISHED) -> list[Fault]:
    """The faults of a declared precision; in float64, those of float32.

    Args:
        dtype: `float32`, `float64`, `bfloat16` or `float16`; `tf32` for float32 whose products may
            use that, of which `WITHIN_TF32` are no faults.
        config: of the model; OpenAI's own by default.
    """
    declared = "float32" if dtype in ("float64", "tf32") else dtype
    found = [fault for fault in CATALOGUE if declared in fault.dtypes and fault.of(config)]
    return [fault for fault in found if dtype != "tf32" or fault.id not in WITHIN_TF32]


Replacement = Callable[..., Any]


def _fault(
    id: str,  # noqa: A002 - the field's name
    tap: str,
    method: str,
    within: str,
    **fields: Any,
) -> Callable[[Replacement], Replacement]:
    """Register the decorated function as a fault's replacement."""

    def register(replace: Replacement) -> Replacement:
        fault = Fault(id=id, tap=tap, method=method, within=within, replace=replace, **fields)
        CATALOGUE.append(fault)
        return replace

    return register


# ---- embeddings and positions ------------------------------------------------------------------


@_fault(
    "pos_off_by_one", f"transformer.wpe{INPUT}", "positions", "",
    expected="positions 0, 1, 2, ...", found="positions 1, 2, 3, ...",
    seen_in="mlx-lm#93, transformers#3021",
)  # fmt: skip
def _pos_off_by_one(model: Oracle, original: Any, ids: Array) -> Array:
    return np.minimum(original(ids) + 1, model.config.n_positions - 1)


@_fault(
    "pos_missing", f"transformer.h.0{INPUT}", "add", "transformer",
    expected="wte[ids] + wpe[positions]", found="wte[ids], the position embedding left out",
    seen_in="synthetic",
)  # fmt: skip
def _pos_missing(model: Oracle, original: Any, x: Array, y: Array) -> Array:
    return x + 0 * y


@_fault(
    "token_shifted", "transformer.wte", "embedding", "transformer.wte",
    expected="row ids[t] of wte", found="row ids[t] + 1 of wte", seen_in="synthetic",
)  # fmt: skip
def _token_shifted(model: Oracle, original: Any, ids: Array, path: str) -> Array:
    return original((ids + 1) % model.config.vocab_size, path)


# ---- LayerNorm ---------------------------------------------------------------------------------


def _normalised(x: Array, epsilon: float, ddof: int = 0) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(x.var(axis=-1, keepdims=True, ddof=ddof) + epsilon)


def _affine(model: Oracle, x: Array, path: str) -> Array:
    return x * model.weights[f"{path}.weight"] + model.weights[f"{path}.bias"]


@_fault(
    "ln_eps_1e-6", LN_1, "layer_norm", LN_1, where="first",
    expected=f"{LAYER_NORM}, eps = layer_norm_epsilon", found="eps = 1e-6",
    seen_in="candle#271, keras-hub#642",
)  # fmt: skip
def _ln_eps_6(model: Oracle, original: Any, x: Array, path: str) -> Array:
    return _affine(model, _normalised(x, 1e-6), path)


@_fault(
    "ln_eps_1e-12", LN_1, "layer_norm", LN_1, where="first",
    expected=f"{LAYER_NORM}, eps = layer_norm_epsilon", found="eps = 1e-12",
    seen_in="keras-hub#642",
)  # fmt: skip
def _ln_eps_12(model: Oracle, original: Any, x: Array, path: str) -> Array:
    return _affine(model, _normalised(x, 1e-12), path)


@_fault(
    "ln_eps_outside", LN_1, "layer_norm", LN_1, where="first",
    expected="eps added to the variance, under the root", found="eps added to the root",
    seen_in="synthetic",
)  # fmt: skip
def _ln_eps_outside(model: Oracle, original: Any, x: Array, path: str) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    deviation = x.std(axis=-1, keepdims=True) + model.config.layer_norm_epsilon
    return _affine(model, centred / deviation, path)


@_fault(
    "ln_unbiased_var", LN_1, "layer_norm", LN_1,
    expected="variance over D features divides by D", found="variance divides by D - 1",
    seen_in="mlc-llm#2240",
)  # fmt: skip
def _ln_unbiased(model: Oracle, original: Any, x: Array, path: str) -> Array:
    return _affine(model, _normalised(x, model.config.layer_norm_epsilon, ddof=1), path)


@_fault(
    "ln_no_affine", LN_1, "layer_norm", LN_1,
    expected=LAYER_NORM, found="(x - mean) / sqrt(var + eps), weight and bias left out",
    seen_in="mlc-llm#2240",
)  # fmt: skip
def _ln_no_affine(model: Oracle, original: Any, x: Array, path: str) -> Array:
    return model.normalise(x)


@_fault(
    "ln_no_mean", LN_1, "layer_norm", LN_1,
    expected=LAYER_NORM, found="x / sqrt(mean(x^2) + eps) * weight + bias (RMSNorm)",
    seen_in="synthetic",
)  # fmt: skip
def _ln_no_mean(model: Oracle, original: Any, x: Array, path: str) -> Array:
    square = (x * x).mean(axis=-1, keepdims=True) + model.config.layer_norm_epsilon
    return _affine(model, x / np.sqrt(square), path)


@_fault(
    "ln_swapped", LN_1, "layer_norm", LN_1,
    expected="ln_1's weight and bias", found="ln_2's weight and bias", seen_in="mlc-llm#2240",
)  # fmt: skip
def _ln_swapped(model: Oracle, original: Any, x: Array, path: str) -> Array:
    return original(x, path.replace("ln_1", "ln_2"))


# ---- fused projection --------------------------------------------------------------------------


@_fault(
    "bias_dropped", C_ATTN, "linear", C_ATTN,
    expected="x W + b", found="x W, the bias left out", seen_in="synthetic",
)  # fmt: skip
def _bias_dropped(model: Oracle, original: Any, x: Array, path: str) -> Array:
    return model.matmul(x, model.weights[f"{path}.weight"])


@_fault(
    "key_bias_dropped", C_ATTN, "linear", C_ATTN,
    expected="x W + b", found="x W + b with the key's third of b set to 0", seen_in="synthetic",
)  # fmt: skip
def _key_bias_dropped(model: Oracle, original: Any, x: Array, path: str) -> Array:
    bias = model.weights[f"{path}.bias"].copy()
    bias[model.config.n_embd : 2 * model.config.n_embd] = 0
    return model.matmul(x, model.weights[f"{path}.weight"]) + bias


def _rounded_linear(round_x: Any, round_w: Any) -> Callable[..., Array]:
    def linear(model: Oracle, original: Any, x: Array, path: str) -> Array:
        weight = round_w(model.weights[f"{path}.weight"])
        return model.matmul(round_x(x), weight) + model.weights[f"{path}.bias"]

    return linear


def _same(x: Array) -> Array:
    return x


for _id, _round_x, _round_w, _what, _seen in (
    ("weights_bf16", _same, to_bf16, "weights rounded to bfloat16", "modular#5348"),
    ("matmul_tf32", to_tf32, to_tf32, "both factors rounded to TF32", "modular#6443"),
    ("matmul_bf16", to_bf16, to_bf16, "both factors rounded to bfloat16", "mlx#3860"),
):
    _fault(
        _id, C_ATTN, "linear", C_ATTN,
        expected="x W + b in the declared precision", found=f"x W + b with {_what}", seen_in=_seen,
    )(_rounded_linear(_round_x, _round_w))  # fmt: skip


_fault(
    "weights_fp8", C_ATTN, "linear", C_ATTN, dtypes=("bfloat16", "float16"),
    expected="x W + b in the declared precision", found="x W + b with weights rounded to float8",
    seen_in="synthetic",
)(_rounded_linear(_same, to_fp8))  # fmt: skip


@_fault(
    "accumulate_fp16", C_ATTN, "linear", C_ATTN, dtypes=("float32",),
    expected="sums kept in float32", found="sums kept in float16",
    seen_in="modular#6443",
)  # fmt: skip
def _accumulate_fp16(model: Oracle, original: Any, x: Array, path: str) -> Array:
    weight = model.weights[f"{path}.weight"]
    total = np.zeros((*x.shape[:-1], weight.shape[1]))
    step = max(1, len(weight) // 16)
    for start in range(0, len(weight), step):
        part = slice(start, start + step)
        total = to_fp16(total + model.matmul(x[..., part], weight[part]))
    return total + model.weights[f"{path}.bias"]


# ---- attention ---------------------------------------------------------------------------------


@_fault(
    "mask_missing", CORE, "masked", ATTENTION, least_length=2,
    expected="keys ahead of the query masked with -inf", found="no mask: every key is seen",
    seen_in="transformers#12007, MAX 26.7 on CPU with a mask built by comparison",
)  # fmt: skip
def _mask_missing(model: Oracle, original: Any, scores: Array) -> Array:
    return scores


@_fault(
    "mask_off_by_one", CORE, "masked", ATTENTION, least_length=2,
    expected="keys ahead of the query masked", found="the next key is seen too",
    seen_in="transformers#15199",
)  # fmt: skip
def _mask_off_by_one(model: Oracle, original: Any, scores: Array) -> Array:
    length = scores.shape[-1]
    return np.where(np.triu(np.ones((length, length), bool), k=2), -np.inf, scores)


def _additive_mask(fill: float) -> Callable[..., Array]:
    def masked(model: Oracle, original: Any, scores: Array) -> Array:
        length = scores.shape[-1]
        return scores + np.triu(np.full((length, length), fill), k=1)

    return masked


for _fill, _seen in ((-1e4, "transformers#3181"), (-1e5, "transformers#17306")):
    _name = f"-1e{round(math.log10(-_fill))}"
    _fault(
        f"mask_{_name}", CORE, "masked", ATTENTION, least_length=2,
        expected="masked scores are -inf", found=f"masked scores are lowered by {_name[1:]}",
        seen_in=_seen,
    )(_additive_mask(_fill))  # fmt: skip


@_fault(
    "mask_multiplied", CORE, "masked", ATTENTION, least_length=2,
    expected="masked scores are -inf", found="masked scores are set to 0",
    seen_in="TransformerLens#366",
)  # fmt: skip
def _mask_multiplied(model: Oracle, original: Any, scores: Array) -> Array:
    return np.tril(scores)


def _scaled_scores(factor: Callable[[Oracle, int], float]) -> Callable[..., Array]:
    """Attention whose scores are multiplied by a further factor, which queries can carry."""

    def attend(model: Oracle, original: Any, fused: Array, path: str) -> Array:
        scaled = fused.copy()
        scaled[..., : model.config.n_embd] *= factor(model, layer_of(path) or 0)
        return original(scaled, path)

    return attend


def _scaled(config: GPT2Config) -> bool:
    return config.scale_attn_weights


_SCALES: tuple[
    tuple[str, Callable[[Oracle, int], float], str, str, Callable[[GPT2Config], bool]], ...
] = (
    (
        "scale_missing",
        lambda model, _: math.sqrt(model.config.head_dim),
        "scores not divided by sqrt(head_dim)",
        "TransformerLens#27",
        _scaled,
    ),
    (
        "scale_applied",
        lambda model, _: 1 / math.sqrt(model.config.head_dim),
        "scores divided by sqrt(head_dim) though scale_attn_weights is false",
        "synthetic",
        lambda config: not config.scale_attn_weights,
    ),
    (
        "scale_twice",
        lambda model, _: 1 / math.sqrt(model.config.head_dim),
        "scores divided by head_dim",
        "mlc-llm#1389",
        _scaled,
    ),
    (
        "scale_n_embd",
        lambda model, _: 1 / math.sqrt(model.config.n_head),
        "scores divided by sqrt(n_embd)",
        "synthetic",
        _scaled,
    ),
    (
        "scale_by_layer",
        lambda _, layer: 1 / (layer + 1),
        "scores divided by the layer's number too",
        "mlc-llm#1389",
        lambda config: not config.scale_attn_by_inverse_layer_idx,
    ),
    (
        "layer_scale_missing",
        lambda _, layer: layer + 1,
        "scores not divided by (layer + 1), which scale_attn_by_inverse_layer_idx asks for",
        "synthetic",
        lambda config: config.scale_attn_by_inverse_layer_idx and config.n_layer > 1,
    ),
)

for _id, _factor, _found, _seen, _of in _SCALES:
    _fault(
        _id, CORE, "attend", ATTENTION, least_length=2,
        expected=DIVIDED, found=_found, seen_in=_seen, of=_of,
    )(_scaled_scores(_factor))  # fmt: skip


def _reordered(order: tuple[int, int, int]) -> Callable[..., Array]:
    def attend(model: Oracle, original: Any, fused: Array, path: str) -> Array:
        parts = np.split(fused, 3, axis=-1)
        return original(np.concatenate([parts[i] for i in order], axis=-1), path)

    return attend


for _id, _order, _least, _found in (
    ("qk_swapped", (1, 0, 2), 2, "c_attn's output split as key, query, value"),
    ("kv_swapped", (0, 2, 1), 1, "c_attn's output split as query, value, key"),
):
    _fault(
        _id, CORE, "attend", ATTENTION, least_length=_least,
        expected="c_attn's output split as query, key, value", found=_found,
        seen_in="Megatron layouts, nntile#370",
    )(_reordered(_order))  # fmt: skip


@_fault(
    "qkv_by_head", CORE, "attend", ATTENTION,
    expected="c_attn's output holds all queries, then all keys, then all values",
    found="c_attn's output read as query, key, value of one head after the other",
    seen_in="Megatron layouts",
)  # fmt: skip
def _qkv_by_head(model: Oracle, original: Any, fused: Array, path: str) -> Array:
    heads = fused.reshape(*fused.shape[:-1], model.config.n_head, 3, model.config.head_dim)
    return original(heads.swapaxes(-2, -3).reshape(fused.shape), path)


@_fault(
    "heads_interleaved", CORE, "split_heads", ATTENTION,
    expected="a head's features lie together", found="features split as [head_dim, head]",
    seen_in="nntile#370",
)  # fmt: skip
def _heads_interleaved(model: Oracle, original: Any, x: Array) -> Array:
    batch, length, _ = x.shape
    parts = x.reshape(batch, length, model.config.head_dim, model.config.n_head)
    return parts.transpose(0, 3, 1, 2)


@_fault(
    "heads_not_merged", CORE, "merge_heads", ATTENTION, least_length=2,
    expected="[B, H, S, K] transposed to [B, S, H, K], then flattened",
    found="[B, H, S, K] flattened without the transposition", seen_in="synthetic",
)  # fmt: skip
def _heads_not_merged(model: Oracle, original: Any, x: Array) -> Array:
    batch, _, length, _ = x.shape
    return x.reshape(batch, length, model.config.n_embd)


@_fault(
    "softmax_over_queries", CORE, "softmax", ATTENTION, least_length=2,
    expected="softmax over the keys", found="softmax over the queries", seen_in="synthetic",
)  # fmt: skip
def _softmax_over_queries(model: Oracle, original: Any, scores: Array) -> Array:
    weights = np.exp(scores - scores.max(axis=-2, keepdims=True))
    return weights / weights.sum(axis=-2, keepdims=True)


@_fault(
    "fp16_overflow", CORE, "attend", ATTENTION, least_length=2, dtypes=("float32", "bfloat16"),
    expected="scores in float32", found="scores in float16, which overflow beyond 65504",
    seen_in="transformers#382, mistral#66",
)  # fmt: skip
def _fp16_overflow(model: Oracle, original: Any, fused: Array, path: str) -> Array:
    query, key, value = map(model.split_heads, np.split(fused, 3, axis=-1))
    scale = model.config.attention_divisor(layer_of(path) or 0)
    with np.errstate(over="ignore", invalid="ignore"):
        scores = to_fp16(to_fp16(query @ key.swapaxes(-1, -2)) / scale)
        return model.merge_heads(model.softmax(model.masked(scores)) @ value)


def _sums_in(round_: Callable[[Array], Array]) -> Callable[..., Array]:
    """Attention whose two products are summed in fewer bits, one product after the other."""

    def product(a: Array, b: Array) -> Array:
        total = np.zeros((*a.shape[:-1], b.shape[-1]))
        for k in range(a.shape[-1]):
            total = round_(total + a[..., k, None] * b[..., k, None, :])
        return total

    def attend(model: Oracle, original: Any, fused: Array, path: str) -> Array:
        query, key, value = map(model.split_heads, np.split(fused, 3, axis=-1))
        scores = product(query, key.swapaxes(-1, -2)) * model.scale(path)
        return model.merge_heads(product(model.softmax(model.masked(scores)), value))

    return attend


for _dtype, _round in (("bfloat16", to_bf16), ("float16", to_fp16)):
    _fault(
        f"attention_sums_{_dtype}", CORE, "attend", ATTENTION, least_length=2, dtypes=(_dtype,),
        expected="sums of both products kept in float32", found=f"sums kept in {_dtype}",
        seen_in="MAX 26.7 on CPU, attention between 16-bit factors",
    )(_sums_in(_round))  # fmt: skip


@_fault(
    "conv1d_not_transposed", f"{ATTENTION}.c_proj", "linear", f"{ATTENTION}.c_proj",
    expected="x W with W laid out [in, out]", found="x W^T: the square weight not transposed",
    seen_in="nntile#370, AutoGPTQ#139",
)  # fmt: skip
def _conv1d_not_transposed(model: Oracle, original: Any, x: Array, path: str) -> Array:
    return model.matmul(x, model.weights[f"{path}.weight"].T) + model.weights[f"{path}.bias"]


# ---- residual stream and structure --------------------------------------------------------------


@_fault(
    "residual_from_ln", f"{BLOCK}.ln_2{INPUT}", "add", BLOCK,
    expected="x + attn(ln_1(x))", found="ln_1(x) + attn(ln_1(x))", seen_in="synthetic",
)  # fmt: skip
def _residual_from_ln(model: Oracle, original: Any, x: Array, y: Array) -> Array:
    return model.normalise(x) + y


@_fault(
    "residual_missing", f"{BLOCK}.ln_2{INPUT}", "add", BLOCK,
    expected="x + attn(ln_1(x))", found="attn(ln_1(x)), the residual left out",
    seen_in="synthetic",
)  # fmt: skip
def _residual_missing(model: Oracle, original: Any, x: Array, y: Array) -> Array:
    return y + 0 * x


@_fault(
    "layer_dropped", BLOCK, "block", BLOCK,
    expected="every block of the stack", found="this block left out", seen_in="synthetic",
)  # fmt: skip
def _layer_dropped(model: Oracle, original: Any, x: Array, path: str) -> Array:
    return x


@_fault(
    "layers_swapped", LN_1, "block", BLOCK,
    expected="blocks in their order", found="the next block's weights", seen_in="synthetic",
)  # fmt: skip
def _layers_swapped(model: Oracle, original: Any, x: Array, path: str) -> Array:
    number = int(path.rsplit(".", 1)[1])
    other = path.removesuffix(str(number)) + str((number + 1) % model.config.n_layer)
    weights = model.weights
    moved = {name.replace(f"{other}.", f"{path}."): w for name, w in weights.items() if name.startswith(f"{other}.")}  # fmt: skip  # noqa: E501
    model.weights = {**weights, **moved}
    try:
        return original(x, path)
    finally:
        model.weights = weights


# ---- MLP ---------------------------------------------------------------------------------------


@_fault(
    "rows_over_3", C_FC, "linear", C_FC, least_tokens=4,
    expected="every row of the product", found="rows from the fourth on left at 0",
    seen_in="max-llm-book's GPU tests",
)  # fmt: skip
def _rows_over_3(model: Oracle, original: Any, x: Array, path: str) -> Array:
    result = original(x, path)
    result.reshape(-1, result.shape[-1])[3:] = 0
    return result


@_fault(
    "rows_over_8", C_FC, "linear", C_FC, least_tokens=9,
    expected="every row of the product", found="rows from the ninth on repeat the eighth",
    seen_in="mlx#3585, pytorch#116331",
)  # fmt: skip
def _rows_over_8(model: Oracle, original: Any, x: Array, path: str) -> Array:
    result = original(x, path)
    rows = result.reshape(-1, result.shape[-1])
    rows[8:] = rows[7]
    return result


@_fault(
    "batch_over_9", C_FC, "linear", C_FC, least_batch=10,
    expected="every row of the batch", found="rows of the batch from the tenth on left at 0",
    seen_in="coremltools#2650",
)  # fmt: skip
def _batch_over_9(model: Oracle, original: Any, x: Array, path: str) -> Array:
    result = original(x, path)
    result[9:] = 0
    return result


@_fault(
    "full_length", C_FC, "linear", C_FC, full_length=True,
    expected="every length up to n_positions", found="the last position left at 0 at full length",
    seen_in="coremltools#2650",
)  # fmt: skip
def _full_length(model: Oracle, original: Any, x: Array, path: str) -> Array:
    result = original(x, path)
    result[:, -1] = 0
    return result


@_fault(
    "gelu_erf", ACTIVATION, "activation", ACTIVATION,
    expected=f'{GELU} ("gelu_new")', found="0.5 x (1 + erf(x / sqrt(2)))",
    seen_in="nntile#370, onnxruntime#2270, tfjs#8224", of=bends_by_other_than("gelu"),
)  # fmt: skip
def _gelu_erf(model: Oracle, original: Any, x: Array, path: str) -> Array:
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


@_fault(
    "gelu_new", ACTIVATION, "activation", ACTIVATION,
    expected=GELU, found=f'{GELU} ("gelu_new")', seen_in="nntile#370, onnxruntime#2270",
    of=bends_by_other_than("gelu_tanh", "gelu_fast"),
)  # fmt: skip
def _gelu_new(model: Oracle, original: Any, x: Array, path: str) -> Array:
    return model.gelu(x)


@_fault(
    "gelu_wrong_const", ACTIVATION, "activation", ACTIVATION,
    expected=GELU, found="0.044715 mistaken: 0.047715", seen_in="tfjs#8224",
    of=bends_by("gelu_tanh", "gelu_fast"),
)  # fmt: skip
def _gelu_wrong_const(model: Oracle, original: Any, x: Array, path: str) -> Array:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.047715 * x**3)))


@_fault(
    "gelu_missing_x", ACTIVATION, "activation", ACTIVATION,
    expected=GELU, found="the factor x left out", seen_in="synthetic",
    of=bends_by("gelu_tanh", "gelu_fast"),
)  # fmt: skip
def _gelu_missing_x(model: Oracle, original: Any, x: Array, path: str) -> Array:
    return 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@_fault(
    "gelu_sigmoid", ACTIVATION, "activation", ACTIVATION,
    expected=GELU, found="x sigmoid(1.702 x)", seen_in="synthetic (quick_gelu)",
    of=bends_by_other_than("gelu_quick"),
)  # fmt: skip
def _gelu_sigmoid(model: Oracle, original: Any, x: Array, path: str) -> Array:
    return x / (1 + np.exp(-1.702 * x))


@_fault(
    "relu", ACTIVATION, "activation", ACTIVATION,
    expected=GELU, found="max(x, 0)", seen_in="synthetic", of=bends_by_other_than("relu"),
)  # fmt: skip
def _relu(model: Oracle, original: Any, x: Array, path: str) -> Array:
    return np.maximum(x, 0)


@_fault(
    "output_unwritten", ACTIVATION, "activation", ACTIVATION,
    expected="every element written", found="the last row never written",
    seen_in="modular#6932",
)  # fmt: skip
def _output_unwritten(model: Oracle, original: Any, x: Array, path: str) -> Array:
    result = original(x, path)
    result.reshape(-1, result.shape[-1])[-1] = 0
    return result


@_fault(
    "output_aliased", ACTIVATION, "activation", ACTIVATION,
    expected=GELU, found="x itself: no activation, or the result's buffer holds the input",
    seen_in="modular#6932",
)  # fmt: skip
def _output_aliased(model: Oracle, original: Any, x: Array, path: str) -> Array:
    return x


# ---- end of the model --------------------------------------------------------------------------


@_fault(
    "ln_f_missing", "transformer.ln_f", "layer_norm", "transformer.ln_f",
    expected="ln_f before the head", found="the residual stream itself", seen_in="synthetic",
)  # fmt: skip
def _ln_f_missing(model: Oracle, original: Any, x: Array, path: str) -> Array:
    return x


@_fault(
    "head_untied", LOGITS, "head", LOGITS,
    expected="logits = x wte^T", found="a head of its own, at its initial values",
    seen_in="llama.cpp#12567",
)  # fmt: skip
def _head_untied(model: Oracle, original: Any, x: Array, path: str) -> Array:
    rng = np.random.default_rng(0)
    return model.matmul(x, 0.02 * rng.standard_normal((x.shape[-1], model.config.vocab_size)))


@_fault(
    "head_stale", LOGITS, "head", LOGITS,
    expected="logits = x wte^T", found="an earlier copy of wte, off by a thousandth",
    seen_in="llama.cpp#12456",
)  # fmt: skip
def _head_stale(model: Oracle, original: Any, x: Array, path: str) -> Array:
    rng = np.random.default_rng(0)
    wte = model.weights["transformer.wte.weight"]
    return original(x, path) + model.matmul(
        x, (1e-3 * wte.std() * rng.standard_normal(wte.shape)).T
    )
