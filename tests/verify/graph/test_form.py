import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from max.dtype import DType
from max.graph import ops

from tests.verify.graph.helpers import CPU, floats, kind, staged
from verify.graph.errors import UnresolvedSizeError
from verify.graph.evaluate import evaluate
from verify.graph.form import Compound, Operation, fingerprint, kinds, resolved, same, show, walk


def twice(x):
    return x.tensor * 2 + x.tensor[1:2]


def test_a_size_is_a_number_a_symbol_or_an_expression_of_them():
    size = Compound("add", (Compound("mul_no_wrap", ("batch", 3)), -1))
    assert resolved(size, {"batch": 4}) == 11
    assert str(size) == "((batch * 3) + -1)"


@pytest.mark.parametrize(
    ("operator", "operands", "number"),
    [("div", (7, 2), 3), ("ceil_div_s", (7, 2), 4), ("max", (3, 5), 5), ("rem_s", (-7, 2), -1)],
)
def test_the_operators_of_sizes(operator, operands, number):
    assert resolved(Compound(operator, operands), {}) == number


def test_a_size_without_a_number_is_named():
    with pytest.raises(UnresolvedSizeError, match="the size past is not given by any input"):
        resolved(Compound("add", ("past", 1)), {"sequence": 3})


def test_an_operator_that_is_not_known_is_named():
    with pytest.raises(UnresolvedSizeError, match="uses shl, which is not known"):
        resolved(Compound("shl", (1, 2)), {})


def test_staging_the_same_function_twice_gives_the_same_graph():
    assert same(staged(twice, kind("a", 3)), staged(twice, kind("a", 3)))


@pytest.mark.parametrize(
    "other",
    [
        lambda x: x.tensor * 2.0000002 + x.tensor[1:2],
        lambda x: x.tensor * 2 + x.tensor[:1],
        lambda x: x.tensor[1:2] + x.tensor * 2,
        lambda x: ops.sigmoid(x.tensor * 2 + x.tensor[1:2]),
    ],
)
def test_another_function_gives_another_graph(other):
    assert not same(staged(twice, kind("a", 3)), staged(other, kind("a", 3)))


def test_two_long_constants_of_one_shape_are_told_apart():
    def with_constant(array):
        return lambda x: x.tensor + ops.constant(array, device=CPU)

    one = np.arange(64, dtype=np.float32)
    other = one.copy()
    other[33] += 1e-5
    graphs = [staged(with_constant(array), kind(64)) for array in (one, other)]
    assert show(graphs[0], places=False) == show(graphs[1], places=False)
    assert not same(*graphs)


def test_a_listing_has_a_line_for_each_operation_with_its_place():
    graph = staged(twice, kind("a", 3))
    lines = show(graph).splitlines()
    assert lines[0] == "made(%0: float32[a, 3])"
    assert len(lines) == len(graph.operations) + 2
    assert any("= mo.mul(" in line and "# test_form.py:" in line for line in lines)
    assert lines[-1].strip().startswith("return %")


def test_values_are_numbered_in_their_order_whatever_else_the_program_holds():
    assert fingerprint(staged(twice, kind("a", 3))) == fingerprint(staged(twice, kind("a", 3)))


def test_an_edit_shares_the_rest_and_leaves_the_graph_as_it_was():
    graph = staged(lambda x: x.tensor * 3 + 1, kind(4))
    swapped = [
        replace(one, kind="mo.sub") if one.kind == "mo.add" else one for one in graph.operations
    ]
    edited = graph.with_operations(swapped)
    x = floats(4)
    assert np.array_equal(evaluate(graph, [x]).outputs[0], x.astype(float) * 3 + 1)
    assert np.array_equal(evaluate(edited, [x]).outputs[0], x.astype(float) * 3 - 1)


def test_kinds_counts_what_blocks_and_callees_hold_too():
    graph = staged(
        lambda x: ops.while_loop(
            [ops.constant(0, DType.int32, CPU), x.tensor],
            lambda i, _: i < 3,
            lambda i, y: [i + 1, y * y],
        )[1],
        kind("a"),
    )
    assert kinds(graph)["mo.mul"] == 1
    assert {"mo.while", "mo.mul"} <= {operation.kind for operation in walk(graph.block)}


def test_an_operation_is_equal_to_itself_alone():
    assert Operation("mo.add") != Operation("mo.add")


def test_a_pickled_graph_is_evaluated_where_neither_max_nor_torch_is_imported(tmp_path):
    graph = staged(lambda x: ops.softmax(x.tensor.cast(DType.bfloat16) + 1), kind("a", 3))
    file = tmp_path / "graph"
    file.write_bytes(pickle.dumps(graph))
    code = f"""
import pickle, sys, pathlib, numpy
from verify.graph.evaluate import evaluate
from verify.graph.form import show
graph = pickle.loads(pathlib.Path({str(file)!r}).read_bytes())
print(evaluate(graph, [numpy.zeros((2, 3), numpy.float32)], precision="declared").outputs[0][0, 0])
show(graph)
assert not {{"max", "torch", "transformers"}} & sys.modules.keys()
"""
    made = subprocess.run(
        [sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=False
    )
    assert (made.stdout, made.stderr) == ("0.333984\n", "")
