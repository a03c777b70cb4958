import numpy as np
import pytest

from reference.regimes import with_regime
from verify.faults.catalogue import catalogue
from verify.faults.controls import must_fail
from verify.faults.planted import Planted
from verify.faults.power import Power, sight_in
from verify.faults.sighting import MARGIN, sight
from verify.truth.cases import PROBE_SIZE, random_cases
from verify.truth.float64 import Mathematics
from verify.truth.references import References

CATALOGUE = catalogue("float32")
IDS = [fault.id for fault in CATALOGUE]
SAME_AND_OTHER = "key_bias_dropped", "scale_n_embd"


def test_fault_ids_are_unique_and_each_says_what_it_is():
    assert len(set(IDS)) == len(IDS) >= 50
    assert all(fault.expected and fault.found and fault.seen_in for fault in CATALOGUE)


@pytest.mark.parametrize("fault", CATALOGUE, ids=IDS)
def test_every_fault_is_caught_and_blamed_on_its_stage_by_a_safe_margin(fault, references, cases):
    seen = [
        sight_in(fault, expected)
        for case, expected in cases
        if fault.fits(case.ids, references.oracle.config.n_positions)
    ]
    assert any(sighting.applicable for sighting in seen)
    caught = [sighting for sighting in seen if sighting.caught]
    assert caught, seen
    assert max(sighting.margin for sighting in caught) >= MARGIN


@pytest.mark.parametrize("fault", CATALOGUE, ids=IDS)
def test_a_fault_changes_nothing_outside_its_layer(fault, references, cases):
    """What it is blamed on is where it is: every earlier place of the part is untouched."""
    case, expected = next(
        pair for pair in cases if fault.fits(pair[0].ids, references.oracle.config.n_positions)
    )
    layer = fault.layer(references.oracle.config.n_layer)
    tap = fault.blamed(layer)
    with np.errstate(all="ignore"):
        trace = Planted(references.oracle, fault, layer).stage(
            tap, case.ids, expected.isolated, expected.given
        )
    before = list(trace)[: list(trace).index(tap)]
    for name in before:
        assert np.allclose(trace[name], expected.isolated[name], rtol=1e-12, atol=1e-12), name


def test_in_float64_a_fault_that_is_the_same_function_where_it_shows_is_no_fault(checkpoint):
    """A key's bias adds the same number to every score of a query, which the softmax takes away."""
    bias, scale = (next(f for f in CATALOGUE if f.id == id_) for id_ in SAME_AND_OTHER)
    state = with_regime(checkpoint, "perturbed", seed=1)
    (case,) = random_cases(checkpoint.config, "given", [PROBE_SIZE], seed=0, device="cpu")
    expected = Mathematics(state).expectation(case, ())
    assert sight_in(bias, expected).caught
    assert not sight_in(bias, expected, {"lm_head"}).applicable
    assert sight_in(scale, expected, {"lm_head"}).caught


def test_planting_leaves_the_oracle_as_it_was(references, cases):
    case, expected = cases[0]
    before = references.oracle.trace(case.ids)["lm_head"]
    for fault in CATALOGUE:
        if fault.fits(case.ids, references.oracle.config.n_positions):
            sight_in(fault, expected)
    assert np.array_equal(references.oracle.trace(case.ids)["lm_head"], before)


def test_the_correct_stage_is_no_sighting(references, cases):
    _, expected = cases[0]
    fault = next(fault for fault in CATALOGUE if fault.id == "gelu_erf")
    tap = fault.blamed(3)
    block = {
        name: array
        for name, array in expected.isolated.items()
        if name.startswith("transformer.h.3.") or name == "transformer.h.3"
    }
    sighting = sight(fault, 3, block, expected.isolated, expected.isolated_envelope, np.float32)
    assert (sighting.noticed, sighting.applicable, sighting.expected) == (False, False, tap)


def test_a_fault_that_changes_nothing_here_is_not_applicable(references, cases):
    fault = next(fault for fault in CATALOGUE if fault.id == "mask_-1e4")
    plain = sight_in(fault, cases[0][1])
    probing = sight_in(fault, cases[-1][1])
    assert not plain.applicable
    assert probing.caught


def test_every_kind_of_spoilt_result_is_rejected(cases):
    checks = list(must_fail(cases[0][1]))
    assert {check.verdict for check in checks} == {"PASS"}
    assert all(check.details["places"] > 30 for check in checks)


def test_a_rule_that_accepts_too_much_is_noticed(cases):
    """With envelopes a million times too wide, spoilt results pass, and the run says so."""
    _, expected = cases[0]
    wide = {
        tap: type(envelope)(envelope.rms * 1e6, envelope.max * 1e6)
        for tap, envelope in expected.isolated_envelope.items()
    }
    vars_of = {name: getattr(expected, name) for name in expected.__dataclass_fields__}
    blind = type(expected)(**{**vars_of, "isolated_envelope": wide})
    assert "UNDERPOWERED" in {check.verdict for check in must_fail(blind)}


def test_correct_evaluations_raise_no_alarm(cases):
    alarms = [expected.alarms for _, expected in cases if expected.alarms.runs]
    assert sum(alarm.runs for alarm in alarms) > 300
    assert sum(alarm.false for alarm in alarms) == 0


@pytest.mark.parametrize("regime", ["perturbed", "stress", "init"])
def test_power_is_reported_by_regime(checkpoint, regime):
    references = References(with_regime(checkpoint, regime))
    (case,) = random_cases(checkpoint.config, regime, [(2, 9)], seed=0, device="cpu")
    taps = [tap for tap in references.oracle.trace(case.ids) if not tap.endswith(":input")]
    power = Power()
    power.look(references.expectation(case, taps))
    assert set(power.seen) == {regime}
    assert power.report()["faults"]["gelu_erf"]["caught"]
