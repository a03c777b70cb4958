"""What the mathematics of a case is compared with."""

from dataclasses import replace

import numpy as np
import pytest

from impl.config import GPT2Config
from impl.weights import parameter_shapes
from reference.checkpoint import Checkpoint
from reference.load import load
from reference.regimes import REGIMES, with_regime
from verify.judge.acceptance import EXACT, Envelope, judge
from verify.truth import envelope
from verify.truth.cases import PROBE_SIZE, probe_case, random_cases
from verify.truth.envelope import DRAWS, LEAST_DRAWS, NoisyRecorder
from verify.truth.float32 import Pairwise
from verify.truth.float64 import Fused, Mathematics, Shuffled, pooled
from verify.truth.references import References


@pytest.fixture(scope="module")
def truth(checkpoint):
    return Mathematics(checkpoint)


@pytest.fixture(scope="module")
def expected(truth, checkpoint):
    (case,) = random_cases(checkpoint.config, "given", [PROBE_SIZE], seed=0, device="cpu")
    taps = [tap for tap in truth.oracle.trace(case.ids) if not tap.endswith(":input")]
    return truth.expectation(case, taps)


def test_what_is_allowed_is_float64s_own_rounding(expected):
    for tap, allowed in expected.isolated_envelope.items():
        size = np.sqrt((expected.isolated[tap].astype(float) ** 2).mean())
        assert allowed.rms <= 1e-14 * size, tap
    logits = expected.free_envelope["lm_head"]
    assert 1e-17 < logits.rms < 1e-13


def test_pytorch_takes_no_part(expected):
    assert expected.torch_isolated == expected.torch_free == {}
    assert expected.correct is expected.isolated
    assert expected.at("lm_head", alone=True).torch is None


def test_pytorch_s_long_chains_are_float64_s_own_rounding():
    """At a depth of 8192 its sums stray three times as far as NumPy's, which add up blocks."""
    config = GPT2Config(
        vocab_size=300, n_positions=64, n_embd=64, n_head=4, n_inner=8192, n_layer=2
    )
    draws = np.random.default_rng(0)
    state = {
        name: np.ones(shape, np.float32)
        if ".ln_" in name and name.endswith("weight")
        else draws.normal(0, 0.05, shape).astype(np.float32)
        for name, shape in parameter_shapes(config).items()
    }
    references = References(Checkpoint(name="wide", config=config, weights=state))
    (case,) = random_cases(config, "given", [PROBE_SIZE], seed=0, device="cpu")
    place, judgement = references.oracle_disagreement(case)
    assert judgement.verdict == "PASS", (place, judgement.used)
    assert judgement.used < 0.8


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("order", [Shuffled, Fused, Pairwise])
def test_an_order_that_the_envelope_has_not_seen_passes(checkpoint, regime, order):
    state = with_regime(checkpoint, regime, seed=1)
    others = Mathematics(state, without=order if order is Pairwise else None)
    wide = {name: array.astype(np.float64) for name, array in state.weights.items()}
    second = np.float64 if order is Pairwise else 7  # a seed that the envelope has not seen
    model = order(replace(state, weights=wide), second)
    config = checkpoint.config
    cases = random_cases(config, regime, [PROBE_SIZE], seed=1, device="cpu")
    for case in [*cases, probe_case(config, regime, seed=1, device="cpu")]:
        taps = [tap for tap in others.oracle.trace(case.ids) if not tap.endswith(":input")]
        expected = others.expectation(case, taps, free=False)
        found = model.trace(case.ids, expected.given)
        for tap, array in expected.isolated.items():
            judgement = judge(found[tap], array, expected.isolated_envelope[tap], "float64")
            assert judgement.verdict == "PASS", (tap, judgement.used)


def test_blocks_share_the_widest_envelope_relative_to_their_results():
    envelopes = {
        "transformer.h.0.mlp": Envelope(1e-16, 2e-16),
        "transformer.h.1.mlp": Envelope(4e-16, 5e-16),
        "transformer.ln_f": Envelope(3e-16, 3e-16),
        "transformer.h.0:input": EXACT,
    }
    sizes = {"transformer.h.0.mlp": 1.0, "transformer.h.1.mlp": 2.0}
    truth = {tap: np.full((1, 2, 3), sizes.get(tap, 1.0)) for tap in envelopes}
    shared = pooled(envelopes, truth)
    assert shared["transformer.h.0.mlp"].rms == pytest.approx(2e-16)
    assert shared["transformer.h.1.mlp"].rms == pytest.approx(4e-16)
    assert shared["transformer.h.1.mlp"].max == pytest.approx(5e-16)
    assert shared["transformer.ln_f"].rms == pytest.approx(3e-16)
    assert shared["transformer.h.0:input"] == EXACT


def test_an_expectation_is_kept_for_its_own_input_alone(checkpoint):
    keeping, forgetting = Mathematics(checkpoint, kept=2), Mathematics(checkpoint)
    first, other, third = (
        random_cases(checkpoint.config, "given", [(1, 3)], seed=seed, device="cpu")[0]
        for seed in range(3)
    )
    assert first.name == other.name
    known = keeping.expectation(first, [])
    assert keeping.expectation(first, []) is known
    assert keeping.expectation(other, []) is not known
    keeping.expectation(third, [])
    assert keeping.expectation(first, []) is not known
    assert forgetting.expectation(first, []) is not forgetting.expectation(first, [])


def test_a_near_tie_that_carries_an_error_is_drawn_more_often(monkeypatch):
    made, tiny = [], load("tiny")

    class Counted(NoisyRecorder):
        def __init__(self, *arguments):
            made.append(self)
            super().__init__(*arguments)

    def drawn(regime):
        made.clear()
        (case,) = random_cases(tiny.config, regime, [PROBE_SIZE], seed=0, device="cpu")
        Mathematics(with_regime(tiny, regime)).expectation(case, [])
        return len(made)

    monkeypatch.setattr(envelope, "NoisyRecorder", Counted)
    assert drawn("given") == LEAST_DRAWS
    assert drawn("stress") == DRAWS
