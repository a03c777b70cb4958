"""What the model of the matrix units says of errors, faults and rounding."""

import numpy as np
import pytest

from reference.load import load
from reference.oracle import Oracle
from reference.taps import LOGITS
from verify.judge.acceptance import judge
from verify.judge.rounding import to_fp8
from verify.truth import matrix_units
from verify.truth.bfloat16_products import ORDERS, ORDERS_KEPT, KeptBlocked, RoundedBlocked
from verify.truth.cases import Case
from verify.truth.matrix_units import relative_error
from verify.truth.references import References


@pytest.fixture(scope="module")
def checkpoint():
    return load("tiny")


@pytest.mark.parametrize("kind", matrix_units.KINDS)
def test_six_products_are_nearer_than_float32_s_own_and_three_are_not(kind):
    a, b = matrix_units.inputs(kind, 768)
    error = {name: relative_error(form(a, b), a, b) for name, form in matrix_units.FORMS.items()}
    six, three = error["six products, tiles"], error["three products, tiles"]
    assert six < error["FMAs in blocks of 256"] < error["one chain of FMAs"]
    assert error["one product, tiles"] > 1e-5 > three or kind != "normal"
    assert three > 3 * six


def test_three_terms_are_the_number():
    x = np.random.default_rng(0).normal(0, 1, 10_000).astype(np.float32)
    x = np.concatenate([x, x * np.float32(2.0**-90), x * np.float32(2.0**110), [0, 1, -1]])
    found = matrix_units.terms(x.astype(np.float32))
    assert np.array_equal(sum(term.astype(np.float64) for term in found), x.astype(np.float32))
    assert not any((term.view(np.uint32) & 0xFFFF).any() for term in found)


def test_every_fault_is_named_and_none_of_them_passes_for_another():
    a, b = matrix_units.inputs("normal", 320)
    a[3] *= np.float32(2e-37)  # sums below 2^-126
    faults = dict(matrix_units.faults(a, b))
    assert len(faults) == 2 + 2 + 4 + 1 + 15
    for name, wrong in faults.items():
        assert matrix_units.named(wrong, a, b) == name
    assert matrix_units.named(matrix_units.six(a, b), a, b) == ""
    assert "another" in matrix_units.named(a @ b, a, b)


def test_pairs_take_the_odd_step_first():
    """1 + 2^-24 is 1 in float32, and 2^-24 + 2^-24 + 1 is more: the order of sums shows."""
    one, small = np.float32(1), np.float32(2.0**-24)
    ones = np.ones((4, 1), np.float32)
    assert matrix_units.pairs(np.array([[small, small, one, 0]]), ones) == 1 + 2.0**-23
    assert matrix_units.pairs(np.array([[small, one, small, 0]]), ones) == 1
    assert matrix_units.pairs(np.array([[one, small, small, 0]]), ones) == 1


class InThreeProducts(Oracle):
    """Linear layers as three products of bfloat16 give them."""

    def matmul(self, a, b):
        if b.ndim != 2:
            return super().matmul(a, b)
        left, right = matrix_units.terms(a), matrix_units.terms(b)
        parts = [left[i] @ right[j] for i, j in ((0, 1), (1, 0), (0, 0))]
        return sum(part.reshape(*a.shape[:-1], -1) for part in parts)


def test_a_model_in_three_products_does_not_pass_for_float32(checkpoint):
    ids = np.random.default_rng(0).integers(0, checkpoint.config.vocab_size, (2, 33))
    case = Case(regime="given", ids=ids)
    references = References(checkpoint)
    expected = references.expectation(case, Oracle(checkpoint).output_taps())
    found = InThreeProducts(checkpoint, np.float32).trace(ids)[LOGITS]
    judgement = judge(found, expected.free[LOGITS], expected.free_envelope[LOGITS], "float32")
    assert judgement.verdict == "FAIL"


@pytest.mark.parametrize(("kept", "orders"), [("", ORDERS), ("bfloat16", ORDERS_KEPT)])
def test_each_order_of_bfloat16_products_passes_by_the_others(checkpoint, kept, orders):
    ids = np.random.default_rng(1).integers(0, checkpoint.config.vocab_size, (2, 33))
    case = Case(regime="given", ids=ids)
    references = References(checkpoint, products="bfloat16", kept=kept)
    for order in orders[:2]:
        expected = references.expectation(case, Oracle(checkpoint).output_taps(), without=order)
        found = order(checkpoint, np.float32).trace(ids)[LOGITS]
        judged = judge(found, expected.free[LOGITS], expected.free_envelope[LOGITS], "float32")
        assert judged.verdict == "PASS"


class KeptInFloat8(RoundedBlocked):
    """A cache with 3 bits of fraction."""

    def attend(self, fused, path):
        query, key, value = np.split(fused, 3, axis=-1)
        return super().attend(np.concatenate([query, to_fp8(key), to_fp8(value)], -1), path)


def test_a_cache_of_bfloat16_is_allowed_that_and_no_coarser_one(checkpoint):
    ids = np.random.default_rng(2).integers(0, checkpoint.config.vocab_size, (2, 33))
    case = Case(regime="given", ids=ids)
    references = References(checkpoint, products="bfloat16", kept="bfloat16")
    expected = references.expectation(case, Oracle(checkpoint).output_taps())

    def verdict(order):
        found = order(checkpoint, np.float32).trace(ids)[LOGITS]
        envelope = expected.free_envelope[LOGITS]
        return judge(found, expected.free[LOGITS], envelope, "float32").verdict

    assert [verdict(order) for order in (KeptBlocked, KeptInFloat8)] == ["PASS", "FAIL"]
