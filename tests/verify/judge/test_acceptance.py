import numpy as np
import pytest

from verify.judge.acceptance import EXACT, MAX_FACTOR, RMS_FACTOR, Envelope, judge

TRUTH = np.linspace(-1, 1, 1000)
ENVELOPE = Envelope(rms=1e-4, max=3e-4)


def _with_error(size, *, at=None):
    """The truth with an error of this size everywhere, or at one element."""
    found = TRUTH.copy()
    if at is None:
        found += size * np.where(np.arange(TRUTH.size) % 2, 1, -1)
    else:
        found[at] += size
    return found.astype(np.float32)


def test_an_error_within_the_envelope_passes():
    result = judge(_with_error(1e-4), TRUTH, ENVELOPE, np.float32)
    assert result.verdict == "PASS"
    assert result.used == pytest.approx(1 / RMS_FACTOR, rel=1e-2)


def test_the_rms_bound_stands_at_its_factor_times_the_envelope():
    just_below, just_above = 0.99 * RMS_FACTOR * 1e-4, 1.01 * RMS_FACTOR * 1e-4
    assert judge(_with_error(just_below), TRUTH, ENVELOPE, np.float32).verdict == "PASS"
    assert judge(_with_error(just_above), TRUTH, ENVELOPE, np.float32).verdict == "FAIL"


def test_a_single_wrong_element_fails_though_the_rms_error_is_small():
    just_below, just_above = 0.99 * MAX_FACTOR * 3e-4, 1.01 * MAX_FACTOR * 3e-4
    assert judge(_with_error(just_below, at=7), TRUTH, ENVELOPE, np.float32).verdict == "PASS"
    result = judge(_with_error(just_above, at=7), TRUTH, ENVELOPE, np.float32)
    assert result.verdict == "FAIL"
    assert result.used > 1


def test_rounding_to_the_declared_dtype_is_allowed_where_values_are_only_passed_on():
    assert judge(TRUTH.astype(np.float32), TRUTH, EXACT, np.float32).verdict == "PASS"


def test_values_that_are_only_passed_on_may_not_change():
    result = judge(_with_error(1e-6), TRUTH, EXACT, np.float32)
    assert result.verdict == "FAIL"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_non_finite_element_fails(bad):
    found = TRUTH.astype(np.float32)
    found[3] = bad
    assert judge(found, TRUTH, Envelope(1e9, 1e9), np.float32).verdict == "FAIL"


def test_all_nan_fails_even_where_the_truth_is_nan_too():
    nothing = np.full(4, np.nan)
    result = judge(nothing.astype(np.float32), nothing, ENVELOPE, np.float32)
    assert result.verdict == "ERROR"


def test_shapes_are_not_broadcast():
    found = np.zeros((1, 8), np.float32)
    result = judge(found, np.zeros((4, 8)), ENVELOPE, np.float32)
    assert result.verdict == "FAIL"
    assert "[1, 8]" in result.message
    assert "[4, 8]" in result.message


def test_the_declared_dtype_is_checked():
    result = judge(TRUTH.astype(np.float16), TRUTH, Envelope(1, 1), np.float32)
    assert result.verdict == "FAIL"
    assert "float16" in result.message


def test_nothing_to_compare_is_no_pass():
    empty = np.zeros((0, 4))
    assert judge(empty.astype(np.float32), empty, ENVELOPE, np.float32).verdict == "FAIL"


def test_integers_must_be_equal():
    ids = np.arange(5)
    assert judge(ids, ids, EXACT, np.float32).verdict == "PASS"
    assert judge(ids + 1, ids, EXACT, np.float32).verdict == "FAIL"
    assert judge(ids.astype(np.float32), ids, EXACT, np.float32).verdict == "FAIL"


def test_zeros_in_place_of_the_result_fail():
    assert judge(np.zeros(1000, np.float32), TRUTH, ENVELOPE, np.float32).verdict == "FAIL"
