import numpy as np
import pytest

from reference.load import load
from reference.oracle import Oracle
from verify.truth.float32 import LEAST_ROWS, ORDERS, Reversed, Sequential, _sample

CHECKPOINT = load("random:tiny")
IDS = np.random.default_rng(0).integers(0, CHECKPOINT.config.vocab_size, (2, 7))
TRUTH = Oracle(CHECKPOINT).trace(IDS)
UNIT_ROUNDOFF = 2.0**-24


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_computes_the_same_model_in_float32(order):
    trace = order(CHECKPOINT, np.float32).trace(IDS)
    assert trace.keys() == TRUTH.keys()
    for tap, truth in TRUTH.items():
        assert trace[tap].dtype == (np.float32 if truth.dtype == float else truth.dtype), tap
        assert np.allclose(trace[tap], truth, atol=1e-5 * max(1, np.abs(truth).max())), tap


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("depth", [1, 5, 128, 3072])
def test_products_stay_within_highams_bound(order, depth):
    """|error| <= gamma_K |A||B| (Higham, Accuracy and Stability, 3.5), whatever the order."""
    rng = np.random.default_rng(depth)
    a = rng.standard_normal((9, depth)).astype(np.float32)
    b = rng.standard_normal((depth, 11)).astype(np.float32)
    found = order(CHECKPOINT, np.float32).matmul(a, b)
    gamma = depth * UNIT_ROUNDOFF / (1 - depth * UNIT_ROUNDOFF)
    bound = gamma * (np.abs(a).astype(float) @ np.abs(b).astype(float))
    computed = ~np.isnan(found)
    assert computed.any()
    assert (np.abs(found - a.astype(float) @ b.astype(float)) <= bound)[computed].all()


def test_the_sequential_order_is_a_plain_loop():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 50)).astype("f"), rng.standard_normal((50, 3)).astype("f")
    expected = np.zeros((2, 3), np.float32)
    for k in range(50):
        expected = expected + a[:, k, None] * b[None, k]
    assert np.array_equal(Sequential(CHECKPOINT, np.float32).matmul(a, b), expected)


def test_orders_differ_from_each_other():
    """If they did not, they would be no envelope."""
    logits = [order(CHECKPOINT, np.float32).trace(IDS)["lm_head"] for order in ORDERS]
    assert len({array.tobytes() for array in logits}) == len(ORDERS)


def test_wide_products_are_sampled_and_the_rest_says_so():
    model = Reversed(CHECKPOINT, np.float32)
    a, b = np.ones((4, 512, 16), "f"), np.ones((16, 1024), "f")
    found = model.matmul(a, b).reshape(-1, 1024)
    computed = ~np.isnan(found).any(axis=1)
    assert LEAST_ROWS <= computed.sum() < len(found)
    assert (found[computed] == 16).all()


@pytest.mark.parametrize("rows", [1, 3, 64, 1000])
def test_a_coarser_sample_lies_within_a_finer_one_and_holds_the_last_row(rows):
    coarse, fine = _sample(rows, 50_000, 1 << 16), _sample(rows, 1000, 1 << 16)
    assert set(coarse) <= set(fine)
    assert rows - 1 in coarse
