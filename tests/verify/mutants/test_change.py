import numpy as np
from max.dtype import DType
from max.graph import ops

from tests.verify.graph.helpers import CPU, kind, staged
from tests.verify.mutants.helpers import of
from verify.mutants.change import Source


def f32(value):
    return ops.constant(value, DType.float32, CPU)


def test_a_mutant_changes_one_operation_and_shares_the_others():
    graph, found = of(lambda x: ops.exp(ops.tanh(x.tensor)), kind(3))
    for mutant in found:
        changed = mutant.applied_to(graph).operations
        kept = [operation for operation in changed if operation in graph.operations]
        assert set(graph.operations) - set(kept) == {mutant.operation}
        assert mutant.operation.results[-1].number in {
            value.number for one in mutant.change.operations for value in one.results
        }


def test_mutants_have_ids_of_their_own_that_are_the_same_each_time():
    def build(x):
        return ops.softmax(x.tensor * f32(0.25)) + x.tensor

    first, second = (of(build, kind(3, 4))[1] for _ in range(2))
    ids = [mutant.id for mutant in first]
    assert len(set(ids)) == len(ids)
    assert ids == [mutant.id for mutant in second]
    assert [m.described() for m in first] == [m.described() for m in second]


def test_a_mutant_says_where_its_operation_was_made():
    _, found = of(lambda x: ops.tanh(x.tensor), kind(3))
    assert all("(test_change.py:" in mutant.described() for mutant in found)


def test_what_a_value_is_made_of_is_found_through_what_only_hands_it_on():
    def build(x):
        weight = ops.constant_external("w", kind(3, 2))
        turned = ops.permute(weight, [1, 0])
        return x.tensor * f32(0.5) + turned

    source = Source(staged(build, kind(2, 3)))
    operands = [one.operands for one in source.graph.operations if one.kind in ("mo.mul", "mo.add")]
    (_, half), (_, turned) = operands
    assert source.constant(half) == np.float64(0.5)
    assert source.weight(half) is None
    assert source.weight(turned) == "w"
    assert source.constant(turned) is None


def test_a_constant_is_as_it_was_before_it_was_rounded():
    source = Source(staged(lambda x: x.tensor * f32(0.1), kind(3)))
    operation = next(one for one in source.graph.operations if one.kind == "mo.mul")
    assert source.constant(operation.operands[1]).item() == 0.1


def test_bounds_that_stand_in_the_graph_are_read_and_computed_ones_are_not():
    source = Source(staged(lambda x: x.tensor[:, 1:3], kind("batch", 6)))
    operation = next(one for one in source.graph.operations if one.kind == "mo.slice")
    start, stop, _ = (source.integers(number) for number in operation.operands[1:])
    assert (start, stop) == ((0, 1), ("batch", 3))
    assert source.integers(operation.operands[0]) is None


def test_new_values_take_numbers_that_no_other_value_has():
    graph, found = of(lambda x: ops.softmax(x.tensor), kind(3, 4))
    source = Source(graph)
    for mutant in found:
        made = {v.number for one in mutant.change.operations for v in one.results}
        new = made - {value.number for value in mutant.operation.results}
        assert not new & source.values.keys()
