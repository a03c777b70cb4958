"""Other arrays, and other sizes."""

import numpy as np
import pytest
from max.dtype import DType
from max.graph import ops

from tests.verify.reduce.specimens import CPU, F32, normal, read_back, specimen_of, tensor
from verify.graph.errors import GraphError
from verify.reduce import edits, sizes
from verify.reduce.arrays import is_plain
from verify.reduce.source import needed


@pytest.fixture
def split():
    """Two heads of three features, of a product with a weight."""

    def build(x):
        x = x @ ops.constant_external("w", tensor(6, 6))
        heads = ops.reshape(x, [x.shape[0], x.shape[1], 2, 3])
        return ops.softmax(ops.permute(heads, [0, 2, 1, 3]))

    types = [tensor("batch", "length", 6)]
    return edits.tidied(specimen_of(build, types, [normal(2, 5, 6)], {"w": normal(6, 6)}))


def test_plain_numbers_are_the_same_wherever_they_are_drawn(split):
    plain = sizes.plain(split)
    assert not is_plain(split)
    assert is_plain(plain)
    assert is_plain(sizes.plain(plain))
    assert np.array_equal(plain.right(), sizes.plain(split).right())


def test_plain_integers_are_as_large_as_those_that_were_given():
    types = [tensor(9, 2), tensor("n", dtype=DType.int64)]
    specimen = specimen_of(
        lambda x, i: ops.gather(x, i, axis=0), types, [normal(9, 2), np.array([8, 0, 3])]
    )
    plain = sizes.plain(specimen)
    assert plain.arrays[1].min() >= 0
    assert plain.arrays[1].max() <= 8
    assert plain.right().shape == (3, 2)


def test_numbers_of_16_bits_are_drawn_as_all_dtypes_hold_them():
    types = [tensor(64, 64, dtype=DType.bfloat16)]
    specimen = specimen_of(lambda x: x + x, types, [normal(64, 64).astype("bfloat16")])
    (drawn,) = sizes.plain(specimen).arrays
    wide = drawn.astype(np.float64) * sizes.SIXTEENTHS
    assert np.array_equal(wide, np.rint(wide))
    assert drawn.dtype == specimen.arrays[0].dtype


def test_a_symbol_is_shortened_in_every_array(split):
    shorter = sizes.shortened(split, "length", 2)
    assert [array.shape for array in shorter.arrays] == [(2, 2, 6)]
    np.testing.assert_allclose(shorter.right(), split.right()[:, :, :2])


def test_a_number_takes_its_multiples_along(split):
    smaller = sizes.scaled(split, 3, 1)
    assert smaller.arrays[0].shape == (2, 5, 2)
    assert smaller.weights["w"].shape == (2, 2)
    assert smaller.right().shape == (2, 2, 5, 1)
    np.testing.assert_allclose(read_back(smaller).right(), smaller.right())


def test_a_number_by_itself_may_not_fit_and_is_told_by_the_evaluation(split):
    with pytest.raises(GraphError):
        sizes.exactly(split, 3, 1).right()


def test_a_symbol_becomes_the_number_that_it_is(split):
    fixed = sizes.static(split, "length")
    assert fixed.output.shape == ("batch", 2, 5, 3)
    assert np.array_equal(fixed.right(), split.right())


def test_resizings_make_nothing_larger(split):
    before = sum(array.size for array in split.arrays)
    made = [one for edit in sizes.resizings(split) if (one := edits.applied(split, [edit]))]
    assert made
    assert all(sum(array.size for array in one.arrays) <= before for one in made)
    assert all(len(needed(one.graph)) == len(needed(split.graph)) for one in made)


def test_constants_are_as_they_were(split):
    specimen = specimen_of(
        lambda x: x / ops.constant(4.0, F32, CPU), [tensor("n", 4)], [normal(2, 4)]
    )
    smaller = sizes.scaled(edits.tidied(specimen), 4, 1)
    np.testing.assert_allclose(smaller.right(), smaller.arrays[0].astype(float) / 4.0)
