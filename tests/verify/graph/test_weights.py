import numpy as np
import pytest

from verify.graph.errors import GraphError
from verify.graph.weights import Weights

FLOAT64 = np.dtype(np.float64)


def test_a_weight_that_has_the_dtype_is_not_copied():
    array = np.ones((3, 4), np.float32).T
    assert Weights({"w": array}).get("w", array.dtype) is array


def test_tied_weights_are_widened_together():
    array = np.ones((3, 4), np.float32)
    weights = Weights({"a": array, "b": array, "c": array.T})
    assert weights.get("a", FLOAT64) is weights.get("b", FLOAT64)
    assert weights.get("c", FLOAT64).shape == (4, 3)


def test_a_widened_weight_cannot_be_written_to():
    wide = Weights({"w": np.ones(3, np.float32)}).get("w", FLOAT64)
    with pytest.raises(ValueError, match="read-only"):
        wide[0] = 2


def test_a_missing_weight_is_named():
    with pytest.raises(GraphError, match="a weight bias, which is not given"):
        Weights({}).get("bias", FLOAT64)


def test_what_is_still_to_be_widened_is_counted_once():
    array = np.ones(10, np.float32)
    weights = Weights({"a": array, "tied": array, "ids": np.arange(3), "wide": np.ones(5)})
    names = ["a", "tied", "ids", "wide", "absent"]
    assert weights.unmade(names) == 80
    weights.get("a", FLOAT64)
    assert weights.unmade(names) == 0
