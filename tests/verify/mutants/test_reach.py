from max.dtype import DType
from max.graph import ops

from tests.verify.graph.helpers import CPU, buffer, kind, staged
from verify.mutants.change import SHAPES
from verify.mutants.reach import reach


def stages(graph, taps):
    found = reach(graph, taps)
    return {operation.kind: found.stage(operation) for operation in graph.operations}


def test_an_operation_belongs_to_the_first_tap_that_depends_on_it():
    graph = staged(lambda x: (t := ops.tanh(x.tensor), ops.exp(ops.sin(t))), kind("a"))
    taps = dict(zip(("first", "second"), ([number] for number in graph.outputs), strict=True))
    assert stages(graph, taps) == {"mo.tanh": "first", "mo.sin": "second", "mo.exp": "second"}


def test_the_order_of_execution_is_that_of_the_taps_not_of_the_graph():
    graph = staged(lambda x: (t := ops.tanh(x.tensor), ops.exp(t)), kind("a"))
    first, second = graph.outputs
    assert stages(graph, {"b": [second], "a": [first]})["mo.tanh"] == "b"


def test_a_shared_operation_reaches_every_tap_that_reads_it():
    graph = staged(lambda x: (ops.exp(t := ops.tanh(x.tensor)), ops.sin(t)), kind("a"))
    found = reach(graph, {"exp": graph.outputs[:1], "sin": graph.outputs[1:]})
    tanh = next(one for one in graph.operations if one.kind == "mo.tanh")
    assert found.of(tanh) == ("exp", "sin")


def test_what_no_tap_shows_has_no_stage():
    graph = staged(lambda x: (ops.tanh(x.tensor), ops.exp(x.tensor)), kind("a"))
    assert stages(graph, {"tanh": graph.outputs[:1]}) == {"mo.tanh": "tanh", "mo.exp": None}


def test_what_a_branch_reads_from_outside_reaches_what_the_branch_returns():
    def branches(x):
        outside = ops.tanh(x.tensor)
        return ops.cond(x.tensor[0] > 0, [kind("a")], lambda: outside + 1, lambda: outside)[0]

    graph = staged(branches, kind("a"))
    assert stages(graph, {"out": graph.outputs})["mo.tanh"] == "out"


def test_what_is_stored_reaches_what_is_loaded_afterwards():
    def stored(cache, x):
        ops.buffer_store(cache.buffer, ops.tanh(x.tensor))
        return ops.buffer_load(cache.buffer) + ops.constant(1.0, DType.float32, CPU)

    graph = staged(stored, buffer("a"), kind("a"))
    assert stages(graph, {"out": graph.outputs})["mo.tanh"] == "out"


def test_every_weight_of_a_model_belongs_to_its_own_module(gpt2):
    """A forced graph is cut at every module, so that the names of weights tell their stages."""
    graph = gpt2.forced.graph
    found = reach(graph, gpt2.forced.taps)
    for operation in graph.operations:
        if operation.kind == "mo.constant.external":
            module = operation.attributes["name"].rpartition(".")[0]
            assert module in found.of(operation)
            assert len(found.of(operation)) <= 2  # the embedding is the head's too


def test_every_operation_of_impls_model_has_a_stage(gpt2):
    found = reach(gpt2.forced.graph, gpt2.forced.taps)
    lost = [one.kind for one in gpt2.forced.graph.operations if found.stage(one) is None]
    assert set(lost) <= set(SHAPES)
