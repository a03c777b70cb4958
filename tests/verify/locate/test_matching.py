import numpy as np
import pytest

from verify.locate.matching import holds, rearranged, same_numbers
from verify.locate.quantities import Quantity

ARRAY = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
HEADS = Quantity("q", ARRAY)


@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x, lambda x: x.ravel(), lambda x: x.transpose(0, 2, 1, 3),
        lambda x: x.transpose(0, 2, 1, 3).reshape(2, 4, 15), lambda x: x.swapaxes(-1, -2),
        lambda x: x * (1 + 1e-14),
    ],
    ids=["itself", "flat", "transposed", "merged", "turned", "rounded"],
)  # fmt: skip
def test_a_quantity_is_recognised_in_any_layout(layout):
    assert holds(layout(ARRAY), HEADS)


@pytest.mark.parametrize(
    "other", [lambda x: x * (1 + 1e-7), lambda x: x + 1e-6, lambda x: -x, lambda x: x[:1]]
)
def test_other_numbers_are_another_quantity(other):
    assert not holds(other(ARRAY), HEADS)


def test_the_same_numbers_elsewhere_are_rearranged():
    mixed = ARRAY.reshape(2, 12, 5)[:, np.random.default_rng(1).permutation(12)]
    assert not holds(mixed, HEADS)
    assert rearranged(mixed, HEADS)
    assert not rearranged(ARRAY + 1, HEADS)


def test_positions_are_the_same_for_all_rows():
    positions = Quantity("positions", np.arange(6.0)[None])
    assert holds(np.tile(np.arange(6.0), (3, 1)), positions)
    assert not holds(np.tile(np.arange(1, 7.0), (3, 1)), positions)


def test_infinities_count():
    masked = np.where(np.triu(np.ones((4, 4), bool), 1), -np.inf, 1.5)
    assert same_numbers(masked, masked.copy())
    assert not same_numbers(masked, np.where(np.isinf(masked), -1e9, masked))
