import numpy as np
import pytest
from max.graph import ops

from tests.verify.graph.families.comparing import assert_compiled, assert_meant, cases, compiled
from tests.verify.graph.families.reductions import FAMILIES
from tests.verify.graph.helpers import kind
from tests.verify.graph.helpers import staged as graph_of
from verify.graph.errors import GraphError
from verify.graph.evaluate import evaluate


@cases(FAMILIES)
def test_in_float64_it_is_what_pytorch_computes(staged, family, index):
    assert_meant(staged, family, index)


@pytest.mark.compiles
@compiled(FAMILIES)
def test_max_compiles_it_to_the_same(staged, run_compiled, family):
    assert_compiled(staged, run_compiled, family)


def test_a_sum_of_nothing_is_zero_and_its_mean_no_number():
    graph = graph_of(
        lambda x: (ops.sum(x.tensor, axis=0), ops.mean(x.tensor, axis=0), ops.softmax(x.tensor, 0)),
        kind("a", 2),
    )
    total, mean, shares = evaluate(graph, [np.zeros((0, 2), np.float32)]).outputs
    assert total.tolist() == [[0, 0]]
    assert np.isnan(mean).all()
    assert shares.shape == (0, 2)


def test_nothing_has_no_largest_element():
    graph = graph_of(lambda x: ops.max(x.tensor, axis=0), kind("a", 2))
    with pytest.raises(GraphError, match=r"mo\.reduce\.max .*fails: zero-size array"):
        evaluate(graph, [np.zeros((0, 2), np.float32)])


def test_a_row_without_a_key_is_no_number_everywhere():
    """What a mask makes of a query that may see nothing: 0 / 0."""
    graph = graph_of(lambda x: ops.softmax(x.tensor), kind("a", 3))
    row = np.full((1, 3), -np.inf, np.float32)
    assert np.isnan(evaluate(graph, [row]).outputs[0]).all()
