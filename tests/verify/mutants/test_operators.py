"""What each kind of mutant computes, on small graphs of MAX, beside its formula."""

import numpy as np
import pytest
from max.dtype import DType
from max.graph import ops
from scipy import special

from tests.verify.graph.helpers import CPU, kind, staged
from tests.verify.mutants.helpers import close, of, results
from verify.mutants.generate import mutants

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


def f32(value):
    return ops.constant(value, DType.float32, CPU)


def test_an_operand_is_dropped():
    a, b = normal(3), normal(3)
    found = results(lambda a, b: a.tensor - b.tensor, [kind(3), kind(3)], [a, b], "operand")
    assert close(found["operand 2 left out"], a)
    assert close(found["operand 1 left out"], b)


def test_a_whole_operation_is_left_out():
    x = normal(3, 4)
    found = results(lambda x: ops.softmax(x.tensor), [kind(3, 4)], [x], "operation")
    (left,) = found.values()
    assert close(left, x)


def test_operands_change_places_where_that_matters():
    a, b = normal(3), normal(3)
    types = [kind(3), kind(3)]
    (found,) = results(lambda a, b: a.tensor / b.tensor, types, [a, b], "swap").values()
    assert close(found, b / a)
    assert not results(lambda a, b: a.tensor + b.tensor, types, [a, b], "swap")


def test_the_branches_of_a_choice_change_places():
    condition, a, b = np.array([True, False, True]), normal(3), normal(3)
    types = [kind(3, dtype=DType.bool), kind(3), kind(3)]
    found = results(
        lambda c, a, b: ops.where(c.tensor, a.tensor, b.tensor), types, [condition, a, b], "swap"
    )
    (swapped,) = found.values()
    assert close(swapped, np.where(condition, b, a))


def test_another_value_of_the_same_shape_takes_an_operands_place():
    a, b = normal(3), normal(3)
    found = results(lambda a, b: ops.exp(a.tensor) * b.tensor, [kind(3), kind(3)], [a, b], "value")
    assert any(close(array, np.exp(a) * a) for array in found.values())
    assert any(close(array, np.exp(b) * b) for array in found.values())


def test_a_value_that_a_given_activation_stands_for_is_no_other_value(gpt2):
    """Where the graph is not forced both are one."""
    given = gpt2.forced.given
    assert {tap for _, tap in given.values()} == set(gpt2.candidate.given_taps)


@pytest.mark.parametrize(
    ("build", "instead"),
    [
        (lambda a, b: a.tensor + b.tensor, lambda a, b: a - b),
        (lambda a, b: a.tensor * b.tensor, lambda a, b: a / b),
        (lambda a, b: ops.max(a.tensor, b.tensor), np.minimum),
    ],
)
def test_another_operator(build, instead):
    a, b = normal(3), normal(3)
    found = results(build, [kind(3), kind(3)], [a, b], "operator")
    assert any(close(array, instead(a, b)) for array in found.values())


def test_a_comparison_takes_the_border_in_or_leaves_it_out():
    a = np.arange(3)
    types = [kind(3, dtype=DType.int64)] * 2
    (found,) = results(lambda a, b: a.tensor > b.tensor, types, [a, a], "operator").values()
    assert found.all()


def test_each_activation_becomes_each_other_one():
    x = normal(5)
    found = results(lambda x: ops.gelu(x.tensor, approximate="tanh"), [kind(5)], [x], "activation")
    assert close(found["gelu in its place"], x * (1 + special.erf(x / np.sqrt(2))) / 2)
    assert close(found["relu in its place"], np.maximum(x, 0))
    assert close(found["tanh in its place"], np.tanh(x))
    assert len(found) == 6


@pytest.mark.parametrize(
    ("old", "others"),
    [
        (1e-5, [1e-4, 1e-6, 0.0]),
        (0.044715, [0.08943, 0.0223575, -0.044715, 1.0, 0.044715**2]),
    ],
)
def test_another_number(old, others):
    x = normal(3)
    found = results(lambda x: x.tensor + f32(old), [kind(3)], [x], "number")
    assert all(any(close(array, x + other) for array in found.values()) for other in others)


def test_a_scale_is_computed_from_another_size_of_the_model():
    x = normal(2, 32)
    found = results(lambda x: x.tensor / f32(np.sqrt(32.0)), [kind(2, 32)], [x], "number")
    assert close(found["1.41421 in place of 5.65685, as if 32 were 2"], x / np.sqrt(2))


@pytest.mark.parametrize("fill", [-np.inf, -1e9])
def test_a_masks_fill_becomes_weaker(fill):
    x = normal(3)
    found = results(lambda x: x.tensor + f32(fill), [kind(3)], [x], "mask")
    assert close(found[f"-10000 in place of {fill:g}"], x - 1e4)
    assert close(found[f"0 in place of {fill:g}"], x)


def test_a_band_gets_other_limits():
    x = normal(4, 4)
    found = results(
        lambda x: ops.band_part(x.tensor, num_lower=None, num_upper=0), [kind(4, 4)], [x], "mask"
    )
    wider = found["a band of -1 below and 1 above the diagonal in place of -1 and 0"]
    assert close(wider, np.tril(x, 1))
    assert close(
        found["a band of 0 below and -1 above the diagonal in place of -1 and 0"], np.triu(x)
    )
    outside = "the inside of the band in place of the outside, or the reverse"
    assert close(found[outside], np.triu(x, 1))


def test_the_condition_of_a_mask_is_shifted():
    condition, x = np.tril(np.ones((4, 4), bool)), normal(4, 4)
    types = [kind(4, 4, dtype=DType.bool), kind(4, 4)]
    found = results(
        lambda c, x: ops.where(c.tensor, x.tensor, ops.exp(x.tensor)), types, [condition, x], "mask"
    )
    shifted = np.where(np.roll(condition, 1, axis=1), x, np.exp(x))
    assert close(found["the condition shifted by 1 along axis 1"], shifted)
    assert len(found) == 4


def test_axes_come_in_another_order_and_are_laid_out_anew():
    x = normal(2, 3, 4)
    found = results(lambda x: ops.permute(x.tensor, [1, 0, 2]), [kind(2, 3, 4)], [x], "permutation")
    assert close(found["not transposed"], x.reshape(3, 2, 4))
    other = x.transpose(1, 2, 0).reshape(3, 2, 4)
    assert close(found["axes [1, 2, 0] in place of [1, 0, 2]"], other)


def test_an_axis_is_split_and_merged_the_other_way_round():
    x = normal(5, 12)
    found = results(lambda x: ops.reshape(x.tensor, [5, 3, 4]), [kind(5, 12)], [x], "grouping")
    (split,) = found.values()
    assert close(split, x.reshape(5, 4, 3).transpose(0, 2, 1))
    y = normal(5, 3, 4)
    found = results(lambda y: ops.reshape(y.tensor, [5, 12]), [kind(5, 3, 4)], [y], "grouping")
    (merged,) = found.values()
    assert close(merged, y.transpose(0, 2, 1).reshape(5, 12))


def test_heads_change_places():
    x = normal(5, 12)
    found = results(lambda x: ops.reshape(x.tensor, [5, 3, 4]), [kind(5, 12)], [x], "order")
    assert close(found["the first and the last of axis 1 exchanged"], x.reshape(5, 3, 4)[:, ::-1])


def test_parts_are_joined_in_reverse_and_in_turns():
    a, b = normal(2, 3), normal(2, 3)
    found = results(
        lambda a, b: ops.concat([a.tensor, b.tensor], axis=-1), [kind(2, 3)] * 2, [a, b], "order"
    )
    assert close(found["the parts in reverse order"], np.concatenate([b, a], -1))
    in_turns = np.stack([a, b], -1).reshape(2, 6)
    assert close(found["the parts take turns, element by element"], in_turns)


def test_parts_of_a_split_change_places_and_take_turns():
    x = normal(2, 6)
    found = results(
        lambda x: ops.exp(ops.split(x.tensor, [3, 3], axis=-1)[0]), [kind(2, 6)], [x], "order"
    )
    assert close(found["the parts in reverse order"], np.exp(x[:, 3:]))
    assert close(found["elements go to the parts in turn"], np.exp(x[:, ::2]))


def test_a_slice_lies_elsewhere():
    x = normal(2, 6)
    found = results(lambda x: x.tensor[:, 2:4], [kind(2, 6)], [x], "slice")
    assert close(found["3:5 of axis 1 in place of 2:4, one later"], x[:, 3:5])
    assert close(found["1:3 of axis 1 in place of 2:4, one earlier"], x[:, 1:3])
    assert close(found["4:6 of axis 1 in place of 2:4, another part"], x[:, 4:])
    assert close(found["1:5:3 of axis 1 in place of 2:4, in steps of 3"], x[:, 1:5:3])


def test_rows_of_a_table_are_taken_one_off():
    table, ids = normal(5, 3), np.array([[4, 0, 2]])
    types = [kind(5, 3), kind(1, 3, dtype=DType.int64)]
    found = results(
        lambda t, i: ops.gather(t.tensor, i.tensor, axis=0), types, [table, ids], "index"
    )
    assert close(found["each index +1"], table[(ids + 1) % 5])
    assert close(found["each index -1"], table[(ids - 1) % 5])
    assert close(found["the index of the place before"], table[[[2, 4, 0]]])


def test_positions_begin_one_later():
    x = normal(4)
    found = results(
        lambda x: ops.range(0, 4, 1, out_dim=4, dtype=DType.float32, device=CPU) * x.tensor,
        [kind(4)], [x], "position",
    )  # fmt: skip
    assert close(found["begins one later"], np.arange(1, 5) * x)
    assert close(found["runs backwards"], np.arange(4)[::-1] * x)


def test_a_table_in_the_graph_becomes_another():
    table, x = [1.0, 0.1, 0.01], normal(3)
    found = results(lambda x: x.tensor * f32(table), [kind(3)], [x], "table")
    assert close(found["the table [3] to the power of 0.9"], x * np.power(table, 0.9))
    assert close(found["the table [3] backwards"], x * table[::-1])
    assert close(found["the table [3] shifted by one"], x * np.roll(table, 1))
    assert close(found["the table [3] doubled"], x * np.array(table) * 2)


def test_a_softmax_runs_along_another_axis():
    x = normal(3, 4)
    (found,) = results(lambda x: ops.softmax(x.tensor), [kind(3, 4)], [x], "axis").values()
    assert close(found, special.softmax(x, axis=0))


def test_a_mean_becomes_a_sum():
    x = normal(3, 4)
    found = results(lambda x: ops.mean(x.tensor, axis=-1), [kind(3, 4)], [x], "reduction")
    assert close(found["add in its place"], x.sum(-1, keepdims=True))


def test_a_layer_norm_has_a_part_wrong():
    x, gain, bias, epsilon = normal(3, 8), normal(8), normal(8), 1e-5
    types = [kind(3, 8), kind(8), kind(8)]
    found = results(
        lambda x, g, b: ops.layer_norm(x.tensor, g.tensor, b.tensor, epsilon),
        types, [x, gain, bias], "norm",
    )  # fmt: skip
    centred = x - x.mean(-1, keepdims=True)
    sizes = {
        "the variance is over one number less": x.var(-1, ddof=1, keepdims=True) + epsilon,
        "epsilon is added outside of the square root": (x.std(-1, keepdims=True) + epsilon) ** 2,
    }
    for name, size in sizes.items():
        assert close(found[name], centred / np.sqrt(size) * gain + bias)
    scale = np.sqrt((x**2).mean(-1, keepdims=True) + epsilon)
    assert close(found["the mean is not taken off"], x / scale * gain + bias)
    plain = centred / np.sqrt(x.var(-1, keepdims=True) + epsilon)
    assert close(found["the gain is left out"], plain + bias)
    assert close(found["the bias is left out"], plain * gain)


def test_the_epsilon_of_a_norm_is_a_number_like_others():
    x, weight = normal(3, 8), normal(8)
    found = results(
        lambda x, w: ops.rms_norm(x.tensor, w.tensor, 1e-5, 0.0, multiply_before_cast=True),
        [kind(3, 8), kind(8)], [x, weight], "number",
    )  # fmt: skip
    scale = np.sqrt((x**2).mean(-1, keepdims=True) + 1e-4)
    assert close(found["epsilon 0.0001 in place of 1e-05"], x / scale * weight)


def weight(name, *shape):
    return ops.constant_external(name, kind(*shape))


def test_another_weight_of_the_same_shape_and_the_same_one_laid_out_otherwise():
    held = {name: normal(3, 3) for name in ("0.a", "0.b", "1.a")}

    def build(x):
        made = [x.tensor + ops.permute(weight(name, 3, 3), [1, 0]) for name in held]
        return sum(made[1:], made[0])

    _, found = of(build, kind(3, 3), kind="weight")
    said = [mutant.change.found for mutant in found]
    assert "1.a in place of 0.a" in said
    assert "0.b in place of 0.a" in said
    assert "0.a transposed" in said
    assert "0.a with the first and the last place of axis 0 exchanged" in said
    x = normal(3, 3)
    whole = x * 3 + sum(array.T for array in held.values())
    found = results(build, [kind(3, 3)], [x], "weight", held)
    assert close(found["1.a in place of 0.a"], whole - held["0.a"].T + held["1.a"].T)
    assert close(found["0.a transposed"], whole - held["0.a"].T + held["0.a"])


def test_a_result_is_cast_to_fewer_bits_and_back():
    _, found = of(lambda x: ops.exp(x.tensor), kind(3), kind="cast")
    said = {mutant.change.found for mutant in found}
    assert said == {"its result rounded to float16", "its result rounded to bfloat16"}
    assert all(
        [operation.kind for operation in mutant.change.operations]
        == ["mo.exp", "mo.cast", "mo.cast"]
        for mutant in found
    )


def test_a_model_of_16_bits_is_cast_to_8():
    graph = staged(lambda x: ops.exp(x.tensor), kind(3))
    found = mutants(graph, {"out": graph.outputs}, declared="bfloat16")
    said = {mutant.change.found for mutant in found if mutant.kind == "cast"}
    assert said == {"its result rounded to float8_e4m3fn", "its result rounded to float8_e5m2"}


def test_shapes_are_left_alone():
    graph = staged(lambda x: x.tensor + f32(2.0), kind("batch", 3))
    _, found = of(lambda x: x.tensor + f32(2.0), kind("batch", 3))
    assert {mutant.operation.kind for mutant in found} == {"mo.add"}
    assert "mo.shape_of" in {operation.kind for operation in graph.operations}
