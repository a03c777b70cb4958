import numpy as np
import pytest
from max.dtype import DType
from max.graph import ops

from tests.verify.graph.families.comparing import assert_compiled, assert_meant, cases, compiled
from tests.verify.graph.families.indexing import FAMILIES
from tests.verify.graph.helpers import floats, kind
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


def test_an_index_below_zero_is_refused_where_max_reads_outside_of_the_tensor():
    """Seen: ops.gather_nd of a `[3, 4, 5]` tensor at [-1, 0] returned what lay 20 numbers before
    it."""
    graph = graph_of(
        lambda x, i: ops.gather_nd(x.tensor, i.tensor), kind(3, 4), kind(1, 2, dtype=DType.int64)
    )
    assert evaluate(graph, [floats(3, 4), np.array([[2, 3]])]).outputs[0].shape == (1,)
    with pytest.raises(GraphError, match="index below zero"):
        evaluate(graph, [floats(3, 4), np.array([[-1, 0]])])
