import math

import pytest

from verify.explain.closed_forms import (
    FACTORS,
    SCALES,
    Form,
    in_numbers,
    number,
    rounded_to,
    same,
)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({0: 1.0}, "1"),
        ({0: 1 / math.sqrt(32)}, "1/sqrt(n_embd) = 0.176777"),
        ({0: 0.123}, "0.123"),
        ({1: 0.123, 2: 0.123}, "0.123"),
        ({0: 0.5, 2: 0.25}, "0.5 in block 0, 0.25 in block 2"),
        (
            {1: 1 / math.sqrt(8) / 2, 3: 1 / math.sqrt(8) / 4},
            "1/sqrt(head_dim) / (layer + 1)",
        ),
    ],
)
def test_numbers_are_called_by_the_formula_that_gives_them(values, text, config):
    assert in_numbers(values, config, SCALES) == text


def test_a_factor_of_dropout_is_recognised(config):
    assert in_numbers({0: 1 / 0.9}, config, FACTORS) == "1/0.9 = 1.11111"


def test_a_constant_that_was_rounded_to_float32_is_the_same():
    assert same(0.1, 0.10000000149011612)
    assert not same(0.044715, 0.0447)


def test_a_formula_of_the_block_says_so():
    assert Form("1/(layer + 1)", lambda _, i: 1 / (i + 1)).by_layer
    assert not number("0.5").by_layer


def test_a_fitted_number_is_as_short_as_still_explains():
    assert rounded_to(0.0400000003, lambda value: abs(value - 0.04) < 1e-7) == 0.04
    assert rounded_to(0.12345678, lambda value: value == 0.12345678) == 0.12345678
