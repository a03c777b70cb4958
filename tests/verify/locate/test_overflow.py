"""The operation that makes a NaN or an infinity, in graphs made by hand."""

import math

import numpy as np
import pytest
from max.dtype import DType
from max.graph import ops

from tests.verify.graph.helpers import CPU, kind, staged
from verify.candidate.model_graphs import Computing
from verify.graph.weights import Weights
from verify.locate.overflow import origin
from verify.locate.segment import segment


def made(build, x, precision="declared"):
    """Where a graph over one tensor stops being finite."""
    graph = staged(lambda v: build(v.tensor), kind(*x.shape))
    names = {graph.inputs[0].number: "x"}
    computing = Computing(graph, [x], names, list(graph.outputs), Weights({}))
    return origin(segment(computing, precision))


def floats(*numbers):
    return np.array([numbers], np.float32)


def number(value):
    return ops.constant(value, DType.float32, CPU)


MASK = np.array([[-math.inf, 0.0], [-math.inf, -math.inf]], np.float32)


@pytest.mark.parametrize(
    ("build", "x", "words"),
    [
        (ops.exp, floats(1, 95.5), "exp(95.5) overflows: in float32 it ends at 88.7"),
        (lambda x: x / ops.relu(x), floats(1, -2), "division by 0"),
        (lambda x: x / x, floats(0, 2), "0 / 0 is NaN"),
        (lambda x: x * 1e30 * 1e30, floats(1, 2), "mul overflows: the largest float32 is 3.4e+38"),
        (ops.sqrt, floats(4, -1), "sqrt(-1) is NaN"),
        (ops.log, floats(1, 0), "log(0)"),
        (lambda x: ops.relu(x) * number(-math.inf), floats(-1, 2), "0 x -inf is NaN"),
        (
            lambda x: (ops.exp(x) - 1) / (ops.exp(x) + 1), floats(1, 95.5),
            "exp(95.5) overflows: in float32 it ends at 88.7 (test_overflow.py:",
        ),
        (
            lambda x: ops.softmax(x + ops.constant(MASK, DType.float32, CPU)), floats(1, 2),
            "a row of the mask has no key (query 1: is the diagonal masked?), and its softmax is",
        ),
    ],
    ids=["exp", "by-zero", "zeros", "product", "root", "log", "mask", "quotient", "row"],
)  # fmt: skip
def test_the_operation_and_the_reason_are_named(build, x, words):
    assert words in made(build, x).text


def test_a_quotient_of_infinities_is_named_after_what_made_them():
    text = made(lambda x: ops.exp(x) / (ops.exp(x) + 1), floats(1, 95.5)).text
    assert text.index("exp(95.5) overflows") < text.index("and then inf / inf is NaN")


def test_what_is_finite_in_float64_overflows_in_float32_alone():
    assert made(ops.exp, floats(1, 95.5), "float64") is None


def hidden_from(query):
    """A mask of three queries, one of which sees no key: `[3, 3]`."""
    mask = np.zeros((3, 3), np.float32)
    mask[query] = -math.inf
    return ops.constant(mask, DType.float32, CPU)


def by_hand(scores):
    """exp(s - max) / sum of it."""
    largest = ops.max(scores, axis=-1)
    raised = ops.exp(scores - largest)
    return raised / ops.sum(raised, axis=-1)


@pytest.mark.parametrize("softmax", [ops.softmax, by_hand])
@pytest.mark.parametrize(("query", "asked"), [(0, True), (1, False), (2, True)])
def test_the_diagonal_is_asked_about_where_it_leaves_a_query_without_keys(softmax, query, asked):
    scores = np.ones((3, 3), np.float32)
    text = made(lambda x: softmax(x + hidden_from(query)), scores).text
    assert f"a row of the mask has no key (query {query}" in text
    assert ("is the diagonal masked?" in text) == asked


def test_a_mask_of_infinities_is_meant():
    mask = np.array([[0.0, -math.inf], [0.0, 0.0]], np.float32)
    build = lambda x: ops.softmax(x + ops.constant(mask, DType.float32, CPU))  # noqa: E731
    assert made(build, floats(1, 2)) is None
