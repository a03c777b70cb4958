"""Edits: each leaves a graph whose meaning is what its own inputs make of it."""

import numpy as np
import pytest
from max.graph import Dim, ops

from tests.verify.reduce.specimens import CPU, F32, in_numpy, normal, read_back, specimen_of, tensor
from verify.reduce import edits
from verify.reduce.source import in_max, needed


def attention(q, k, v):
    """softmax(q k^T / 2 + mask) v with a mask by positions."""
    length = q.shape[-2]
    position = ops.range(0, length, 1, out_dim=length, dtype=F32, device=CPU)
    ahead = ops.unsqueeze(position, 0) > ops.unsqueeze(position, 1)
    mask = ops.where(ahead, ops.constant(-1e9, F32, CPU), ops.constant(0.0, F32, CPU))
    return ops.softmax(q @ ops.transpose(k, -1, -2) / 2.0 + mask) @ v


@pytest.fixture
def specimen():
    kind = tensor(2, "length", 3)
    return specimen_of(attention, [kind] * 3, [normal(2, 5, 3, seed=n) for n in range(3)])


def kinds(specimen):
    return [one.kind.rpartition(".")[2] for one in needed(specimen.graph)]


def number_of(specimen, word):
    (found,) = [one for one in needed(specimen.graph) if one.kind.endswith(word)]
    return found.results[0].number


def test_a_tidy_graph_repeats_nothing_and_means_the_same(specimen):
    tidy = edits.tidied(specimen)
    assert "broadcast_to" in kinds(specimen)
    assert "broadcast_to" not in kinds(tidy)
    assert np.array_equal(tidy.right(), specimen.right())
    assert np.array_equal(read_back(tidy).right(), specimen.right())


def test_a_large_constant_becomes_a_weight():
    table = normal(9, 9)
    specimen = specimen_of(
        lambda x: x @ ops.constant(table, F32, CPU), [tensor("n", 9)], [normal(2, 9)]
    )
    tidy = edits.tidied(specimen)
    assert "constant_external" in in_max(tidy.graph, "made")
    assert np.array_equal(tidy.right(), specimen.right())


def test_a_value_that_becomes_an_input_takes_what_lies_before_it_along(specimen):
    tidy = edits.tidied(specimen)
    cut = edits.cut(tidy, [number_of(tidy, "softmax")])
    assert kinds(cut) == ["batch_matmul"]
    assert [array.shape for array in cut.arrays] == [(2, 5, 3), (2, 5, 5)]
    np.testing.assert_allclose(cut.right(), tidy.right(), atol=1e-6)


def test_an_input_holds_what_the_graph_means_rounded_to_its_dtype(specimen):
    tidy = edits.tidied(specimen)
    cut = edits.cut(tidy, [number_of(tidy, "softmax")])
    assert cut.arrays[1].dtype == np.float32
    np.testing.assert_allclose(cut.arrays[1].sum(axis=-1), 1, rtol=1e-6)


def test_a_symbol_that_no_input_gives_any_more_is_a_number(specimen):
    mask = edits.returning(edits.tidied(specimen), number_of(specimen, "select"))
    assert mask.arrays == ()
    assert mask.output.shape == (5, 5)
    assert np.array_equal(in_numpy(mask), mask.right())


def test_a_size_that_is_an_expression_is_declared_again():
    specimen = specimen_of(
        lambda x: ops.softmax(ops.reshape(x, [Dim("n") * 2, 3]) * 2.0),
        [tensor("n", 6)],
        [normal(4, 6)],
    )
    cut = edits.cut(edits.tidied(specimen), [number_of(specimen, "mul")])
    assert kinds(cut) == ["rebind", "softmax"] or kinds(cut) == ["softmax"]
    np.testing.assert_allclose(read_back(cut).right(), specimen.right(), rtol=1e-6)


def test_a_window_has_so_many_operations_in_a_row(specimen):
    tidy = edits.tidied(specimen)
    last = needed(tidy.graph)[-1]
    assert kinds(edits.window(tidy, last, 1)) == ["batch_matmul"]
    assert kinds(edits.window(tidy, last, 3)) == ["add", "softmax", "batch_matmul"]
    whole = edits.window(tidy, last, 99)
    assert kinds(whole) == kinds(tidy)


def test_an_operation_that_is_passed_by_gives_what_it_takes(specimen):
    tidy = edits.tidied(specimen)
    divided = number_of(tidy, "div")
    (index,) = edits.passable(tidy, next(o for o in needed(tidy.graph) if o.kind == "mo.div"))
    passed = edits.bypassed(tidy, divided, index)
    assert "div" not in kinds(passed)
    assert not np.allclose(passed.right(), tidy.right())


def test_every_single_edit_makes_a_graph_that_can_be_written_and_evaluated(specimen):
    tidy = edits.tidied(specimen)
    made = [edits.applied(tidy, [edit]) for edit in edits.single(tidy)]
    assert len(made) > len(needed(tidy.graph))
    for one in made:
        assert len(needed(one.graph)) < len(needed(tidy.graph))
        back = read_back(one)
        np.testing.assert_allclose(back.right(), one.right(), rtol=1e-12)


def test_edits_that_have_nothing_to_change_any_more_are_passed_over(specimen):
    tidy = edits.tidied(specimen)
    cut = edits.Edit("softmax", lambda one: edits.cut(one, [number_of(tidy, "softmax")]))
    passed = edits.Edit("div", lambda one: edits.bypassed(one, number_of(tidy, "div"), 0))
    assert kinds(edits.applied(tidy, [cut, passed])) == ["batch_matmul"]
    assert edits.applied(edits.applied(tidy, [cut]), [passed]) is None
