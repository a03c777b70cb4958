"""Parameters of other dtypes than float32: refused in a sentence, or filled in their own."""

import sys
from pathlib import Path

import numpy as np
import pytest
from max.dtype import DType
from max.experimental.tensor import default_dtype

from impl.config import GPT2Config
from impl.model import GPT2MLP
from reference.checkpoint import Checkpoint
from reference.dtypes import DTYPES, rounded
from reference.regimes import initial_weights, with_regime
from verify.candidate.factory import load_factory
from verify.candidate.guard import CandidateError
from verify.pairing.prepare import NamedCandidate, prepare
from verify.pairing.translated import held_weights
from verify.run import Plan, verify
from verify.steps.component import check_shapes
from verify.steps.course import STEPS
from verify.truth.cases import random_cases
from verify.truth.references import References

FOLDER = Path(__file__).parents[1] / "models"
sys.path.insert(0, str(FOLDER))

pytestmark = pytest.mark.usefixtures("nothing_is_compiled")

CONFIG = GPT2Config(vocab_size=67, n_positions=40, n_embd=32, n_layer=2, n_head=4)
START = Checkpoint(name="small", config=CONFIG, weights=initial_weights(CONFIG, seed=1))
CHECKPOINT = with_regime(START, "perturbed", seed=1)


def subject(name):
    return NamedCandidate(name=name, factory=load_factory(f"{FOLDER}/forms/precisions.py:{name}"))


@pytest.mark.parametrize(
    ("name", "dtype", "message"),
    [
        ("all_bfloat16", "float32", "are bfloat16: verify with --dtype bfloat16, or declare float"),
        ("all_bfloat16", "float16", "are bfloat16: verify with --dtype bfloat16, or declare float"),
        (
            "norms_in_float32",
            "float32",
            "s token_embedding.weight and 17 more are bfloat16: verify",
        ),
        ("one_bfloat16", "float32", "parameters final_norm.weight and 1 more are bfloat16: verify"),
    ],
)
def test_a_model_of_another_precision_is_refused_in_a_sentence(name, dtype, message):
    with pytest.raises(CandidateError, match=message):
        prepare(subject(name), CHECKPOINT, "cpu", DType[dtype])


def test_a_component_is_told_to_declare_float32():
    """A step's precision is not chosen, and so another is not offered."""

    def mlp(config):
        with default_dtype(DType.bfloat16):
            return GPT2MLP(config)

    with pytest.raises(CandidateError, match="its parameters are bfloat16: declare float32"):
        check_shapes(STEPS[3], mlp)


def test_parameters_of_more_bits_are_filled_in_their_own_dtype_and_judged():
    candidate = prepare(subject("norms_in_float32"), CHECKPOINT, "cpu", DType.bfloat16)
    weights = held_weights(candidate, rounded(CHECKPOINT, "bfloat16"), "bfloat16")
    assert weights["layers.0.norm1.weight"].dtype == np.float32
    assert weights["layers.0.feed_forward.up.weight"].dtype == DTYPES["bfloat16"]
    plan = Plan(
        checkpoint=CHECKPOINT, regimes=("given",), subject=subject("norms_in_float32"),
        dtype="bfloat16", quick=True, power=False,
    )  # fmt: skip
    assert verify(plan, emit=lambda _: None).verdict == "PASS"


def test_given_activations_are_taken_in_the_dtype_that_the_module_returns():
    """As the compiled program takes them: it refuses a buffer of another dtype."""
    candidate = prepare(subject("RoundedInside"), CHECKPOINT, "cpu", DType.float32)
    bound = candidate.evaluated(held_weights(candidate, CHECKPOINT, "float32"), "declared").bound
    taken = bound._as_taken("final_norm", np.ones(3, np.float32))
    assert taken.dtype == DTYPES["bfloat16"]
    references = References(CHECKPOINT)
    (case,) = random_cases(CONFIG, "given", [(2, 5)], seed=0, device="cpu")
    expected = references.expectation(case, candidate.given_taps)
    own = candidate.substitutes(case.ids, expected.given)
    found = bound.forced_trace(case.ids, own)
    assert found["final_norm"].dtype == DTYPES["bfloat16"]
