"""Figures are written in one way everywhere, and what is no figure is said."""

import pytest

from reports.tables import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.474, "47%"), (9.9, "990%"), (10, "10x"), (50, "50x"), (1234.5, "1,234x"),
        (3e8, "3e+08x"), ("inf", "inf"), ("nan", "nan"), (None, "-"), (float("nan"), "-"),
        (True, "-"), ("many", "-"),
    ],
)  # fmt: skip
def test_a_share_is_a_percentage_until_it_is_a_multiple(value, text):
    assert numbers.percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(9.87, "9.9x"), (1234.5, "1,234x"), ("inf", "infinite"), ("nan", "NaN"), (None, "-")],
)
def test_a_multiple_that_is_not_a_number_is_a_word(value, text):
    assert numbers.multiple(value) == text


@pytest.mark.parametrize(
    ("used", "text"),
    [
        (3e8, "3e+08x the allowed error"),
        (float("inf"), "infinitely many times the allowed error"),
        (float("nan"), "NaN or infinite"),
    ],
)
def test_an_error_over_what_is_allowed_is_said_in_words(used, text):
    assert numbers.times_allowed(used) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.4012, "0.401"), (0.97, "0.970"), (1.0234, "1.023"), (1.35, "1.350"), (2.5, "2.5"),
        (12.34, "12.3"), (1234.5, "1,234"), (None, "-"), ("inf", "inf"),
    ],
)  # fmt: skip
def test_a_ratio_has_a_digit_more_around_one(value, text):
    assert numbers.brief(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.5e-9, "2.5 ns"), (3.14159e-6, "3.14 µs"), (0.0125, "12.5 ms"), (42, "42 s"),
        (90, "1.5 min"), (5400, "1.5 h"), (0, "0 ns"), ("inf", "inf"), (None, "-"),
    ],
)  # fmt: skip
def test_a_duration_has_the_unit_that_suits_it(value, text):
    assert numbers.duration(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (65.9, "1:05"), (3600, "60:00"), (-3, "0:00")]
)
def test_a_clock_counts_minutes_and_never_backwards(seconds, text):
    assert numbers.clock(seconds) == text


def test_four_digits_and_what_stands_for_nothing():
    assert numbers.short(0.000123456) == "0.0001235"
    assert numbers.short(123456.7) == "123,457"
    assert numbers.short(None) == numbers.NONE
    assert numbers.short(None, none="") == ""


def test_an_interval_needs_both_bounds():
    assert numbers.interval(0.98, 1.02) == "0.980 to 1.020"
    assert numbers.interval(0.0012, 0.0013, numbers.duration) == "1.2 ms to 1.3 ms"
    assert numbers.interval(None, 1.02) == numbers.interval(0.98, float("nan")) == ""


def test_a_shape_is_its_sizes():
    assert numbers.shape([1, 33, 128]) == "1x33x128"
    assert numbers.shape(None) == ""
