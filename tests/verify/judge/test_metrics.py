import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from verify.judge.metrics import errors, rms, ulp_at

FLOATS = hnp.arrays(
    np.float32, hnp.array_shapes(max_dims=3), elements=st.floats(-1e3, 1e3, width=32)
)


def test_known_figures():
    found = np.array([1.0, 2.0, 5.0], np.float32)
    truth = np.array([1.0, 2.0, 3.0])
    result = errors(found, truth, np.float32)
    assert result.max_abs == 2.0
    assert result.rms == pytest.approx(2 / math.sqrt(3))
    assert result.relative == pytest.approx(2 / math.sqrt(14))
    assert result.cosine == pytest.approx(20 / math.sqrt(30 * 14))


def test_ulp_counts_neighbouring_floats():
    truth = np.full(4, 1.5)
    found = np.full(4, 1.5, np.float32)
    for _ in range(3):
        found = np.nextafter(found, np.float32(2))
    assert errors(found, truth, np.float32).ulp == pytest.approx(3)


@given(FLOATS)
def test_an_array_is_no_distance_from_itself(array):
    result = errors(array, array.astype(np.float64), np.float32)
    assert (result.max_abs, result.rms, result.relative, result.ulp) == (0, 0, 0, 0)
    assert result.cosine == 1


@given(FLOATS)
def test_rms_lies_between_zero_and_the_largest_error(array):
    result = errors(array, np.zeros(array.shape), np.float32)
    assert 0 <= result.rms <= result.max_abs * (1 + 1e-12)


def test_nan_in_the_candidate_makes_every_distance_nan():
    found = np.array([1.0, np.nan], np.float32)
    result = errors(found, np.array([1.0, 2.0]), np.float32)
    assert all(map(math.isnan, (result.max_abs, result.rms, result.relative, result.ulp)))


def test_error_against_zeros_is_infinitely_large_relative_to_them():
    assert errors(np.ones(3, np.float32), np.zeros(3), np.float32).relative == math.inf


def test_rms_of_nothing_is_zero():
    assert rms(np.zeros((0, 3))) == 0


@pytest.mark.parametrize(("dtype", "gap"), [(np.float32, 2.0**-23), (np.float16, 2.0**-10)])
def test_ulp_at_one(dtype, gap):
    assert ulp_at(1.0, dtype) == gap
    assert ulp_at(-1.0, dtype) == gap


def test_integers_have_no_rounding():
    assert ulp_at(7.0, np.int64) == 0
