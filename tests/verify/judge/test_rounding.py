import math

import numpy as np
import pytest
import torch

from verify.judge.rounding import (
    effective_bits,
    precision_class,
    to_bf16,
    to_fp16,
    to_tf32,
    within_rounding,
)

VALUES = np.random.default_rng(0).standard_normal(10_000) * 10.0 ** np.arange(-5, 5).repeat(1000)


def test_bfloat16_is_rounded_as_torch_rounds_it():
    expected = torch.from_numpy(VALUES.astype(np.float32)).bfloat16().double().numpy()
    assert np.array_equal(to_bf16(VALUES), expected)


def test_float16_is_rounded_as_torch_rounds_it_and_overflows():
    expected = torch.from_numpy(VALUES).half().double().numpy()
    assert np.array_equal(to_fp16(VALUES), expected)
    assert to_fp16(np.array([7e4]))[0] == np.inf


def test_tf32_keeps_ten_bits():
    rounded = to_tf32(VALUES)
    assert np.array_equal(to_tf32(rounded), rounded)
    relative = np.abs(rounded - VALUES) / np.abs(VALUES)
    assert 2.0**-12 < relative.max() <= 2.0**-11 * (1 + 1e-6)


@pytest.mark.parametrize("value", [1.0, -2.5, 0.0])
def test_what_fits_is_not_changed(value):
    array = np.array([value])
    assert to_bf16(array)[0] == to_tf32(array)[0] == to_fp16(array)[0] == value


def test_effective_bits():
    assert effective_bits(2.0**-10) == 10
    assert effective_bits(0.0) == math.inf
    assert effective_bits(math.nan) == 0


@pytest.mark.parametrize(
    ("round_", "name"), [(lambda x: x, "float32"), (to_tf32, "tf32"), (to_bf16, "bfloat16")]
)
def test_a_product_of_rounded_factors_is_called_by_its_precision(round_, name):
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(shape).astype("f") for shape in ((64, 256), (256, 64)))
    truth = a.astype(float) @ b.astype(float)
    found = round_(a).astype("f") @ round_(b).astype("f")

    def relative(x):
        return float(np.linalg.norm(x - truth) / np.linalg.norm(truth))

    assert precision_class(relative(found), relative(a @ b)) == name


def test_a_difference_is_rounding_if_it_shrinks_with_the_unit_roundoff():
    x = VALUES[:500]
    form, other = x * x - 2 * x + 1, (x - 1) ** 2
    low = x.astype(np.float32)
    low_form, low_other = low * low - 2 * low + 1, (low - 1) ** 2
    assert within_rounding(other, form, low_other, low_form, "float32")
    assert not within_rounding(other * (1 + 1e-12), form, low_other, low_form, "float32")
    assert not within_rounding(other, form, np.full_like(low_other, np.nan), low_form, "float32")
    assert not within_rounding(other[:9], form, low_other[:9], low_form, "float32")
