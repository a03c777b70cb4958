import numpy as np
from max.dtype import DType
from max.graph import ops

from tests.verify.graph.helpers import CPU, buffer, floats, kind, staged
from verify.graph.evaluate import evaluate
from verify.graph.schedule import cut, scheduled


def kinds_of(graph, **more):
    return [operation.kind for operation in scheduled(graph, graph.block, **more).operations]


def test_what_no_output_needs_is_left_out():
    graph = staged(lambda x: (ops.tanh(x.tensor), ops.exp(x.tensor)), kind("a"))
    assert kinds_of(graph) == ["mo.tanh", "mo.exp"]
    assert kinds_of(graph.with_operations(graph.operations, graph.outputs[1:])) == ["mo.exp"]


def test_what_is_kept_is_needed():
    graph = staged(lambda x: (ops.tanh(x.tensor), ops.exp(x.tensor)), kind("a"))
    cut = graph.with_operations(graph.operations, graph.outputs[1:])
    assert kinds_of(cut, kept=frozenset(graph.outputs[:1])) == ["mo.tanh", "mo.exp"]


def test_a_value_ends_with_its_last_reader():
    graph = staged(lambda x: ops.exp(ops.tanh(x.tensor)) + x.tensor, kind("a"))
    schedule = scheduled(graph, graph.block)
    ends = {
        number: operation.kind
        for operation, numbers in zip(schedule.operations, schedule.last_read, strict=True)
        for number in numbers
    }
    tanh = next(one.results[0].number for one in schedule.operations if one.kind == "mo.tanh")
    assert ends[tanh] == "mo.exp"
    assert ends[graph.inputs[0].number] == "mo.add"
    assert not set(graph.outputs) & ends.keys()


def test_what_a_block_reads_from_outside_lives_as_long():
    def branches(x):
        outside = ops.tanh(x.tensor)
        made = ops.cond(x.tensor[0] > 0, [kind("a")], lambda: outside + 1, lambda: outside)
        return made[0]

    graph = staged(branches, kind("a"))
    schedule = scheduled(graph, graph.block)
    tanh = next(one.results[0].number for one in schedule.operations if one.kind == "mo.tanh")
    (where,) = [i for i, numbers in enumerate(schedule.last_read) if tanh in numbers]
    assert schedule.operations[where].kind == "mo.if"


def test_a_write_inside_a_branch_happens():
    def stored(cache, x):
        def write():
            ops.buffer_store(cache.buffer, x.tensor)

        ops.cond(ops.constant(True, DType.bool, CPU), None, write, lambda: None)
        return x.tensor

    assert "mo.if" in kinds_of(staged(stored, buffer("a"), kind("a")))


def test_a_graph_can_be_cut_down_to_a_value_on_the_way():
    graph = staged(lambda x: ops.exp(ops.tanh(x.tensor) + 1), kind("a"))
    tanh = next(one.results[0].number for one in graph.operations if one.kind == "mo.tanh")
    part = cut(graph, [tanh])
    assert [operation.kind for operation in part.operations] == ["mo.tanh"]
    assert graph.values()[tanh].shape == ("a",)
    x = floats(3)
    assert np.array_equal(evaluate(part, [x]).outputs[0], np.tanh(x.astype(float)))
