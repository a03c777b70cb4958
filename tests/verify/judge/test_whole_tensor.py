"""A picture of a tensor keeps each wrong element, whatever its size."""

from types import SimpleNamespace

import numpy as np
import pytest

from verify.judge.acceptance import Envelope
from verify.judge.whole_tensor import COLUMNS, ROWS, heads_at, pictured

ENVELOPE = Envelope(rms=1e-7, max=1e-6)


def picture(found, heads=0):
    return pictured(found, np.zeros(found.shape), ENVELOPE, np.float32, heads)


@pytest.mark.parametrize("shape", [(1, 1, 8), (2, 33, 128), (1, 256, 3072), (10, 3, 2304),
                                   (1, 1024, 6400), (3, 129, 1000)])  # fmt: skip
def test_any_single_wrong_element_is_in_its_cell(shape):
    rng = np.random.default_rng(0)
    for _ in range(5):
        at = tuple(int(rng.integers(size)) for size in shape)
        found = np.zeros(shape, np.float32)
        found[at] = -3.0
        kept = picture(found)
        tokens, features = kept["cell"]
        each = -(-shape[1] // tokens)
        row, column = at[0] * each + at[1] // tokens, at[2] // features
        assert kept["error"][row, column] == kept["candidate"][row, column] == 3.0
        assert np.count_nonzero(kept["error"]) == 1
        assert kept["error"].shape[0] <= ROWS + shape[0]
        assert kept["error"].shape[1] <= COLUMNS


def test_a_small_tensor_is_kept_element_by_element():
    found = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    kept = picture(found)
    assert kept["cell"].tolist() == [1, 1]
    assert kept["error"].tolist() == found.reshape(6, 4).tolist()


@pytest.mark.parametrize(("features", "heads"), [(768, 12), (2304, 36), (1600, 25), (6400, 100)])
def test_no_cell_reaches_over_the_border_of_a_head(features, heads):
    kept = picture(np.zeros((1, 4, features), np.float32), heads)
    assert int(kept["heads"]) == heads
    assert (features // heads) % int(kept["cell"][1]) == 0


def test_no_cell_reaches_over_the_end_of_a_sequence():
    found = np.zeros((3, 50, 4), np.float32)
    found[1] = 1.0
    kept = picture(found)
    each = -(-50 // int(kept["cell"][0]))
    assert kept["error"].shape[0] == 3 * each
    assert (kept["error"].reshape(3, each, 4).max(axis=(1, 2)) == [0, 1, 0]).all()


def test_what_is_not_a_number_is_infinite():
    found = np.zeros((1, 2, 4), np.float32)
    found[0, 1, 2] = np.nan
    kept = picture(found)
    assert np.isinf(kept["error"][1, 2])
    assert np.isfinite(np.delete(kept["error"].ravel(), 6)).all()


def test_what_an_element_may_have_is_the_rules_second_bound():
    found = np.full((1, 2, 4), 2.9e-6, np.float32)
    assert picture(found)["allowed"] == pytest.approx(3e-6, rel=1e-3)


GPT2 = SimpleNamespace(n_head=12)
LLAMA = SimpleNamespace(num_attention_heads=32, num_key_value_heads=8)


@pytest.mark.parametrize(
    ("tap", "config", "heads"),
    [
        ("transformer.h.3.attn.c_attn", GPT2, 36),
        ("transformer.h.3.attn.c_proj:input", GPT2, 12),
        ("transformer.h.3.attn.c_proj", GPT2, 0),
        ("transformer.h.3.mlp.c_proj:input", GPT2, 0),
        ("model.layers.3.self_attn.q_proj", LLAMA, 32),
        ("model.layers.3.self_attn.v_proj", LLAMA, 8),
        ("model.layers.3.self_attn.qkv_proj", LLAMA, 48),
        ("model.layers.3.self_attn.o_proj:input", LLAMA, 32),
        ("lm_head", LLAMA, 0),
    ],
)
def test_heads_are_known_where_features_are_heads(tap, config, heads):
    assert heads_at(tap, config) == heads
