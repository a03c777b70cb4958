import pytest

from verify.judge.verdict import Check
from verify.outcome import Outcome

ORDER = ["wte", "h.0.ln_1", "h.0.mlp.act", "lm_head"]


def _check(verdict="PASS", *, tap="wte", mode="isolated", case="given-1x1", message=""):
    return Check(case=case, mode=mode, tap=tap, verdict=verdict, message=message, max_abs=0.0)


def _outcome(*checks):
    return Outcome(checks=list(checks), order=ORDER)


def test_no_check_at_all_is_an_error():
    assert _outcome().verdict == "ERROR"


def test_nothing_but_skipped_checks_is_an_error():
    assert _outcome(_check("SKIP")).verdict == "ERROR"


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["PASS", "SKIP"], "PASS"),
        (["PASS", "UNDERPOWERED"], "UNDERPOWERED"),
        (["UNDERPOWERED", "ERROR"], "ERROR"),
        (["PASS", "ERROR", "FAIL"], "FAIL"),
    ],
)
def test_the_gravest_verdict_counts(verdicts, expected):
    assert _outcome(*map(_check, verdicts)).verdict == expected


def test_the_first_divergence_is_the_earliest_stage_that_fails_alone():
    outcome = _outcome(
        _check("FAIL", tap="wte", mode="free"),
        _check("FAIL", tap="lm_head"),
        _check("FAIL", tap="h.0.mlp.act", case="stress-1x9", message="far off"),
        _check("PASS", tap="h.0.ln_1"),
    )
    divergence = outcome.first_divergence
    assert (divergence.tap, divergence.case) == ("h.0.mlp.act", "stress-1x9")
    assert "far off" in divergence.message


def test_without_a_failure_alone_the_earliest_failure_of_any_kind_is_named():
    outcome = _outcome(_check("FAIL", tap="lm_head", mode="free"), _check("PASS"))
    assert outcome.first_divergence.tap == "lm_head"


def test_a_run_that_passes_names_no_divergence():
    assert _outcome(_check()).first_divergence is None


def test_coverage_counts_what_was_compared_and_names_what_was_excused():
    outcome = _outcome(_check(tap="wte"), _check(tap="h.0.ln_1", mode="free"))
    outcome.expected = {"wte": "", "h.0.ln_1": "", "drop": "identity"}
    assert outcome.coverage() == {
        "expected": 3,
        "compared": 1,
        "excused": [{"tap": "drop", "reason": "identity"}],
    }
