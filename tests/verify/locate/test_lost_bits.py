"""Rounding that makes a stage wrong, in graphs made by hand: a product, a softmax, a sum."""

from types import SimpleNamespace

import numpy as np
import pytest
from max.dtype import DType
from max.graph import ops

from tests.verify.graph.helpers import CPU, kind, staged
from verify.candidate.model_graphs import Computing
from verify.candidate.narrowing import with_rounding
from verify.graph.weights import Weights
from verify.locate.lost_bits import rounding_at_fault

TAP = "model.layers.0.mlp"
X = np.random.default_rng(0).standard_normal((5, 8))
WIDE = np.random.default_rng(1).standard_normal((8, 8)).astype(np.float32)


def through(x, dtype):
    return ops.cast(ops.cast(x, dtype), DType.float32)


def stage(*, softmax=None, product=None, factor=1.0):
    """A stage whose steps go through other dtypes."""

    def build(x):
        y = x.tensor @ ops.constant(WIDE, DType.float32, CPU)
        y = through(y, product) if product else y
        y = ops.softmax(y)
        y = through(y, softmax) if softmax else y
        return y * factor + x.tensor

    return build


def exact(x, factor=1.0):
    scores = x @ WIDE.astype(np.float64)
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True) * factor + x


def said(**options):
    graph = with_rounding(staged(stage(**options), kind(*X.shape)), "float32")
    names = {graph.inputs[0].number: "model.layers.0.mlp:input"}
    computing = Computing(graph, [X], names, list(graph.outputs), Weights({}))
    return rounding_at_fault(TAP, computing, SimpleNamespace(isolated={TAP: exact(X)}))


@pytest.mark.parametrize("dtype", [DType.bfloat16, DType.float16])
@pytest.mark.parametrize(("step", "after"), [("softmax", "the softmax"), ("product", "a product")])
def test_the_step_before_the_rounding_and_its_line_are_named(step, after, dtype):
    words = said(**{step: dtype})
    assert words.startswith(f"rounded to {dtype.name} after {after} (test_lost_bits.py:")
    assert words.endswith("; without that nothing of its error is left")


def test_several_roundings_are_named_together_where_each_matters():
    words = said(softmax=DType.bfloat16, product=DType.bfloat16)
    assert words.startswith("rounded to bfloat16 after a product (test_lost_bits.py:")
    assert ", and at 1 other place; without that" in words


def test_a_right_stage_and_one_that_is_wrong_otherwise_are_not_blamed_on_rounding():
    assert said() == ""
    assert said(factor=1.5) == ""
    assert said(softmax=DType.bfloat16, factor=1.5) == ""
