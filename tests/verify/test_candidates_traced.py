"""The candidates of `models/`, judged by their traced graphs in float64: every one, in seconds.

`test_candidates.py` compiles some of them; here nothing is compiled.
"""

import sys
from pathlib import Path

import pytest
from max.dtype import DType

FOLDER = Path(__file__).parent / "models"
sys.path.insert(0, str(FOLDER))

from expected import RIGHT, WRONG  # noqa: E402 - lies beside the candidates

from impl.config import GPT2Config  # noqa: E402
from reference.checkpoint import Checkpoint  # noqa: E402
from reference.regimes import initial_weights, with_regime  # noqa: E402
from verify.candidate.factory import load_factory  # noqa: E402
from verify.mathematics import MathematicsRun  # noqa: E402
from verify.outcome import Outcome  # noqa: E402
from verify.pairing.prepare import NamedCandidate, prepare  # noqa: E402
from verify.truth.cases import PROBE_SIZE  # noqa: E402

pytestmark = pytest.mark.usefixtures("nothing_is_compiled")

CONFIG = GPT2Config(vocab_size=67, n_positions=40, n_embd=32, n_layer=2, n_head=4)
START = Checkpoint(name="small", config=CONFIG, weights=initial_weights(CONFIG, seed=1))
CHECKPOINT = with_regime(START, "perturbed", seed=1)


def judged(spec):
    """What a quick run makes of a candidate on weights that differ everywhere."""
    file, _, name = spec.partition(":")
    factory = load_factory(f"{FOLDER / file}:{name}")
    subject = NamedCandidate(name=spec, factory=factory, output=RIGHT.get(spec, "logits"))
    candidate = prepare(subject, CHECKPOINT, "cpu", DType.float32)
    outcome = Outcome()
    run = MathematicsRun(
        CHECKPOINT, candidate, "given", [PROBE_SIZE],
        seed=0, dtype="float32", outcome=outcome, status=lambda _: None, power=False,
    )  # fmt: skip
    outcome.checks.extend(run.checks())
    outcome.explain()
    return outcome


@pytest.mark.parametrize("spec", RIGHT)
def test_a_right_candidate_is_the_same_mathematics(spec):
    outcome = judged(spec)
    assert outcome.verdict == "PASS"
    assert max(check.relative or 0 for check in outcome.checks) < 1e-12


def test_where_nothing_but_the_logits_is_seen_the_listing_names_the_block():
    listing = judged("faults.py:ErfFunctional").listing
    assert "it matches up to c_fc: x W + b of h.0" in listing.summary
    assert "first differs: gelu (faults.py:" in listing.summary


def test_where_the_listing_ends_in_the_head_it_says_what_is_left_out():
    summary = judged("faults.py:NoLastNorm").listing.summary
    assert "the reference has logits = x wte^T, beginning with ln_f: mean(x)" in summary


def test_a_place_that_nothing_computes_is_said_to_be_passed_on():
    summary = judged("faults.py:no_residual").listing.summary
    assert "should be x + attn(...), and is c_proj: x W + b, which is passed on" in summary


@pytest.mark.parametrize("spec", WRONG)
def test_a_fault_is_blamed_on_its_place_and_named(spec):
    place, fault = WRONG[spec]
    divergence = judged(spec).first_divergence
    assert divergence is not None
    assert divergence.tap == place
    assert f"[{fault}]" in divergence.diagnosis
