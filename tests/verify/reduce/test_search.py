"""The search, on a compiler with planted defects: blind, to the very operations."""

import math

import ml_dtypes
import numpy as np
import pytest
from max.dtype import DType
from max.graph import ops

from tests.verify.reduce.planted import PlantedTrials, declared, makers_of, users_of
from tests.verify.reduce.specimens import CPU, F32, normal, specimen_of, tensor
from verify.graph.operations import MEANINGS
from verify.reduce import edits
from verify.reduce.search import PROVEN, NothingWrongError, Search, anchors
from verify.reduce.source import needed
from verify.reduce.trials import TimeUpError

WIDTH, HEADS = 12, 3


def mask_of(length):
    position = ops.range(0, length, 1, out_dim=length, dtype=F32, device=CPU)
    ahead = ops.unsqueeze(position, 0) > ops.unsqueeze(position, 1)
    return ops.where(ahead, ops.constant(-math.inf, F32, CPU), ops.constant(0.0, F32, CPU))


def block(x, index):
    """A block of a transformer; the mask of every second one is made by comparing positions."""
    batch, length = x.shape[0], x.shape[1]

    def weight(name, *shape):
        return ops.constant_external(f"{index}.{name}", tensor(*shape))

    def heads(part):
        return ops.permute(ops.reshape(part, [batch, length, HEADS, WIDTH // HEADS]), [0, 2, 1, 3])

    normed = ops.layer_norm(x, weight("g", WIDTH), weight("b", WIDTH), 1e-5)
    q, k, v = (heads(one) for one in ops.chunk(normed @ weight("qkv", WIDTH, 3 * WIDTH), 3, -1))
    scores = q @ ops.transpose(k, -1, -2) / 2.0
    if index % 2:
        scores = scores + mask_of(length)
    else:
        blocked = ops.broadcast_to(ops.constant(-math.inf, F32, CPU), [length, length])
        scores = scores + ops.band_part(blocked, num_lower=None, num_upper=0, exclude=True)
    mixed = ops.reshape(ops.permute(ops.softmax(scores) @ v, [0, 2, 1, 3]), [batch, length, WIDTH])
    x = x + mixed @ weight("out", WIDTH, WIDTH)
    return x + ops.gelu(x @ weight("up", WIDTH, 2 * WIDTH), "tanh") @ weight(
        "down", 2 * WIDTH, WIDTH
    )


SHAPES = {
    "g": (WIDTH,), "b": (WIDTH,), "qkv": (WIDTH, 3 * WIDTH), "out": (WIDTH, WIDTH),
    "up": (WIDTH, 2 * WIDTH), "down": (2 * WIDTH, WIDTH),
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    """Three blocks, the second with the other mask."""

    def build(x):
        for index in range(3):
            x = block(x, index)
        return x

    weights = {
        f"{i}.{name}": normal(*shape, seed=i) for i in range(3) for name, shape in SHAPES.items()
    }
    types = [tensor("batch", "length", WIDTH)]
    return specimen_of(build, types, [normal(2, 7, WIDTH)], weights)


def words(specimen):
    return [one.kind.rpartition(".")[2] for one in needed(specimen.graph)]


def drops_mask(specimen):
    """A mask made by `where` is lost between scores and softmax, if the length is a symbol."""
    makers, users = makers_of(specimen), users_of(specimen)
    for operation in needed(specimen.graph):
        masks = [i for i, n in enumerate(operation.operands) if made_by(makers, n, "mo.select")]
        if operation.kind != "mo.add" or len(masks) != 1:
            continue
        (after,) = users.get(operation.results[0].number, [None])
        symbolic = isinstance(operation.results[0].shape[-1], str)
        if after and after.kind == "mo.reduce.softmax" and symbolic:
            return edits.bypassed(specimen, operation.results[0].number, 1 - masks[0])
    return specimen


def made_by(makers, number, kind):
    return number in makers and makers[number].kind == kind


def gelu_passes_on(specimen):
    """A GELU gives what it takes, wherever it stands."""
    for operation in needed(specimen.graph):
        if operation.kind == "mo.gelu_tanh":
            return edits.bypassed(specimen, operation.results[0].number, 0)
    return specimen


def loses_a_quotient(specimen):
    """A quotient between a product and a sum is lost."""
    makers, users = makers_of(specimen), users_of(specimen)
    for operation in needed(specimen.graph):
        if operation.kind != "mo.div" or not made_by(
            makers, operation.operands[0], "mo.batch_matmul"
        ):
            continue
        if any(one.kind == "mo.add" for one in users.get(operation.results[0].number, ())):
            return edits.bypassed(specimen, operation.results[0].number, 0)
    return specimen


DEFECTS = {
    drops_mask: ["select", "add", "softmax"],
    gelu_passes_on: ["gelu_tanh"],
    loses_a_quotient: ["batch_matmul", "div", "add"],
}


@pytest.mark.parametrize(
    ("defect", "expected"), DEFECTS.items(), ids=lambda one: getattr(one, "__name__", "")
)
def test_a_planted_defect_is_reduced_to_its_operations(model, defect, expected):
    found = Search(PlantedTrials(defect)).run(model)
    assert words(found.specimen) == expected
    assert found.trial.used > PROVEN


def test_sizes_become_as_small_as_the_defect_allows(model):
    found = Search(PlantedTrials(gelu_passes_on)).run(model)
    assert [array.size for array in found.specimen.arrays] == [1]
    assert found.specimen.sizes == {}


def test_a_symbol_that_the_defect_needs_stays(model):
    found = Search(PlantedTrials(drops_mask)).run(model)
    assert set(found.specimen.sizes) == {"length"}


def test_a_right_compiler_is_not_blamed(model):
    with pytest.raises(NothingWrongError, match="as it is meant"):
        Search(PlantedTrials(lambda specimen: specimen)).run(model)


def test_a_program_and_a_half_of_time_keep_the_smallest_so_far(model):
    kept = []
    found = Search(PlantedTrials(drops_mask, most=4), keep=kept.append).run(model)
    assert kept
    assert found is kept[-1]
    assert kept == sorted(kept, key=lambda one: one.weight, reverse=True)


def test_without_any_time_nothing_is_claimed(model):
    with pytest.raises(TimeUpError):
        Search(PlantedTrials(drops_mask, most=0)).run(model)


def with_sums_in_16_bits(specimen):
    """Products of matrices whose sums are rounded to bfloat16 after each addition."""

    def summed(scope, a, b):
        total = np.zeros(np.matmul(a, b).shape, ml_dtypes.bfloat16)
        for k in range(a.shape[-1]):
            total = total + (a[..., k, None] * b[..., None, k, :]).astype(ml_dtypes.bfloat16)
        return total

    meant = MEANINGS["mo.batch_matmul"]
    MEANINGS["mo.batch_matmul"] = summed
    try:
        return declared(specimen)
    finally:
        MEANINGS["mo.batch_matmul"] = meant


def test_a_fault_that_grows_with_a_size_is_shown_at_a_larger_one():
    def build(x, y):
        return ops.cast(x @ y, F32) * 2.0 + 1.0

    types = [tensor(2, "n", 64, dtype=DType.bfloat16), tensor(2, 64, 5, dtype=DType.bfloat16)]
    arrays = [normal(2, 9, 64).astype("bfloat16"), normal(2, 64, 5).astype("bfloat16")]
    trials = PlantedTrials(compute=with_sums_in_16_bits)
    found = Search(trials).run(specimen_of(build, types, arrays), used=1.5)
    assert words(found.specimen) in (["batch_matmul"], ["batch_matmul", "cast"])
    assert found.trial.used > PROVEN
    assert found.specimen.arrays[0].shape[-1] > 64


def test_an_error_that_rounding_nearly_explains_proves_nothing():
    """A compiler whose every GELU is a little off, as approximations are."""

    def approximate(specimen):
        found = declared(specimen)
        off = any(one.kind == "mo.gelu_tanh" for one in needed(specimen.graph))
        return found * np.float32(1 + 5e-7) if off else found

    specimen = specimen_of(lambda x: ops.gelu(x, "tanh") + 1.0, [tensor("n", 4)], [normal(3, 4)])
    with pytest.raises(NothingWrongError, match=r"proves nothing|as it is meant"):
        Search(PlantedTrials(compute=approximate)).run(specimen, used=1.2)


def test_every_operation_lies_in_the_second_half_of_a_window(model):
    tidy = edits.tidied(model)
    covered = set()
    for operation in anchors(tidy, 12):
        window = edits.window(tidy, operation, 6)
        covered |= {value.number for one in needed(window.graph) for value in one.results}
    assert {value.number for one in needed(tidy.graph) for value in one.results} <= covered


def test_an_operation_that_cannot_be_written_is_left_out_as_an_input():
    def build(x):
        return ops.gelu(ops.cumsum(x, axis=1) * 2.0, "tanh")

    specimen = specimen_of(build, [tensor("n", 4)], [normal(3, 4)])
    found = Search(PlantedTrials(gelu_passes_on)).run(specimen)
    assert words(found.specimen) == ["gelu_tanh"]


def test_a_weight_that_the_defect_does_not_need_is_an_input(model):
    found = Search(PlantedTrials(loses_a_quotient)).run(model)
    assert not any(one.kind == "mo.constant.external" for one in found.specimen.graph.operations)
    assert np.isfinite(found.specimen.right()).all()
