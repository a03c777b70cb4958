import tracemalloc

import numpy as np
import pytest
from max.dtype import DType
from max.graph import Weight, ops

from tests.verify.graph.helpers import CPU, floats, kind, staged
from verify.graph.evaluate import evaluate
from verify.graph.footprint import footprint


def chain(x):
    x = x.tensor
    for _ in range(12):
        x = ops.tanh(x @ ops.transpose(x, 0, 1)) @ x
    return ops.softmax(x)


def test_what_nobody_reads_any_more_is_freed():
    once = footprint(staged(lambda x: ops.tanh(x.tensor), kind("a", 64)), ((500, 64),))
    often = footprint(staged(chain, kind("a", 64)), ((500, 64),))
    assert often < 5 * 8 * 500 * 500 + 12 * once


def test_an_evaluation_takes_no_more_than_it_was_told():
    graph = staged(chain, kind("a", 64))
    x = floats(600, 64)
    evaluate(graph, [floats(3, 64)])
    tracemalloc.start()
    evaluate(graph, [x])
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    told = footprint(graph, (x.shape,))
    assert highest < told + x.size * 8
    assert told < 4 * highest


@pytest.mark.parametrize("factor", [2, 4])
def test_it_grows_with_the_input(factor):
    graph = staged(lambda x: ops.softmax(x.tensor @ ops.transpose(x.tensor, 0, 1)), kind("a", 8))
    small, large = (footprint(graph, ((n, 8),)) for n in (256, 256 * factor))
    assert large > (factor**2 - 1) * small


def test_views_take_nothing():
    graph = staged(lambda x: ops.broadcast_to(x.tensor, [1000, 1000, 3]), kind(3))
    assert footprint(graph, ((3,),)) < 3 * 8 * 3_000_001
    weight = Weight("w", DType.float32, [100, 100], CPU)
    read = staged(lambda x: ops.transpose(weight, 0, 1) @ x.tensor, kind(100, 1))
    assert footprint(read, ((100, 1),)) < 10 * 8 * 10_000


def test_a_reshape_takes_memory_unless_it_only_adds_an_axis():
    longer = staged(lambda x: ops.unsqueeze(ops.transpose(x.tensor, 0, 1), 0), kind("a", 100))
    flat = staged(lambda x: ops.transpose(x.tensor, 0, 1).reshape([-1]), kind("a", 100))
    assert footprint(longer, ((500, 100),)) < 100
    assert footprint(flat, ((500, 100),)) >= 8 * 500 * 100


def test_a_size_that_only_an_operation_decides_does_not_stand_in_the_way():
    graph = staged(lambda x: ops.nonzero(x.tensor, "count"), kind("a"))
    assert footprint(graph, ((9,),)) > 0
    assert evaluate(graph, [np.ones(9, np.float32)]).outputs[0].shape == (9, 1)
