import numpy as np
import pytest

from verify.faults.controls import LOWER, LowerPrecisions
from verify.judge.acceptance import Envelope
from verify.truth.alarms import correct_results
from verify.truth.cases import Case
from verify.truth.envelope import Sample, isolated
from verify.truth.expectation import Expectation

TAP = "transformer.h.0.attn.c_proj:input"
SIZE = (2, 5, 8)
"""Two rows of five tokens, of which the sample holds four copies."""


def _evaluated(spoilt):
    """A truth and four evaluations near it; of the last, one copy is a thousand times farther."""
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((4 * SIZE[0], *SIZE[1:]))
    errors = 1e-7 * rng.standard_normal((4, *truth.shape))
    if spoilt is not None:
        errors[-1, spoilt * SIZE[0] : (spoilt + 1) * SIZE[0]] *= 1000
    sample = Sample(4, np.zeros((4 * SIZE[0], SIZE[1]), np.int64), {})
    return sample, {TAP: truth}, [{TAP: (truth + e).astype(np.float32)} for e in errors]


@pytest.mark.parametrize(("spoilt", "false"), [(None, 0), (0, 1), (1, 0), (3, 0)])
def test_an_order_is_judged_on_the_input_itself_as_a_candidate_is(spoilt, false):
    alarms = _judged(*_evaluated(spoilt))
    assert (alarms.runs, alarms.false) == (4, false)


def test_an_order_with_rows_left_out_is_made_use_of_but_not_judged():
    sample, truth, evaluations = _evaluated(0)
    evaluations[-1][TAP][0, 0] = np.nan
    assert _judged(sample, truth, evaluations).runs == 3


def _judged(sample, truth, evaluations):
    stages = isolated(sample, truth, evaluations)
    return correct_results(sample, truth, evaluations, stages, "float32")


def _expected(size):
    """A case with one place, whose correct evaluations stray by `size`."""
    truth = np.random.default_rng(0).standard_normal(SIZE)
    envelope = Envelope(size, 4 * size)
    computed = {TAP: truth.astype(np.float32)}
    return Expectation(
        case=Case(regime="given", ids=np.zeros((1, 1), np.int64)),
        oracle=None,
        dtype="float32",
        given={},
        isolated={TAP: truth},
        torch_isolated=computed,
        torch_free=computed,
        isolated_envelope={TAP: envelope},
    )


NARROW, WIDE = _expected(1e-7), _expected(1.0)


@pytest.mark.parametrize(
    ("cases", "verdict"),
    [
        ([NARROW], "PASS"),
        ([WIDE, NARROW], "PASS"),
        ([NARROW, WIDE], "PASS"),
        ([WIDE, WIDE], "UNDERPOWERED"),
    ],
)
def test_a_lower_precision_has_to_be_rejected_at_every_place_in_some_case(cases, verdict):
    lowered = LowerPrecisions()
    for expected in cases:
        lowered.look(expected)
    checks = list(lowered.checks())
    assert [check.case for check in checks] == [n.replace(" ", "-") for n in LOWER["float32"]]
    assert {check.verdict for check in checks} == {verdict}
    assert all((check.tap == TAP) == (verdict == "UNDERPOWERED") for check in checks)
