"""The oracle equals Hugging Face in float64 at every tap, and the formulas written out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impl.config import ACTIVATIONS
from reference.huggingface import HuggingFaceReference
from reference.load import load
from reference.oracle import Oracle, cross_entropy
from reference.regimes import with_regime
from reference.taps import INPUT

TOLERANCE = 1e-12  # of a tap's rms; float64 rounds at 1e-16, and sums here have up to 128 terms
DROPOUT = ("drop", "dropout", "resid_dropout", "attn_dropout")

SIZES = {
    "plain": {},
    "n_inner": {"n_inner": 40},
    "untied": {"tie_word_embeddings": False},
    "epsilon": {"layer_norm_epsilon": 1e-3},
    "one head": {"n_head": 1},
    "head of one": {"n_head": 32},
    "one layer": {"n_layer": 1},
}
SHAPES = {"one token": (1, 1), "batch": (3, 7), "full length": (1, 16), "full batch": (3, 16)}


def token_ids(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 67, shape)


def rms(array):
    return float(np.sqrt((array.astype(np.float64) ** 2).mean()))


def worst_difference(trace, other):
    return max(np.abs(trace[tap] - other[tap]).max() / (rms(trace[tap]) or 1.0) for tap in trace)


def outputs(trace):
    return {tap: array for tap, array in trace.items() if not tap.endswith(INPUT)}


@pytest.fixture(scope="module", params=SIZES.values(), ids=SIZES)
def pair(request, sized):
    """The oracle and Hugging Face in float64 on the same weights."""
    checkpoint = sized(**request.param)
    return Oracle(checkpoint), HuggingFaceReference(checkpoint, torch.float64)


@pytest.fixture(scope="module")
def oracle(small):
    return Oracle(small)


# ---- against Hugging Face ---------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_running_free_it_equals_hugging_face_at_every_tap(pair, shape):
    oracle, theirs = pair
    ids = token_ids(shape)
    assert worst_difference(oracle.trace(ids), theirs.trace(ids)) <= TOLERANCE


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_forced_it_equals_hugging_face_at_every_tap(pair, shape):
    oracle, theirs = pair
    ids = token_ids(shape)
    rng = np.random.default_rng(1)
    free = oracle.trace(ids)
    forced = {tap: a + rng.normal(size=a.shape) * rms(a) for tap, a in outputs(free).items()}
    mine, other = oracle.trace(ids, forced), theirs.trace(ids, forced)
    assert worst_difference(mine, other) <= TOLERANCE
    assert worst_difference(mine, free) > 0.1  # what was given was worked on


@pytest.mark.parametrize("regime", ["init", "stress"])
def test_in_every_regime_it_equals_hugging_face(small, regime):
    checkpoint = with_regime(small, regime)
    ids = token_ids((2, 16))
    theirs = HuggingFaceReference(checkpoint, torch.float64)
    assert worst_difference(Oracle(checkpoint).trace(ids), theirs.trace(ids)) <= TOLERANCE


def test_its_taps_are_all_modules_of_hugging_face_but_dropout(small, oracle):
    ids = token_ids((1, 4))
    theirs = HuggingFaceReference(small, torch.float64).trace(ids)
    kept = [tap for tap in theirs if tap.removesuffix(INPUT).split(".")[-1] not in DROPOUT]
    assert list(oracle.trace(ids)) == kept


def test_another_epsilon_another_head_or_another_mlp_is_noticed(sized):
    """The comparisons above can fail: float64 separates the configurations by far."""
    ids = token_ids((1, 4))
    plain = Oracle(sized()).trace(ids)["lm_head"]
    for name in ("epsilon", "one head"):
        other = Oracle(sized(**SIZES[name])).trace(ids)["lm_head"]
        assert np.abs(plain - other).max() > 1e6 * TOLERANCE * rms(plain)


# ---- properties -------------------------------------------------------------------------------


def test_a_later_token_does_not_change_what_is_before_it(oracle):
    ids = token_ids((1, 8))
    other = ids.copy()
    other[0, 5] = (ids[0, 5] + 1) % 67
    before, after = oracle.trace(ids)["lm_head"], oracle.trace(other)["lm_head"]
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert (before[:, 5:] != after[:, 5:]).any(axis=-1).all()


def test_rows_of_a_batch_do_not_see_each_other(oracle):
    ids = token_ids((3, 8))
    together = oracle.trace(ids)["lm_head"]
    for row in range(3):
        alone = oracle.trace(ids[row : row + 1])["lm_head"]
        np.testing.assert_allclose(together[row : row + 1], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_is_computed_in_the_dtype_asked_for(small, dtype):
    trace = Oracle(small, dtype).trace(token_ids((2, 3)))
    dtypes = {tap: a.dtype for tap, a in trace.items() if a.dtype != np.int64}
    assert set(dtypes.values()) == {np.dtype(dtype)}
    integers = {tap for tap in trace if tap not in dtypes}
    assert integers == {"transformer:input", "transformer.wte:input", "transformer.wpe:input"}


# ---- attention by hand ------------------------------------------------------------------------


def attention_by_hand(fused, n_head):
    """Rows of [query, key, value] to rows of mixed values, in plain loops over Python floats."""
    length, d = len(fused), len(fused[0]) // 3
    k = d // n_head
    mixed = [[0.0] * d for _ in range(length)]
    for head in range(n_head):
        features = range(head * k, (head + 1) * k)
        for i in range(length):
            scores = []
            for j in range(i + 1):  # keys at and before the query
                product = sum(fused[i][f] * fused[j][d + f] for f in features)
                scores.append(product / math.sqrt(k))
            total = sum(math.exp(score) for score in scores)
            for j, score in enumerate(scores):
                for f in features:
                    mixed[i][f] += math.exp(score) / total * fused[j][2 * d + f]
    return mixed


def test_attention_of_two_tokens_and_one_head_is_what_the_hand_computes(sized):
    """Token 1 scores ln 2 on token 0 and 0 on itself, so it weighs their values 2 to 1."""
    root = math.sqrt(2)
    fused = [
        #  query   key                         value
        [5.0, 7.0, root * math.log(2), 0.0, 3.0, 6.0],
        [1.0, 0.0, 0.0, 9.0, 0.0, 12.0],
    ]
    oracle = Oracle(sized(n_embd=2, n_head=1))
    mixed = oracle.attend(np.array([fused]), "transformer.h.0.attn")
    np.testing.assert_allclose(mixed, [[[3.0, 6.0], [2.0, 8.0]]], rtol=1e-14)
    np.testing.assert_allclose(attention_by_hand(fused, 1), mixed[0], rtol=1e-14)


@pytest.mark.parametrize("n_head", [1, 2, 3, 6])
def test_attention_is_what_plain_loops_compute(sized, n_head):
    fused = np.random.default_rng(0).normal(size=(2, 5, 18))
    oracle = Oracle(sized(n_embd=6, n_head=n_head))
    by_hand = [attention_by_hand(row.tolist(), n_head) for row in fused]
    np.testing.assert_allclose(oracle.attend(fused, "attn"), by_hand, rtol=1e-12, atol=1e-14)


def test_a_key_ahead_of_its_query_weighs_nothing(oracle):
    scores = np.arange(9.0).reshape(1, 1, 3, 3)
    inf = np.inf
    assert oracle.masked(scores).tolist() == [[[[0, -inf, -inf], [3, 4, -inf], [6, 7, 8]]]]


def test_heads_are_split_as_neighbouring_features_and_merged_back(oracle):
    x = np.arange(2 * 3 * 32.0).reshape(2, 3, 32)
    heads = oracle.split_heads(x)
    assert heads.shape == (2, 4, 3, 8)
    assert np.array_equal(heads[1, 2, 0], x[1, 0, 16:24])
    assert np.array_equal(oracle.merge_heads(heads), x)


# ---- elementary functions ---------------------------------------------------------------------


@given(x=st.floats(-1e3, 1e3))
def test_gelu_is_its_formula(x):
    oracle = gelu_oracle()
    expected = 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    computed = float(oracle.gelu(np.array([x]))[0])
    # 1 + tanh cancels for x < 0, where only its last bits are left.
    assert computed == pytest.approx(expected, rel=1e-14, abs=1e-15 * (1 + abs(x)))


def gelu_oracle():
    """An oracle without weights: its arithmetic needs none."""
    bare = object.__new__(Oracle)
    bare.number = np.float64
    return bare


def test_gelu_is_torchs_tanh_form_and_not_its_exact_form(oracle):
    x = np.linspace(-6, 6, 401)
    tanh_form = torch.nn.functional.gelu(torch.from_numpy(x), approximate="tanh").numpy()
    exact = torch.nn.functional.gelu(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(oracle.gelu(x), tanh_form, rtol=1e-12, atol=1e-15)
    assert np.abs(oracle.gelu(x) - exact).max() > 1e-4


def test_softmax_of_huge_scores_does_not_overflow(oracle):
    with np.errstate(over="raise", invalid="raise"):
        assert oracle.softmax(np.array([1e308, 1e308])).tolist() == [0.5, 0.5]
        assert oracle.softmax(np.array([-1e308, 0.0, -np.inf])).tolist() == [0, 1, 0]


def test_softmax_is_a_distribution_over_the_last_axis(oracle):
    scores = np.random.default_rng(0).normal(size=(2, 3, 5)) * 10
    expected = torch.softmax(torch.from_numpy(scores), dim=-1).numpy()
    np.testing.assert_allclose(oracle.softmax(scores), expected, rtol=1e-13)
    np.testing.assert_allclose(oracle.softmax(scores).sum(axis=-1), 1, rtol=1e-14)


def test_layer_norm_divides_by_the_number_of_features(sized):
    """[1, 3] has variance 1 by D = 2, and 2 by D - 1."""
    oracle = Oracle(sized(layer_norm_epsilon=0.25))
    expected = np.array([-1, 1]) / math.sqrt(1 + 0.25)  # epsilon under the root
    np.testing.assert_allclose(oracle.normalise(np.array([1.0, 3.0])), expected, rtol=1e-15)


def test_layer_norm_scales_then_shifts_each_feature(oracle, small):
    x = np.random.default_rng(0).normal(loc=3, size=(2, 4, 32))
    name = "transformer.h.1.ln_2"
    weight, bias = (
        torch.from_numpy(small.weights[f"{name}.{part}"]).double() for part in ("weight", "bias")
    )
    theirs = torch.nn.functional.layer_norm(torch.from_numpy(x), (32,), weight, bias, 1e-5)
    np.testing.assert_allclose(oracle.layer_norm(x, name), theirs.numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_cross_entropy_is_torchs(scale):
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(2, 5, 67)) * scale, token_ids((2, 5))
    theirs = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits).reshape(-1, 67),
        torch.from_numpy(targets).reshape(-1),
        reduction="none",
    )
    np.testing.assert_allclose(
        cross_entropy(logits, targets).ravel(), theirs.numpy(), rtol=1e-12, atol=1e-12
    )


def test_cross_entropy_of_float32_logits_is_computed_in_float64():
    logits = np.random.default_rng(0).normal(size=(1, 3, 67)).astype(np.float32)
    targets = token_ids((1, 3))
    result = cross_entropy(logits, targets)
    assert result.dtype == np.float64
    assert np.array_equal(result, cross_entropy(logits.astype(np.float64), targets))


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_their_number():
    result = cross_entropy(np.full((1, 1, 67), 1e300), np.array([[66]]))
    assert result.tolist() == [[pytest.approx(math.log(67), rel=1e-15)]]


@pytest.mark.parametrize("path", ["transformer.h.1", "transformer.h.1.attn", "transformer.h.1.mlp"])
def test_a_part_alone_computes_what_it_computes_inside_the_model(path):
    oracle = Oracle(load("random:tiny"))
    whole = oracle.trace(np.array([[5, 6, 7]]))
    part = oracle.part_trace(path, whole[f"{path}:input"])
    assert next(iter(part)) == f"{path}:input"
    assert list(part)[-1] == path
    assert all(np.array_equal(part[tap], whole[tap]) for tap in part)


@pytest.mark.parametrize(
    "options",
    [*({"activation_function": name} for name in ACTIVATIONS), {"scale_attn_weights": False},
     {"scale_attn_by_inverse_layer_idx": True}],
)  # fmt: skip
def test_every_activation_and_scale_is_what_transformers_computes(sized, options):
    checkpoint = sized()
    checkpoint = replace(checkpoint, config=replace(checkpoint.config, **options))
    ids = np.random.default_rng(0).integers(0, checkpoint.config.vocab_size, (2, 7))
    ours = Oracle(checkpoint).trace(ids)["lm_head"]
    theirs = HuggingFaceReference(checkpoint, torch.float64).logits(ids)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13 * np.abs(theirs).max())
