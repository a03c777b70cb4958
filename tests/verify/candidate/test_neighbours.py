import numpy as np
import pytest
from max.dtype import DType
from max.graph import ops

from tests.verify.graph.helpers import CPU, kind, staged
from verify.candidate.neighbours import is_rounded, with_neighbours
from verify.graph.evaluate import evaluate

TABLE = (1 / 10000 ** (np.arange(0, 8, 2, dtype=np.float32) / 8)).astype(np.float32)


def times(constant):
    """The graph that multiplies by a constant."""
    return staged(lambda x: x.tensor * ops.constant(constant, DType.float32, CPU), kind(4))


def test_a_table_of_float32_is_moved_by_its_last_place():
    graph, ones = times(TABLE), np.ones(4)
    moved = evaluate(with_neighbours(graph, 0), [ones]).outputs[0]
    steps = (moved - TABLE.astype(float)) / np.spacing(TABLE)
    assert set(np.abs(steps[is_rounded(TABLE)]).tolist()) == {1.0}
    assert set(steps[~is_rounded(TABLE)].tolist()) <= {0.0}


def test_each_seed_moves_it_to_other_sides_and_always_to_the_same():
    graph = times(TABLE)
    first, second = (evaluate(with_neighbours(graph, s), [np.ones(4)]).outputs[0] for s in (0, 1))
    again = evaluate(with_neighbours(times(TABLE), 0), [np.ones(4)]).outputs[0]
    assert not np.array_equal(first, second)
    assert np.array_equal(first, again)


@pytest.mark.parametrize("constant", [0.1, 1 / 3, 0.125, -np.inf, 10000.0])
def test_a_number_whose_exact_value_is_known_stays(constant):
    graph = times(constant)
    assert with_neighbours(graph, 0) is graph


def test_numbers_that_float32_holds_exactly_were_not_rounded():
    exact = np.array([0, 1, -3, 0.125, 1e4, np.inf, -np.inf, 1 / 256], np.float32)
    assert not is_rounded(exact).any()
    assert is_rounded(np.array([0.1, 1 / 3, np.pi, 1e-5], np.float32)).all()
