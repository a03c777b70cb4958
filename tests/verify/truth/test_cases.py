import numpy as np
import pytest

from impl.config import PRESETS
from verify.truth.cases import (
    Case,
    chosen_shapes,
    default_lengths,
    default_shapes,
    random_cases,
    regime_shapes,
)

TINY = PRESETS["tiny"]


def test_default_lengths_are_edges_half_and_all_of_the_positions():
    assert default_lengths(TINY) == [1, 2, 3, 4, 8, 9, 31, 32, 33, 128, 256]


def test_large_models_get_fewer_lengths():
    assert default_lengths(PRESETS["gpt2"]) == [1, 2, 8, 33]


def test_every_default_length_has_one_row_and_batches_are_added():
    shapes = default_shapes(TINY)
    assert {length for batch, length in shapes if batch == 1} == set(default_lengths(TINY))
    assert {batch for batch, _ in shapes} == {1, 2, 5, 10}


def test_what_a_user_names_is_crossed():
    assert chosen_shapes(TINY, [1, 8], [1, 3]) == [(1, 1), (1, 8), (3, 1), (3, 8)]
    assert chosen_shapes(TINY, [7], None) == [(1, 7)]
    assert chosen_shapes(TINY, None, None) is None


def test_other_regimes_fit_the_models_positions():
    small = PRESETS["tiny"].__class__(n_positions=16, n_embd=8, n_head=2, vocab_size=9, n_layer=1)
    assert all(length <= 16 for _, length in regime_shapes(small))


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (5, 33)])
def test_ids_are_in_range_and_hold_both_ends_of_the_vocabulary(size):
    (case,) = random_cases(TINY, "given", [size], seed=0, device="cpu")
    assert case.ids.shape == size
    assert case.ids.dtype == np.int64
    assert case.ids.min() >= 0
    assert case.ids.max() < TINY.vocab_size
    assert 0 in case.ids
    if case.ids.size > 1:
        assert TINY.vocab_size - 1 in case.ids


def test_ids_depend_on_the_seed_and_on_nothing_else():
    draws = [random_cases(TINY, "given", [(2, 9)], seed=s, device="cpu")[0].ids for s in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_names_tell_cases_apart():
    ids = np.zeros((2, 33), np.int64)
    assert Case(regime="stress", ids=ids).name == "stress-2x33"
    assert Case(regime="given", ids=ids, label="text", device="gpu").name == "gpu-given-text-2x33"
