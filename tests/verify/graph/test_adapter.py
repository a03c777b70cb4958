"""What the adapter reads of MAX's private interface, each name; and what it makes of it."""

import importlib
import inspect
import math

import max.graph
import numpy as np
import pytest
from max import _core, mlir
from max._core.dialects import m, mosh, rmo
from max.dtype import DType
from max.graph import Graph, Module, ops

from tests.verify.graph.conftest import stage_all
from tests.verify.graph.families import paged
from tests.verify.graph.helpers import CPU, floats, kind, staged
from verify.graph.adapter import noting, read
from verify.graph.errors import GraphError
from verify.graph.evaluate import evaluate
from verify.graph.form import Compound, weight_names

# ---- the contract: every private name that the adapter uses -------------------------------------


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (_core, "lower"),
        (rmo.passes, "LegalizeRMOOps"),
        (_core.graph, "source_locations_bytecode"),
        (_core.graph, "_buffer_from_constant_attr"),
        (_core.Attribute, "_from_cmlir"),
        (_core.Type, "_from_cmlir"),
        (mosh, "ShapeAttr"),
        (mosh, "ShapeType"),
        (m, "ArrayElementsAttr"),
        (mlir, "Module"),
        (mlir, "ArrayAttr"),
        (mlir, "BoolAttr"),
        (mlir, "DictAttr"),
        (mlir, "IntegerAttr"),
        (mlir, "StringAttr"),
        (max.graph.Module(), "mlir_module"),
        (max.graph.Module().mlir_module, "clone"),
        (max.graph.Module().mlir_module, "context"),
        (max.graph.AlgebraicDim, "apply"),
        (max.graph.Dim, "from_mlir"),
        (max.graph.Shape, "from_mlir"),
        (max.graph.Type, "from_mlir"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_max_has_what_the_adapter_uses(owner, name):
    assert hasattr(owner, name)


def test_a_graph_knows_its_module():
    with Graph("made", input_types=[kind(3)]) as graph:
        assert graph.module.mlir_module is not None


def test_an_expression_of_sizes_tells_its_operator_and_operands():
    attribute = (max.graph.Dim("a") + 1).attr
    assert attribute.opcode.name == "add"
    assert [str(max.graph.Dim(one)) for one in attribute.operands] == ["a", "1"]


def test_the_module_of_constants_asks_for_each_element_by_one_function():
    literals = importlib.import_module("max.graph.ops.constant")
    assert "index(value, idx)" in inspect.getsource(literals.constant)
    assert literals.index([[1.0, 2.0]], (0, 1)) == 2.0


def test_the_module_of_rms_norm_makes_its_scalars_by_one_function():
    norms = importlib.import_module("max.graph.ops.rms_norm")
    assert inspect.getsource(norms.rms_norm).count("_float32_attr(") == 2


# ---- what is read -------------------------------------------------------------------------------


def test_symbols_and_expressions_of_sizes_are_read():
    graph = staged(lambda x: ops.concat([x.tensor, x.tensor[1:]], axis=0), kind("a", 4))
    assert graph.inputs[0].shape == ("a", 4)
    (result,) = next(one for one in graph.operations if one.kind == "mo.concat").results
    assert isinstance(result.shape[0], Compound)
    assert evaluate(graph, [floats(3, 4)]).outputs[0].shape == (5, 4)


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (DType.float32, [1.5, -math.inf, 0.1]),
        (DType.float64, [0.1, 1e300]),
        (DType.float16, [0.5, 65504.0]),
        (DType.bfloat16, [0.5, 2.0**127]),
        (DType.int64, [-1, 2**62]),
        (DType.uint8, [0, 255]),
        (DType.bool, [True, False]),
    ],
)
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_a_constant_is_read_bit_for_bit(dtype, values, rank):
    literal = [values[0], values, [values, values]][rank]
    graph = staged(lambda: ops.constant(literal, dtype, CPU))
    (found,) = evaluate(graph, [], precision="declared").outputs
    assert found.dtype.name == dtype.name
    assert np.array_equal(found, np.array(literal).astype(found.dtype))


def test_an_array_of_any_size_is_read():
    array = floats(300, 700)
    graph = staged(lambda x: x.tensor + ops.constant(array, device=CPU), kind(700))
    found = evaluate(graph, [np.zeros(700, np.float32)], precision="declared").outputs[0]
    assert np.array_equal(found, array)


def test_a_number_is_remembered_as_it_was_before_it_was_rounded():
    graph = staged(lambda x: x.tensor / math.sqrt(32), kind(1))
    one = np.ones(1, np.float32)
    assert evaluate(graph, [one]).outputs[0] == 1 / math.sqrt(32)
    assert evaluate(graph, [one], precision="declared").outputs[0] == 1 / np.float32(32) ** 0.5


def test_max_cuts_a_number_off_where_it_becomes_bfloat16():
    """ops.constant(0.1, DType.bfloat16) is 0.0996, and the nearest is 0.1001."""
    graph = staged(lambda: ops.constant(0.1, DType.bfloat16, CPU))
    (cut,) = evaluate(graph, [], precision="declared").outputs
    nearest = np.float64(0.1).astype(cut.dtype)
    assert float(nearest) - float(cut) == 2.0**-11
    assert evaluate(graph, []).outputs[0] == 0.1


def test_the_epsilon_of_rms_norm_is_remembered_too():
    graph = staged(lambda x, w: ops.rms_norm(x.tensor, w.tensor, 1e-6), kind("a", 3), kind(3))
    x = floats(2, 3).astype(np.float64) * 1e-3
    found = evaluate(graph, [x, np.ones(3)]).outputs[0]
    assert np.allclose(found, x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6), rtol=1e-14)


def test_without_notes_a_constant_is_what_the_graph_holds():
    program = Module()
    with Graph("made", input_types=[], module=program) as graph:
        graph.output(ops.constant(0.1, DType.float32, CPU))
    (found,) = read(program)
    assert evaluate(found, []).outputs[0] == np.float64(np.float32(0.1))


def test_two_numbers_that_round_to_one_are_taken_as_they_were_rounded():
    near = 0.1 + 1e-12
    graph = staged(
        lambda x: (x.tensor * 0.1, x.tensor * ops.constant([near], DType.float32, CPU)), kind(1)
    )
    found = evaluate(graph, [np.ones(1, np.float32)]).outputs
    assert found[0] == found[1] == np.float64(np.float32(0.1))


def test_an_array_in_float32_is_not_taken_for_rounded_numbers():
    held = np.array([0.1, 0.3], np.float32)
    graph = staged(lambda x: x.tensor * 0.1 + ops.constant(held, device=CPU), kind(2))
    found = evaluate(graph, [np.zeros(2, np.float32)]).outputs[0]
    assert np.array_equal(found, held.astype(np.float64))


def test_noting_ends_with_its_context():
    literals = importlib.import_module("max.graph.ops.constant")
    before, traced = literals.index, Graph.debug.source_tracebacks
    with noting():
        assert literals.index is not before
    assert (literals.index, Graph.debug.source_tracebacks) == (before, traced)


def test_an_operation_remembers_the_line_that_made_it():
    graph = staged(lambda x: ops.tanh(x.tensor), kind(3))
    place = graph.operations[-1].place
    assert place.file == __file__
    assert "ops.tanh(x.tensor)" in place.code
    assert str(place) == f"test_adapter.py:{place.line}"


def test_places_can_be_left_out():
    graph = staged(lambda x: ops.tanh(x.tensor), kind(3), places=False)
    assert graph.operations[-1].place is None


def test_the_program_is_left_as_it_was():
    program = Module()
    with Graph("made", input_types=[kind("a", 3)], module=program) as graph:
        graph.output(graph.inputs[0].tensor * 2)
    before = str(program.mlir_module.asm())
    read(program)
    assert str(program.mlir_module.asm()) == before


def test_a_graph_is_read_as_well_as_a_program():
    with Graph("made", input_types=[kind(3)]) as graph:
        graph.output(graph.inputs[0].tensor + 1)
    (found,) = read(graph)
    assert found.name == "made"
    assert found.version == importlib.metadata.version("max")


def test_weights_are_known_by_their_names():
    weight = max.graph.Weight("w.one", DType.float32, [2, 3], CPU)
    graph = staged(lambda x: x.tensor @ weight, kind("a", 2))
    assert {name: value.shape for name, value in weight_names(graph).items()} == {"w.one": (2, 3)}


def test_what_max_itself_cannot_lower_is_one_sentence():
    """MAX 26.7 declares 3 numbers for 10, 7, 4, 1."""
    with pytest.raises(GraphError, match="MAX cannot lower the graph: statically known dimensions"):
        staged(lambda: ops.range(10, 0, -3, dtype=DType.int32, device=CPU))


def test_a_parameter_of_a_custom_operation_is_remembered_as_it_was_written():
    norm = next(one for one in paged.FAMILIES if one.name == "norm keys of heads 1.0")
    (graph,) = stage_all([norm]).graphs.values()
    (operation,) = (one for one in graph.operations if one.kind == "mo.custom")
    rounded, exact = operation.attributes["parameters"], operation.attributes["exact"]["parameters"]
    assert float(rounded["epsilon"]) == float(np.float32(paged.EPSILON)) != paged.EPSILON
    assert float(exact["epsilon"]) == paged.EPSILON
    assert exact["per_head_norm"] == rounded["per_head_norm"]
