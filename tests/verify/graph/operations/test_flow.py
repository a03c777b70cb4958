from dataclasses import replace

import numpy as np
import pytest
from max.dtype import DType
from max.graph import Graph, Module, Weight, ops

from tests.verify.graph.helpers import CPU, buffer, floats, kind, staged
from verify.graph.adapter import read
from verify.graph.errors import GraphError
from verify.graph.evaluate import evaluate
from verify.graph.form import weight_names
from verify.graph.operations import flow
from verify.graph.understood import refusal


@pytest.mark.parametrize("chosen", [True, False])
def test_a_branch_is_taken_by_its_condition(chosen):
    graph = staged(
        lambda x, c: ops.cond(
            c.tensor, [kind("a")], lambda: x.tensor + 1, lambda: ops.tanh(x.tensor)
        ),
        kind("a"),
        kind(dtype=DType.bool),
    )
    x = floats(3).astype(float)
    found = evaluate(graph, [x, np.array(chosen)]).outputs[0]
    assert np.array_equal(found, x + 1 if chosen else np.tanh(x))


@pytest.mark.parametrize("turns", [0, 1, 5])
def test_a_loop_turns_while_it_says_so(turns):
    graph = staged(
        lambda n, x: ops.while_loop(
            [ops.constant(0, DType.int64, CPU), x.tensor],
            lambda i, _: i < n.tensor,
            lambda i, y: [i + 1, y * 2],
        ),
        kind(dtype=DType.int64),
        kind("a"),
    )
    x = floats(3)
    count, found = evaluate(graph, [np.array(turns), x]).outputs
    assert count == turns
    assert np.array_equal(found, x.astype(float) * 2**turns)


def test_a_loop_without_an_end_is_told(monkeypatch):
    monkeypatch.setattr(flow, "MOST_TURNS", 50)
    graph = staged(
        lambda x: ops.while_loop(x.tensor, lambda y: y[0] > 0, lambda y: [y + 1])[0], kind(1)
    )
    with pytest.raises(GraphError, match="a loop does not end within 50 turns"):
        evaluate(graph, [np.ones(1, np.float32)])


def test_a_buffer_is_written_inside_a_branch():
    def written(cache, x):
        def write():
            ops.buffer_store(cache.buffer, x.tensor)

        ops.cond(x.tensor[0] > 0, None, write, lambda: None)
        return ops.buffer_load(cache.buffer)

    graph = staged(written, buffer(2), kind(2))
    zeros = np.zeros(2, np.float32)
    for first in (1.0, -1.0):
        x = np.array([first, 3], np.float32)
        found = evaluate(graph, [zeros, x]).outputs[0]
        assert found.tolist() == ([1, 3] if first > 0 else [0, 0])


def called_twice():
    """A graph that calls another one twice, each time with weights of its own."""
    program = Module()
    with Graph("whole", input_types=[kind("a", 2)], module=program) as graph:
        with graph.add_subgraph("layer", input_types=[kind("a", 2)]) as layer:
            weight = ops.constant_external("weight", kind(2, 2), is_placeholder=True)
            layer.output(layer.inputs[0].tensor @ weight)
        (first,) = ops.call(layer, graph.inputs[0], prefix="layers.0.")
        (second,) = ops.call(layer, first, prefix="layers.1.")
        graph.output(second)
    return read(program)


def test_a_called_graph_takes_the_weights_of_its_call():
    (graph,) = called_twice()
    weights = {f"layers.{i}.weight": floats(2, 2, seed=i) for i in (0, 1)}
    assert weight_names(graph).keys() == weights.keys()
    x = floats(3, 2)
    wide = [w.astype(float) for w in weights.values()]
    assert np.allclose(evaluate(graph, [x], weights).outputs[0], x @ wide[0] @ wide[1], rtol=1e-14)


def test_an_unknown_operation_in_a_called_graph_is_named_before_anything_is_computed():
    (graph,) = called_twice()
    layer = graph.callees["layer"]
    foreign = tuple(replace(one, kind="mo.foo") for one in layer.operations)
    callees = {"layer": replace(layer, operations=foreign)}
    edited = replace(graph, callees=callees)
    assert refusal(graph) is None
    assert "mo.foo" in str(refusal(edited))


def test_printing_prints_nothing_and_changes_nothing(capfd):
    def printed(x):
        x.tensor.print("here")
        return x.tensor * 2

    graph = staged(printed, kind("a"))
    assert np.array_equal(evaluate(graph, [floats(3)]).outputs[0], floats(3).astype(float) * 2)
    assert capfd.readouterr() == ("", "")


def test_a_named_weight_is_not_a_placeholder():
    weight = Weight("mine", DType.float32, [2], CPU)
    graph = staged(lambda x: x.tensor * weight, kind(2))
    assert set(weight_names(graph, "prefix.")) == {"mine"}
