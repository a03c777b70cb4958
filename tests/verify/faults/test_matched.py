import numpy as np
import pytest

from reference.dtypes import DTYPES
from reference.load import load
from verify.faults.catalogue import CATALOGUE, catalogue
from verify.faults.matched import FARTHEST, layers_of, matched_checks, matched_filter
from verify.faults.planted import Planted
from verify.faults.power import Power, sight_in
from verify.faults.sighting import MARGIN
from verify.truth.cases import random_cases
from verify.truth.float16 import Stepwise
from verify.truth.references import References

DTYPE = "bfloat16"
FAULTS = {fault.id: fault for fault in CATALOGUE}
BELOW_HALF_AN_ULP = ("gelu_erf", "gelu_wrong_const", "ln_unbiased_var")
LAYER = 3


@pytest.fixture(scope="module")
def references():
    return References(load("tiny"), DTYPE)


@pytest.fixture(scope="module")
def case(references):
    (case,) = random_cases(references.checkpoint.config, "given", [(1, 128)], seed=0, device="cpu")
    return case


@pytest.fixture(scope="module")
def expected(references, case):
    taps = [tap for tap in references.oracle.trace(case.ids[:1, :1]) if ":" not in tap]
    return references.expectation(case, taps)


def _faulty(fault, references, case, expected):
    """What the fault computes in its stage, stored in 16 bits."""
    tap = fault.blamed(LAYER)
    trace = Planted(references.oracle, fault, LAYER).stage(
        tap, case.ids, expected.isolated, expected.given
    )
    return trace[tap].astype(DTYPES[DTYPE])


@pytest.mark.parametrize("name", BELOW_HALF_AN_ULP)
def test_a_fault_below_half_an_ulp_is_caught_by_its_filter(name, references, case, expected):
    sighting = sight_in(FAULTS[name], expected)
    assert sighting.by == "filter"
    assert sighting.caught
    assert sighting.margin >= MARGIN


@pytest.mark.parametrize("name", BELOW_HALF_AN_ULP)
def test_the_truth_has_gone_nowhere_and_the_fault_all_the_way(name, references, case, expected):
    fault = FAULTS[name]
    found = matched_filter(fault, LAYER, references.oracle, expected.drawn)
    truth = expected.isolated[found.tap]
    assert found.sharp
    assert found.share(truth, truth) == 0
    assert abs(found.share(truth.astype(DTYPES[DTYPE]), truth)) < 0.1
    assert found.share(truth + found.direction, truth) == pytest.approx(1)
    assert found.share(_faulty(fault, references, case, expected), truth) == pytest.approx(
        1, abs=0.3
    )


def test_what_legitimate_evaluations_have_in_common_with_a_fault_counts_for_nothing(
    references, case, expected
):
    """PyTorch's own GELU in bfloat16 errs along the erf form's pattern: that is no fault."""
    found = matched_filter(FAULTS["gelu_erf"], LAYER, references.oracle, expected.drawn)
    stepwise = Stepwise(references.checkpoint, DTYPE).trace(case.ids, expected.given)[found.tap]
    truth = expected.isolated[found.tap]
    error = stepwise.astype(float) - truth
    plain = np.vdot(error, found.direction) / np.vdot(found.direction, found.direction)
    assert abs(plain) > 0.4
    assert abs(found.share(stepwise, truth)) < 0.1


def test_a_pattern_that_is_a_legitimate_one_makes_no_filter(references, case, expected):
    found = matched_filter(FAULTS["gelu_erf"], LAYER, references.oracle, expected.drawn)
    same = type(found)(found.fault, LAYER, found.errors[0], found.errors, found.shares)
    assert same.share(expected.isolated[found.tap], expected.isolated[found.tap]) == np.inf


def test_a_candidate_is_judged_in_every_block_and_blamed_where_the_fault_is(
    references, case, expected
):
    fault = FAULTS["gelu_erf"]
    correct = {tap: array.astype(DTYPES[DTYPE]) for tap, array in expected.isolated.items()}
    wrong = {**correct, fault.blamed(LAYER): _faulty(fault, references, case, expected)}

    def verdicts(found):
        judged = matched_checks(found, [fault], expected)
        return {check.tap: check for check, _ in judged}

    assert {check.verdict for check in verdicts(correct).values()} == {"PASS"}
    after = verdicts(wrong)
    assert [tap for tap, check in after.items() if check.verdict == "FAIL"] == [fault.blamed(LAYER)]
    failed = after[fault.blamed(LAYER)]
    assert failed.used > 1
    assert "erf(x / sqrt(2))" in failed.details["diagnosis"]


def test_legitimate_evaluations_pass_each_others_filters(references, expected):
    found = [
        matched_filter(FAULTS[name], layer, references.oracle, expected.drawn)
        for name in BELOW_HALF_AN_ULP
        for layer in layers_of(FAULTS[name], references.checkpoint.config.n_layer)
    ]
    alarms = [one.alarms() for one in found]
    assert sum(alarm.runs for alarm in alarms) > 30
    assert sum(alarm.false for alarm in alarms) == 0


def test_float32_needs_no_filter():
    references = References(load("tiny"))
    (case,) = random_cases(references.checkpoint.config, "given", [(2, 33)], seed=0, device="cpu")
    taps = [tap for tap in references.oracle.trace(case.ids[:1, :1]) if ":" not in tap]
    power = Power()
    power.look(references.expectation(case, taps))
    assert {sighting.by for sighting, _ in power.seen["given"].values()} == {"bounds"}


def test_each_precision_has_its_own_faults():
    assert len(catalogue("float32")) == 51
    lower = {fault.id for fault in catalogue("bfloat16")} - {f.id for f in catalogue("float32")}
    assert lower == {"weights_fp8", "attention_sums_bfloat16"}
    assert "accumulate_fp16" not in {fault.id for fault in catalogue("bfloat16")}
    assert FARTHEST == 1 / MARGIN
