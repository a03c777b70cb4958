"""What is legitimate where products of float32 may use TF32, and what is not."""

import numpy as np
import pytest

from reference.load import load
from reference.oracle import Oracle
from verify.faults.catalogue import WITHIN_TF32, catalogue
from verify.faults.power import sight_in
from verify.judge.acceptance import judge
from verify.judge.rounding import to_bf16, to_tf32
from verify.truth.cases import Case
from verify.truth.references import References
from verify.truth.tf32 import cut_to_tf32

IDS = np.random.default_rng(0).integers(0, 1024, (2, 33))


@pytest.fixture(scope="module")
def checkpoint():
    return load("tiny")


@pytest.fixture(scope="module")
def expectation(checkpoint):
    """By whether TF32 is allowed."""
    case = Case(regime="given", ids=IDS, seed=0, device="cpu")
    taps = Oracle(checkpoint).output_taps()
    return {
        allowed: References(checkpoint, products="tf32" if allowed else "").expectation(
            case, taps, free=False
        )
        for allowed in (True, False)
    }


class Products(Oracle):
    """Float32 whose products round their factors."""

    rounding = staticmethod(to_tf32)

    def matmul(self, a, b):
        return super().matmul(self.rounding(a), self.rounding(b))


class Coarser(Products):
    rounding = staticmethod(to_bf16)


def verdicts(model, expected):
    found = model.trace(IDS, expected.given)
    return {
        tap: judge(found[tap], truth, expected.isolated_envelope[tap], "float32").verdict
        for tap, truth in expected.isolated.items()
    }


def test_cutting_off_keeps_ten_bits_and_never_grows():
    values = np.random.default_rng(1).standard_normal(1000).astype(np.float32)
    cut = cut_to_tf32(values)
    assert np.array_equal(cut_to_tf32(cut), cut)
    assert np.array_equal(to_tf32(cut), cut)
    assert (np.abs(cut) <= np.abs(values)).all()
    assert (np.abs(cut - values) < 2.0**-10 * np.abs(values)).all()


def test_a_model_whose_products_use_tf32_passes_where_that_is_allowed(checkpoint, expectation):
    model = Products(checkpoint, np.float32)
    assert set(verdicts(model, expectation[True]).values()) == {"PASS"}
    failed = {tap for tap, v in verdicts(model, expectation[False]).items() if v == "FAIL"}
    assert any(tap.endswith("attn.c_attn") for tap in failed)


def test_bfloat16_products_are_rejected_even_where_tf32_is_allowed(checkpoint, expectation):
    assert "FAIL" in verdicts(Coarser(checkpoint, np.float32), expectation[True]).values()


def test_float32_passes_where_tf32_is_allowed(checkpoint, expectation):
    assert set(verdicts(Oracle(checkpoint, np.float32), expectation[True]).values()) == {"PASS"}


def test_every_order_stays_within_what_the_others_allow(expectation):
    alarms = expectation[True].alarms
    assert alarms.false == 0


def test_places_without_a_product_are_as_tight_as_in_float32(expectation):
    for place in ("ln_1", "mlp.act"):
        tap = f"transformer.h.2.{place}"
        wide, tight = (expectation[allowed].isolated_envelope[tap].rms for allowed in (True, False))
        assert wide <= 2 * tight
    tap = "transformer.h.2.mlp.c_fc"
    assert expectation[True].isolated_envelope[tap].rms > 100 * (
        expectation[False].isolated_envelope[tap].rms
    )


def test_faults_are_caught_where_tf32_is_allowed(expectation):
    """Roundings of factors are no faults there; all else in one block is noticed by this case."""
    expected = expectation[True]
    names = {fault.id for fault in catalogue("float32")}
    assert {fault.id for fault in catalogue("tf32")} == names - WITHIN_TF32
    assert names > WITHIN_TF32
    told = {fault.id: sight_in(fault, expected) for fault in catalogue("tf32")
            if fault.fits(IDS, 256)}  # fmt: skip
    for name in ("gelu_erf", "ln_no_mean", "bias_dropped", "mask_missing"):
        assert told[name].caught, name
