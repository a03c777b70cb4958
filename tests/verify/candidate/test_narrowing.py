import numpy as np
import pytest
from max.dtype import DType
from max.graph import ops

from tests.verify.graph.helpers import floats, kind, staged
from verify.candidate.narrowing import fraction_bits, narrowest, rounded, with_rounding
from verify.graph.evaluate import evaluate


def through(dtype):
    """The graph that casts to a dtype and back."""
    return staged(lambda x: ops.cast(ops.cast(x.tensor, dtype), DType.float32), kind(3))


@pytest.mark.parametrize("dtype", [DType.bfloat16, DType.float16])
def test_a_cast_to_fewer_bits_loses_them_in_float64_too(dtype):
    graph, x = through(dtype), floats(3)
    plain = evaluate(graph, [x]).outputs[0]
    assert np.array_equal(plain, x)
    lost = evaluate(with_rounding(graph, "float32"), [x]).outputs[0]
    assert lost.dtype == np.float64
    assert not np.array_equal(lost, x)
    assert np.allclose(lost, x, rtol=2.0 ** -fraction_bits(dtype.name))


def test_what_overflows_is_infinite():
    x = np.array([1e5, 1.0, -1e5])
    found = evaluate(with_rounding(through(DType.float16), "float32"), [x]).outputs[0]
    assert found.tolist() == [np.inf, 1.0, -np.inf]


@pytest.mark.parametrize("declared", ["bfloat16", "float16"])
def test_a_precision_that_a_model_declares_is_left_wide(declared):
    graph = through(DType[declared])
    assert with_rounding(graph, declared) is graph


def test_more_bits_of_fraction_are_not_narrower_though_the_range_is():
    graph = through(DType.float16)
    assert with_rounding(graph, "bfloat16") is graph
    assert with_rounding(through(DType.bfloat16), "float16") is not through(DType.bfloat16)


def test_branches_are_looked_into():
    def build(x):
        narrow = lambda: ops.cast(ops.cast(x.tensor, DType.bfloat16), DType.float32)  # noqa: E731
        return ops.cond(x.tensor[0] > 0, [kind(3)], narrow, lambda: x.tensor * 1)[0]

    graph = with_rounding(staged(build, kind(3)), "float32")
    x = np.array([1.001, 2.001, 3.001])
    assert not np.array_equal(evaluate(graph, [x]).outputs[0], x)
    assert np.array_equal(evaluate(graph, [-x]).outputs[0], -x)


def test_the_narrowest_dtype_of_weights_is_what_a_model_declares():
    assert narrowest([]) == "float32"
    arrays = [np.zeros(1, np.float32), np.zeros(1, np.float16), np.zeros(1, np.int64)]
    assert narrowest(arrays) == "float16"
    assert narrowest(arrays[:1]) == "float32"


def test_rounding_is_to_the_nearest_number():
    class Scope(dict):
        pass

    x = np.array([1 + 2.0**-9, 1 + 3 * 2.0**-9])
    assert rounded(Scope(to="bfloat16"), x).tolist() == [1.0, 1 + 2.0**-7]
