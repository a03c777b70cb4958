from dataclasses import replace

import numpy as np
import pytest
import torch

from reference.regimes import with_regime
from verify.candidate.observation import Observation
from verify.checks.logits import logits_check, perplexity_check
from verify.checks.stages import check_case
from verify.checks.whole import oracle_check
from verify.judge.metrics import kl_divergence
from verify.truth.cases import Case
from verify.truth.references import References, hugging_face

LOGITS = "lm_head"


@pytest.fixture(scope="module")
def case(checkpoint):
    ids = np.random.default_rng(1).integers(0, checkpoint.config.vocab_size, (1, 12))
    return Case(regime="given", ids=ids)


@pytest.fixture(scope="module")
def expected(references, case):
    taps = [tap for tap in references.oracle.trace(case.ids) if not tap.endswith(":input")]
    return references.expectation(case, taps)


class Replay:
    """A candidate that answers with given traces: the reference itself, or a spoilt copy of it."""

    def __init__(self, expected, **changes):
        self._isolated = {**expected.torch_isolated, **changes}
        self._free = {**expected.torch_free, **changes}

    def forced_trace(self, ids, given):
        return self._isolated

    def trace(self, ids):
        return self._free[LOGITS], self._free

    def logits(self, ids):
        return self._free[LOGITS]


def test_the_reference_passes_against_itself(case, expected):
    checks = list(check_case(Observation(Replay(expected), expected), expected))
    assert {check.mode for check in checks} == {"isolated", "free", "plain", "observer", "logits"}
    assert {check.verdict for check in checks} == {"PASS"}


@pytest.mark.parametrize(
    "spoil",
    [np.zeros_like, lambda x: x[:, ::-1], lambda x: np.full_like(x, np.nan), lambda x: x * 1.0001],
    ids=["zeros", "reversed", "nan", "scaled"],
)
def test_a_spoilt_activation_fails_where_it_is_and_nowhere_else(case, expected, spoil):
    tap = "transformer.h.2.mlp.c_fc"
    spoilt = np.ascontiguousarray(spoil(expected.torch_isolated[tap])).astype(np.float32)
    checks = check_case(Observation(Replay(expected, **{tap: spoilt}), expected), expected)
    assert {check.tap for check in checks if check.verdict == "FAIL"} == {tap}


def test_a_missing_tap_is_not_compared(case, expected):
    """Coverage reports it; see tests of `verify.run`."""
    candidate = Replay(expected)
    del candidate._isolated["transformer.h.2.mlp.c_fc"]
    checks = list(check_case(Observation(candidate, expected), expected))
    assert not [c for c in checks if c.mode == "isolated" and c.tap == "transformer.h.2.mlp.c_fc"]


def test_pytorchs_error_stands_beside_the_candidates(case, expected):
    checks = check_case(Observation(Replay(expected), expected), expected)
    computed = [c for c in checks if c.mode == "isolated" and c.envelope_rms]
    assert computed
    assert all(check.ratio == pytest.approx(1) for check in computed if check.torch_rms)


def test_kl_divergence_is_torchs():
    rng = np.random.default_rng(0)
    truth, logits = rng.standard_normal((2, 3, 5, 11))
    p, q = (torch.log_softmax(torch.from_numpy(x), -1) for x in (truth, logits))
    expected = torch.nn.functional.kl_div(q, p, log_target=True, reduction="none").sum(-1)
    assert np.allclose(kl_divergence(truth, logits), expected.numpy())
    assert kl_divergence(truth, truth).max() == 0


def test_a_changed_first_choice_fails(case, expected):
    logits = expected.free[LOGITS].astype(np.float32)
    second = logits[0, 3].argsort()[-2]
    logits[0, 3, second] += 10
    check = logits_check(logits, expected)
    assert check.verdict == "FAIL"
    assert check.details["top1_flips"] == 1


def test_a_first_choice_that_was_too_close_to_call_is_excused(case, expected):
    truth = expected.free[LOGITS].copy()
    best, second = truth[0, 3].argsort()[[-1, -2]]
    allowed = expected.free_envelope[LOGITS].max
    truth[0, 3, second] = truth[0, 3, best] - allowed
    close = replace(expected, free={**expected.free, LOGITS: truth})
    logits = truth.copy()
    logits[0, 3, second] += 1.5 * allowed
    check = logits_check(logits.astype(np.float64), close)
    assert (check.details["top1_flips"], check.details["top1_flips_excused"]) == (1, 1)
    assert check.verdict == "PASS"


def test_a_model_that_is_far_off_cannot_excuse_its_own_flips(case, expected):
    logits = -expected.free[LOGITS].astype(np.float32)
    assert logits_check(logits, expected).verdict == "FAIL"


def test_perplexity_is_judged_by_what_the_rule_allows_a_logit(case, expected):
    good = perplexity_check(expected.torch_free[LOGITS], expected)
    assert good.verdict == "PASS"
    assert good.details["perplexity"] == pytest.approx(good.details["oracle_perplexity"])
    off = expected.torch_free[LOGITS] * np.float32(1.01)
    assert perplexity_check(off, expected).verdict == "FAIL"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("regime", ["given", "stress"])
def test_the_two_float64_models_agree(checkpoint, regime, seed):
    drawn = References(with_regime(checkpoint, regime, seed=seed))
    ids = np.random.default_rng(seed).integers(0, checkpoint.config.vocab_size, (1, 9))
    _, judgement = drawn.oracle_disagreement(Case(regime=regime, ids=ids))
    assert judgement.verdict == "PASS"


def test_a_model_that_is_wrong_by_a_thousandth_of_epsilon_is_not_the_same(
    checkpoint, case, monkeypatch
):
    epsilon = 1.001 * checkpoint.config.layer_norm_epsilon
    other = replace(checkpoint, config=replace(checkpoint.config, layer_norm_epsilon=epsilon))
    monkeypatch.setattr(
        "verify.truth.references.hugging_face", lambda _, dtype: hugging_face(other, dtype)
    )
    check = oracle_check("given", References(checkpoint), case)
    assert check.verdict == "ERROR"
    assert "the two float64 models differ at transformer.h.0.ln_1" in check.message


def test_every_excused_tap_has_a_reason_and_no_other_tap_has_one(references, case):
    expected_taps = references.expected_taps(case.ids)
    excused = {tap for tap, reason in expected_taps.items() if reason}
    assert excused
    assert all("drop" in tap for tap in excused)
    assert set(references.oracle.trace(case.ids)) == expected_taps.keys() - excused
