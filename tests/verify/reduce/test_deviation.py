"""How far a result is from what its graph means: roundings are allowed, and nothing else."""

import ml_dtypes
import numpy as np
import pytest
from max.dtype import DType
from max.graph import ops

from tests.verify.reduce.specimens import CPU, F32, normal, specimen_of, tensor
from verify.graph.errors import GraphError
from verify.graph.evaluate import evaluate
from verify.reduce.deviation import deviation, standard
from verify.reduce.edits import tidied

BF16 = DType.bfloat16


def declared(specimen):
    return evaluate(specimen.graph, specimen.arrays, specimen.weights, "declared").outputs[0]


@pytest.fixture
def softmax():
    return specimen_of(
        lambda x, y: ops.softmax(x @ y),
        [tensor("n", 8), tensor(8, 6)],
        [normal(5, 8), normal(8, 6)],
    )


def test_the_graph_in_its_own_dtypes_is_within_what_is_allowed(softmax):
    assert deviation(declared(softmax), standard(softmax)).used <= 1


def test_another_order_of_the_sums_is_too(softmax):
    x, y = softmax.arrays
    products = (x[:, ::-1, None] * y[None, ::-1]).sum(axis=1, dtype=np.float32)
    e = np.exp(products - products.max(axis=-1, keepdims=True))
    assert deviation(e / e.sum(axis=-1, keepdims=True), standard(softmax)).used <= 1


@pytest.mark.parametrize("factor", [1 + 1e-5, 0.9, 0.0])
def test_another_number_is_not(softmax, factor):
    found = declared(softmax) * np.float32(factor)
    assert deviation(found, standard(softmax)).used > 10


def test_nan_and_another_shape_are_as_wrong_as_can_be(softmax):
    found = declared(softmax)
    expected = standard(softmax)
    assert deviation(np.full_like(found, np.nan), expected).used == np.inf
    assert deviation(found[:-1], expected).used == np.inf


def test_an_infinity_has_to_be_where_it_is_meant():
    def build(x):
        return ops.where(x > 0.0, ops.constant(-np.inf, F32, CPU), x)

    specimen = specimen_of(build, [tensor(4, 4)], [normal(4, 4)])
    found = declared(specimen)
    assert np.isinf(found).any()
    expected = standard(specimen)
    assert deviation(found, expected).used <= 1
    assert deviation(np.where(np.isinf(found), 0, found), expected).used == np.inf


def test_whole_numbers_have_to_be_equal():
    specimen = specimen_of(lambda x: ops.argmax(x, axis=-1), [tensor(4, 6)], [normal(4, 6)])
    found = declared(specimen)
    expected = standard(specimen)
    assert deviation(found, expected).used == 0
    assert deviation(found + 1, expected).used == np.inf


def test_a_graph_that_means_nan_cannot_be_judged():
    specimen = specimen_of(lambda x: ops.log(x), [tensor(3)], [np.array([1, -1, 2], np.float32)])
    with pytest.raises(GraphError, match="NaN"):
        standard(specimen)


def test_sums_that_are_kept_in_16_bits_are_far_beyond_rounding_once():
    a, b = (normal(2, 8, 256, seed=n).astype(ml_dtypes.bfloat16) for n in range(2))
    types = [tensor(2, "m", 256, dtype=BF16), tensor(2, "n", 256, dtype=BF16)]
    specimen = tidied(specimen_of(lambda x, y: x @ ops.transpose(y, -1, -2), types, [a, b]))
    expected = standard(specimen)
    assert deviation(declared(specimen), expected).used <= 1
    sums = np.zeros((2, 8, 8), ml_dtypes.bfloat16)
    for k in range(256):  # each addition is rounded
        sums = sums + a[:, :, None, k] * b[:, None, :, k]
    assert deviation(sums, expected).used > 2


def test_what_is_allowed_is_a_share_of_what_is_right(softmax):
    assert 0 < standard(softmax).allowed < 1e-5
