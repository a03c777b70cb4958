import ml_dtypes
import numpy as np
import pytest
from max.dtype import DType

from tests.verify.graph.families.casts import FAMILIES
from tests.verify.graph.families.comparing import assert_compiled, assert_meant, cases, compiled
from tests.verify.graph.helpers import floats, kind
from tests.verify.graph.helpers import staged as graph_of
from verify.graph.evaluate import evaluate


@cases(FAMILIES)
def test_in_float64_it_is_what_pytorch_computes(staged, family, index):
    assert_meant(staged, family, index)


@pytest.mark.compiles
@compiled(FAMILIES)
def test_max_compiles_it_to_the_same(staged, run_compiled, family):
    assert_compiled(staged, run_compiled, family)


def test_8_bits_are_rounded_as_they_are_declared():
    """MAX compiles none of them on a CPU."""
    graph = graph_of(lambda x: x.tensor.cast(DType.float8_e4m3fn).cast(DType.float32), kind("a"))
    x = floats(100)
    found = evaluate(graph, [x], precision="declared").outputs[0]
    assert np.array_equal(found, x.astype(ml_dtypes.float8_e4m3fn).astype(np.float32))
    assert np.array_equal(evaluate(graph, [x]).outputs[0], x)
