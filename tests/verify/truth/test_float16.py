import numpy as np
import pytest

from reference.dtypes import DTYPES, is_floating, rounded, unit_roundoff
from reference.load import load
from reference.oracle import Oracle
from verify.truth.float16 import ORDERS, FusedBlocked, Stepwise, evaluations

SIXTEEN_BITS = ("bfloat16", "float16")
IDS = np.random.default_rng(0).integers(0, 1024, (2, 7))


@pytest.fixture(scope="module", params=SIXTEEN_BITS)
def setting(request):
    return request.param, rounded(load("random:tiny"), request.param)


def _given(checkpoint, dtype):
    trace = FusedBlocked(checkpoint, dtype).trace(IDS)
    return {tap: array for tap, array in trace.items() if ":" not in tap}


def test_every_order_stores_every_tap_in_16_bits(setting):
    dtype, checkpoint = setting
    truth = Oracle(checkpoint).trace(IDS)
    for model in evaluations(checkpoint, dtype):
        trace = model.trace(IDS)
        assert trace.keys() == truth.keys()
        floats = {tap: array for tap, array in trace.items() if is_floating(array)}
        assert {array.dtype for array in floats.values()} == {DTYPES[dtype]}


def test_every_order_computes_the_same_model(setting):
    """Each stage on the same activations is right to within 32 unit roundoffs of its largest."""
    dtype, checkpoint = setting
    oracle = Oracle(checkpoint)
    given = {
        tap: a for tap, a in FusedBlocked(checkpoint, dtype).trace(IDS).items() if ":" not in tap
    }
    truth = oracle.trace(IDS, given)
    for model in evaluations(checkpoint, dtype):
        for tap, array in model.trace(IDS, given).items():
            if is_floating(array):
                bound = 32 * unit_roundoff(DTYPES[dtype]) * np.abs(truth[tap]).max()
                assert np.abs(array.astype(float) - truth[tap]).max() <= bound, (model, tap)


def test_a_fused_linear_layer_is_rounded_once(setting):
    dtype, checkpoint = setting
    given = _given(checkpoint, dtype)
    tap = "transformer.h.2.mlp.c_fc"
    truth = Oracle(checkpoint).trace(IDS, given)[tap]
    fused = FusedBlocked(checkpoint, dtype).trace(IDS, given)[tap].astype(float)
    steps = Stepwise(checkpoint, dtype).trace(IDS, given)[tap].astype(float)
    unit = unit_roundoff(DTYPES[dtype])
    assert (np.abs(fused - truth) <= 1.01 * unit * np.abs(truth) + 1e-6).all()
    assert np.abs(steps - truth).mean() > np.abs(fused - truth).mean()


def test_orders_differ_from_each_other(setting):
    dtype, checkpoint = setting
    logits = {order(checkpoint, dtype).trace(IDS)["lm_head"].tobytes() for order in ORDERS}
    assert len(logits) == len(ORDERS)
