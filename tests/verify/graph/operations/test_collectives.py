import numpy as np
import pytest
from max.graph import ops

from tests.verify.graph.helpers import floats, kind, staged
from verify.graph.errors import UnknownOperationError
from verify.graph.evaluate import evaluate
from verify.graph.form import Operation, Value
from verify.graph.operations.collectives import alone
from verify.graph.scope import Scope
from verify.graph.weights import Weights


def scope_of(results):
    values = (*(Value(number) for number in range(results)), Value(results, "chain"))
    operation = Operation("mo.distributed.allreduce.sum", results=values)
    return Scope(operation, {}, "float64", Weights({}), "", None, None)


def test_what_one_device_has_is_what_all_have_together():
    array = floats(3)
    assert alone(scope_of(1), array, None, None)[0] is array


def test_several_devices_are_refused():
    with pytest.raises(UnknownOperationError, match="among 2 devices; one is known"):
        alone(scope_of(2), floats(3), floats(3), None, None, None)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_the_parts_of_a_device_are_stacked(axis):
    graph = staged(
        lambda a, b: ops.shard_and_stack([a.tensor, b.tensor], [a.tensor.device] * 2, axis=axis),
        kind(4, 6),
        kind(4, 6),
    )
    a, b = floats(4, 6), floats(4, 6, seed=1)
    found = evaluate(graph, [a, b]).outputs
    expected = np.split(np.stack([a, b]), 2, axis=axis % 2 + 1)
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))
