from dataclasses import replace

import numpy as np
import pytest
from max.dtype import DType
from max.graph import TensorType, Weight, ops

from tests.verify.graph.helpers import CPU, buffer, floats, kind, staged
from verify.graph.errors import (
    GraphError,
    RandomOperationError,
    ShapeError,
    TooLargeError,
    UnknownOperationError,
)
from verify.graph.evaluate import evaluate
from verify.graph.form import Operation, Place, Value
from verify.graph.operations import CUSTOM, custom
from verify.graph.weights import Weights


def of(*results, **more):
    """A graph whose last operation is replaced by one of another kind."""
    graph = staged(lambda x: ops.tanh(x.tensor), kind("a"))
    *before, last = graph.operations
    made = Operation(results=last.results, operands=last.operands, place=last.place, **more)
    return graph.with_operations([*before, made])


def test_float64_widens_inputs_constants_and_weights():
    weight = Weight("w", DType.float32, [3], CPU)
    graph = staged(lambda x: x.tensor * weight + 0.1, kind("a", 3))
    x, w = floats(2, 3), floats(3, seed=1)
    (found,) = evaluate(graph, [x], {"w": w}).outputs
    assert found.dtype == np.float64
    assert np.array_equal(found, x.astype(float) * w + 0.1)


def test_declared_gives_every_value_the_dtype_of_the_graph():
    graph = staged(lambda x: (x.tensor.cast(DType.bfloat16) + 1).cast(DType.float32), kind(1))
    x = np.array([1e-3], np.float32)
    assert evaluate(graph, [x], precision="declared").outputs[0] == 1.0
    assert evaluate(graph, [x]).outputs[0] == np.float64(x) + 1


def test_sums_of_16_bits_are_rounded_once():
    graph = staged(lambda x: ops.sum(x.tensor), kind(4096, dtype=DType.bfloat16))
    (x,) = [np.ones(4096, np.float32).astype("bfloat16")]
    assert evaluate(graph, [x], precision="declared").outputs[0] == 4096


@pytest.mark.parametrize("precision", ["float64", "declared"])
def test_integers_stay_integers(precision):
    graph = staged(lambda x: x.tensor * 2 + 1, kind("a", dtype=DType.int64))
    (found,) = evaluate(graph, [np.array([2**60, -3])], precision=precision).outputs
    assert found.dtype == np.int64
    assert found.tolist() == [2**61 + 1, -5]


def test_one_symbol_has_one_number():
    graph = staged(lambda x, y: x.tensor + y.tensor, kind("a"), kind("a"))
    with pytest.raises(
        ShapeError, match=r"input 1 gives the shape \[3\].* float32\[a\] with a = 2"
    ):
        evaluate(graph, [floats(2), floats(3)])


def test_a_rebound_shape_must_be_the_arrays():
    graph = staged(lambda x: x.tensor.rebind([7, 3]), kind("a", 3))
    assert evaluate(graph, [floats(7, 3)]).outputs[0].shape == (7, 3)
    with pytest.raises(ShapeError, match=r"mo.rebind \(test_evaluate.py:\d+\) gives .*\[5, 3\]"):
        evaluate(graph, [floats(5, 3)])


def test_a_size_that_an_operation_decides_is_known_from_then_on():
    graph = staged(
        lambda x: ops.gather(x.tensor, ops.nonzero(x.tensor, "count")[:, 0], axis=0), kind("a")
    )
    found = evaluate(graph, [np.array([0, 3, 0, 4], np.float32)]).outputs[0]
    assert found.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("inputs", "weights", "sentence"),
    [
        ([], {}, "made takes 1 inputs, not 0"),
        ([np.zeros((2, 3), np.int64)], {}, "input 0 is int64"),
        ([np.zeros((2, 4), np.float32)], {}, "input 0 gives the shape"),
        ([np.zeros((2, 3), np.float32)], {}, "the graph reads a weight w, which is not given"),
        ([np.zeros((2, 3), np.float32)], {"w": np.zeros((1, 3))}, r"the weight w is float64\[1, 3"),
        ([np.zeros((2, 3), np.float32)], {"w": np.zeros(3, int)}, r"the weight w is int64\[3\]"),
    ],
)
def test_what_does_not_fit_is_one_sentence(inputs, weights, sentence):
    weight = Weight("w", DType.float32, [3], CPU)
    graph = staged(lambda x: x.tensor * weight, kind("a", 3))
    with pytest.raises(GraphError, match=sentence):
        evaluate(graph, inputs, weights)


def test_at_the_declared_precision_a_weight_has_the_declared_dtype():
    weight = Weight("w", DType.float32, [3], CPU)
    graph = staged(lambda x: x.tensor * weight, kind(3))
    with pytest.raises(ShapeError, match=r"the weight w is float64\[3\]"):
        evaluate(graph, [floats(3)], {"w": np.zeros(3)}, "declared")


def test_an_unknown_operation_is_named_with_its_place_before_anything_is_computed():
    graph = of(kind="mo.foo")
    with pytest.raises(
        UnknownOperationError,
        match=r"MAX 26\S+ has an operation this does not know: mo.foo \(test_evaluate.py:\d+\)$",
    ):
        evaluate(graph, [floats(2)])


def test_an_operation_without_a_meaning_says_why():
    with pytest.raises(UnknownOperationError, match=r"mo.distributed.scatter .*several devices"):
        evaluate(of(kind="mo.distributed.scatter"), [floats(2)])


def test_an_unknown_operation_inside_a_branch_is_named_too():
    graph = staged(
        lambda x: ops.cond(x.tensor[0] > 0, [kind("a")], lambda: ops.tanh(x.tensor), lambda: x),
        kind("a"),
    )
    edited = graph.with_operations(with_unknown(one) for one in graph.operations)
    with pytest.raises(UnknownOperationError, match=r"mo\.foo"):
        evaluate(edited, [floats(2)])


def with_unknown(operation):
    """The operation, with an unknown one in place of each tanh of its blocks."""
    blocks = [
        replace(
            block,
            operations=tuple(
                replace(one, kind="mo.foo") if one.kind == "mo.tanh" else one
                for one in block.operations
            ),
        )
        for block in operation.blocks
    ]
    return replace(operation, blocks=tuple(blocks))


def test_a_random_operation_is_refused_by_name():
    def dropped(x):
        ops.random.set_seed(1)
        return x.tensor * ops.random.uniform(TensorType(DType.float32, [3], CPU))

    with pytest.raises(RandomOperationError, match=r"mo.random.uniform .*dropout at inference\?"):
        evaluate(staged(dropped, kind(3)), [floats(3)])


def test_what_reaches_no_output_is_not_evaluated_and_may_be_unknown():
    graph = staged(lambda x: x.tensor + 1, kind("a"))
    stray = Operation(
        "mo.foo", (graph.inputs[0].number,), (Value(999, "tensor", "float32", ("a",)),)
    )
    edited = graph.with_operations([stray, *graph.operations])
    assert evaluate(edited, [floats(2)]).outputs[0].shape == (2,)


def test_an_operation_that_fails_is_named_with_its_place():
    graph = staged(
        lambda x, i: ops.gather(x.tensor, i.tensor, 0), kind(3), kind(1, dtype=DType.int64)
    )
    with pytest.raises(
        GraphError, match=r"mo.gather \(test_evaluate.py:\d+\) fails: index 5 is out"
    ):
        evaluate(graph, [floats(3), np.array([5])])


def test_a_custom_operation_needs_a_meaning_by_its_symbol():
    graph = of(kind="mo.custom", attributes={"symbol": "mine"})
    with pytest.raises(UnknownOperationError, match="not know: the custom operation mine"):
        evaluate(graph, [floats(2)])


def test_a_custom_operation_can_be_given_a_meaning():
    @custom("mine")
    def doubled(scope, x):
        return x * scope["parameters"]["factor"]

    graph = of(kind="mo.custom", attributes={"symbol": "mine", "parameters": {"factor": 3}})
    x = floats(2)
    try:
        assert np.array_equal(evaluate(graph, [x]).outputs[0], x.astype(float) * 3)
    finally:
        del CUSTOM["mine"]


def test_values_on_the_way_can_be_kept():
    graph = staged(lambda x: ops.tanh(x.tensor * 2), kind("a"))
    product = next(one.results[0].number for one in graph.operations if one.kind == "mo.mul")
    x = floats(3)
    kept = evaluate(graph, [x], keep=[product]).kept
    assert np.array_equal(kept[product], x.astype(float) * 2)


def test_a_buffer_is_returned_changed_and_the_callers_array_is_left_alone():
    def written(cache, x):
        ops.buffer_store_slice(cache.buffer, x.tensor, [(slice(1, 2), 1), slice(None)])
        return ops.buffer_load(cache.buffer)

    graph = staged(written, buffer("a", 3), kind(1, 3))
    cache, row = np.zeros((2, 3), np.float32), floats(1, 3)
    found = evaluate(graph, [cache, row])
    assert np.array_equal(found.buffers[0], np.concatenate([np.zeros((1, 3)), row]))
    assert np.array_equal(found.outputs[0], found.buffers[0])
    assert not cache.any()


def test_stores_and_loads_happen_in_their_order():
    def ordered(cache):
        before = ops.buffer_load(cache.buffer)
        ops.buffer_store(cache.buffer, before * 3)
        between = ops.buffer_load(cache.buffer)
        ops.buffer_store_slice(cache.buffer, before[:1], [(slice(1, 2), 1)])
        return before, between, ops.buffer_load(cache.buffer)

    graph = staged(ordered, buffer(2))
    found = evaluate(graph, [np.array([1, 2], np.float32)])
    assert [out.tolist() for out in found.outputs] == [[1, 2], [3, 6], [3, 1]]
    assert found.buffers[0].tolist() == [3, 1]


def test_a_store_that_no_output_reads_happens_all_the_same():
    def stored(cache, x):
        ops.buffer_store(cache.buffer, x.tensor)
        return x.tensor

    graph = staged(stored, buffer("a"), kind("a"))
    x = floats(3)
    assert np.array_equal(evaluate(graph, [np.zeros(3, np.float32), x]).buffers[0], x)


def test_too_large_a_graph_is_told_before_it_is_evaluated():
    graph = staged(lambda x: x.tensor @ ops.transpose(x.tensor, 0, 1), kind("a", 4))
    with pytest.raises(TooLargeError, match=r"evaluating made takes \d+\.\d GB, and 0\.1 GB"):
        evaluate(graph, [floats(20_000, 4)], limit=10**8)


def test_weights_are_widened_once_for_several_evaluations():
    weight = Weight("w", DType.float32, [3], CPU)
    graph = staged(lambda x: x.tensor * weight, kind(3))
    weights = Weights({"w": floats(3)})
    evaluate(graph, [floats(3)], weights)
    first = weights.get("w", np.dtype(np.float64))
    evaluate(graph, [floats(3)], weights)
    assert weights.get("w", np.dtype(np.float64)) is first


def test_a_place_is_short_in_a_sentence():
    assert str(Place("/home/me/model.py", 7, "x = y")) == "model.py:7"
