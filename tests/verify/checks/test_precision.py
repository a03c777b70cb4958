from dataclasses import replace

import numpy as np
import pytest

from verify.checks.precision import precision_check
from verify.explain.error_shape import describe
from verify.judge.rounding import to_bf16, to_tf32
from verify.judge.verdict import Check

TAP = "transformer.h.1.mlp.c_fc"


def _product(round_):
    """A 64-term product with both factors rounded, beside the truth and float32's."""
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(shape).astype("f") for shape in ((64, 64), (64, 64)))
    truth = a.astype(float) @ b.astype(float)
    return round_(a) @ round_(b), truth, a @ b


def _relative(found, truth):
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def _check(round_, **fields):
    found, truth, own = _product(round_)
    scale = float(np.sqrt((truth**2).mean()))
    relative, envelope = _relative(found, truth), _relative(own, truth)
    values = {
        "case": "given-1x64", "mode": "isolated", "tap": TAP, "relative": relative,
        "rms": relative * scale, "envelope_rms": envelope * scale, "torch_relative": envelope,
        "verdict": "PASS" if relative <= 2 * envelope else "FAIL",
    }  # fmt: skip
    return Check(**(values | fields))


def _same(x):
    return x


def test_a_correct_float32_says_how_many_bits_it_has():
    check = precision_check([_check(_same), _check(_same, tap="lm_head")], "float32", "cpu")
    assert check.verdict == "PASS"
    assert check.details["class"] == "float32"
    assert check.details["median_bits"] == pytest.approx(23.5, abs=1.5)
    assert check.details["least_at"] in (TAP, "lm_head")


@pytest.mark.parametrize(("round_", "name"), [(to_tf32, "tf32"), (to_bf16, "bfloat16")])
def test_a_float32_that_behaves_like_fewer_bits_is_named_so(round_, name):
    check = precision_check([_check(_same, tap="lm_head"), _check(round_)], "float32", "cpu")
    assert check.verdict == "FAIL"
    assert check.tap == TAP
    assert f"float32 was declared, but the error is as large as {name}'s at 1 of 2" in check.message


def test_a_place_that_is_simply_wrong_is_no_lower_precision():
    wrong = replace(_check(_same), relative=0.5, rms=0.5 * 8, verdict="FAIL")
    assert precision_check([wrong], "float32", "cpu").verdict == "PASS"


def test_without_a_computed_place_nothing_is_said():
    assert precision_check([], "float32", "cpu").verdict == "SKIP"


def test_a_tf32_product_is_described_with_its_bits(cases):
    _, expected = cases[0]
    truth = expected.isolated[TAP]
    rng = np.random.default_rng(0)
    found = truth + 2.0**-11.5 * np.sqrt((truth**2).mean()) * rng.standard_normal(truth.shape)
    sentence = describe(TAP, found.astype(np.float32), expected, 4)
    assert sentence.startswith("its error is as large as tf32's: 11.")
