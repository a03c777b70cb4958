"""A Hugging Face state dict is laid out for MAX, each key once, and every mistake names its key."""

from dataclasses import replace

import numpy as np
import pytest

from impl.config import GPT2Config, parameter_shapes
from impl.weights import WeightsError, expected_shapes, from_hugging_face

CONFIG = GPT2Config(vocab_size=7, n_positions=5, n_embd=6, n_layer=2, n_head=3)
UNTIED = replace(CONFIG, tie_word_embeddings=False)
LINEAR = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
C_PROJ = "transformer.h.1.attn.c_proj.weight"
WTE = "transformer.wte.weight"


@pytest.fixture
def state():
    """Arrays of which no two hold the same number."""
    return numbered(CONFIG)


def numbered(config):
    arrays, start = {}, 0
    for name, shape in parameter_shapes(config).items():
        size = int(np.prod(shape))
        arrays[name] = np.arange(start, start + size, dtype=np.float32).reshape(shape)
        start += size
    return arrays


def test_linear_weights_are_transposed_the_square_one_too(state):
    weights = from_hugging_face(CONFIG, state)
    assert state[C_PROJ].shape == state[C_PROJ].T.shape  # no shape would show a mistake
    for name in (f"transformer.h.{layer}.{linear}" for layer in range(2) for linear in LINEAR):
        assert np.array_equal(weights[name], state[name].T), name


def test_all_other_weights_are_as_they_were(state):
    weights = from_hugging_face(CONFIG, state)
    others = [name for name in state if not name.endswith(LINEAR)]
    assert all(np.array_equal(weights[name], state[name]) for name in others)
    assert len(others) == len(state) - 2 * len(LINEAR)


def test_each_key_is_used_exactly_once(state):
    weights = from_hugging_face(CONFIG, state)
    used = np.concatenate([np.sort(weights[name], axis=None) for name in state])
    assert np.array_equal(used, np.arange(used.size))
    assert weights.keys() == state.keys() | {"lm_head.weight"}


def test_weights_are_contiguous_float32_of_the_expected_shape(state):
    weights = from_hugging_face(CONFIG, state)
    shapes = expected_shapes(CONFIG)
    assert all(array.dtype == np.float32 for array in weights.values())
    assert all(array.flags.c_contiguous for array in weights.values())
    assert {name: weights[name].shape for name in shapes} == shapes


def test_a_tied_head_shares_the_embeddings_memory(state):
    weights = from_hugging_face(CONFIG, state)
    assert np.shares_memory(weights["lm_head.weight"], weights[WTE])
    copied = from_hugging_face(CONFIG, state | {"lm_head.weight": state[WTE].copy()})
    assert np.shares_memory(copied["lm_head.weight"], copied[WTE])


def test_a_tied_head_that_differs_is_refused(state):
    state["lm_head.weight"] = state[WTE] + 1
    with pytest.raises(WeightsError, match=r"lm_head\.weight is tied .* but differs"):
        from_hugging_face(CONFIG, state)


def test_an_untied_head_is_its_own_weight():
    state = numbered(UNTIED)
    weights = from_hugging_face(UNTIED, state)
    assert np.array_equal(weights["lm_head.weight"], state["lm_head.weight"])
    assert not np.shares_memory(weights["lm_head.weight"], weights[WTE])


def test_an_untied_head_must_be_there(state):
    with pytest.raises(WeightsError, match=r"lm_head\.weight is missing"):
        from_hugging_face(UNTIED, state)


def test_mask_buffers_of_old_checkpoints_are_skipped(state):
    buffers = {
        "transformer.h.0.attn.bias": np.tril(np.ones((1, 1, 5, 5), np.uint8)),
        "transformer.h.0.attn.masked_bias": np.float32(-1e4).reshape(()),
    }
    assert from_hugging_face(CONFIG, state | buffers).keys() == state.keys() | {"lm_head.weight"}


@pytest.mark.parametrize("name", parameter_shapes(CONFIG))
def test_a_missing_weight_is_named(state, name):
    del state[name]
    with pytest.raises(WeightsError, match=f"^weight {name} is missing$"):
        from_hugging_face(CONFIG, state)


@pytest.mark.parametrize("name", ["transformer.h.2.ln_1.weight", "wte.weight", "score.weight"])
def test_a_weight_too_many_is_named(state, name):
    with pytest.raises(WeightsError, match=f"GPT-2 has no weight {name}"):
        from_hugging_face(CONFIG, state | {name: np.zeros(6, np.float32)})


@pytest.mark.parametrize("name", [WTE, C_PROJ, "transformer.h.0.mlp.c_fc.weight"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda array: array[:-1], "has shape"),
        (lambda array: array[None], "has shape"),
        (lambda array: array.astype(np.float64), "has dtype float64, not float32"),
        (lambda array: array.astype(np.float16), "has dtype float16, not float32"),
        (lambda array: np.where(array == array.max(), np.nan, array), "holds NaN or infinity"),
        (lambda array: np.where(array == array.max(), np.inf, array), "holds NaN or infinity"),
    ],
)
def test_a_wrong_array_is_named(state, name, spoil, message):
    state[name] = spoil(state[name])
    with pytest.raises(WeightsError, match=f"^{name} {message}"):
        from_hugging_face(CONFIG, state)


def test_a_weight_that_was_transposed_already_is_refused(state):
    name = "transformer.h.0.attn.c_attn.weight"
    state[name] = np.ascontiguousarray(state[name].T)
    with pytest.raises(WeightsError, match=f"^{name} has shape"):
        from_hugging_face(CONFIG, state)
