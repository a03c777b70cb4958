"""Constants of float32 widen what is allowed where they count, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest
from max.dtype import DType

from impl.config import GPT2Config
from reference.checkpoint import Checkpoint
from reference.regimes import initial_weights, with_regime
from verify.candidate.allowance import with_rounded_constants
from verify.candidate.factory import load_factory
from verify.candidate.observation import Observation
from verify.checks.stages import check_case
from verify.pairing.prepare import NamedCandidate, prepare
from verify.truth.cases import PROBE_SIZE, random_cases
from verify.truth.float64 import Mathematics

MODELS = Path(__file__).parents[1] / "models"
CONFIG = GPT2Config(vocab_size=67, n_positions=40, n_embd=32, n_layer=2, n_head=4)
TAP = "transformer.h.1.mlp.act"


@pytest.fixture(scope="module")
def truth():
    start = Checkpoint(name="small", config=CONFIG, weights=initial_weights(CONFIG, seed=1))
    return Mathematics(with_regime(start, "perturbed", seed=1))


def judged(truth, name):
    """A candidate, and its checks without and with what its constants allow."""
    factory = load_factory(f"{MODELS / 'float32_constants.py'}:{name}")
    subject = NamedCandidate(name=name, factory=factory)
    candidate = prepare(subject, truth.checkpoint, "cpu", DType.float32)
    bound = candidate.evaluated(candidate.weights_of(truth.checkpoint.weights))
    (case,) = random_cases(CONFIG, "given", [PROBE_SIZE], seed=0, device="cpu")
    expected = truth.expectation(case, candidate.given_taps)
    observed = Observation(bound, expected)
    widened = with_rounded_constants(expected, bound, observed)
    return [list(check_case(observed, one)) for one in (expected, widened)], (expected, widened)


def failing(checks):
    return {check.tap for check in checks if check.verdict == "FAIL" and check.mode == "isolated"}


def test_a_right_model_with_a_constant_of_float32_passes(truth):
    (without, checks), _ = judged(truth, "gelu_in_float32")
    assert failing(without) == {TAP}
    assert {check.verdict for check in checks} == {"PASS"}


def test_what_is_allowed_grows_where_the_constant_counts_alone(truth):
    _, (expected, widened) = judged(truth, "gelu_in_float32")
    ratios = {
        tap: widened.isolated_envelope[tap].rms / one.rms
        for tap, one in expected.isolated_envelope.items()
        if one.rms
    }
    assert ratios.pop(TAP) > 1e5
    assert set(ratios.values()) == {1.0}
    assert widened.free_envelope["lm_head"].rms > expected.free_envelope["lm_head"].rms


def test_another_number_is_still_another_number(truth):
    (_, checks), _ = judged(truth, "gelu_with_another_number")
    assert failing(checks) == {TAP}


def test_a_cast_to_fewer_bits_fails_where_it_is_made(truth):
    (_, checks), _ = judged(truth, "gelu_in_bfloat16")
    assert failing(checks) == {TAP}
    worst = max(check.used for check in checks if check.tap == TAP)
    assert worst > 1e9


def test_nothing_is_added_where_no_constant_was_rounded(truth):
    _, (expected, widened) = judged(truth, "exact_numbers")
    assert widened is expected


def test_the_tables_constant_is_what_it_is_said_to_be():
    assert np.float32(np.sqrt(2 / np.pi)) != np.sqrt(2 / np.pi)
