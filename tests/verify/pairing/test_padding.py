"""GPT-2s with a padded vocabulary, judged by their traced graphs: nothing is compiled."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import transformers
from max.dtype import DType

FOLDER = Path(__file__).parents[1] / "models" / "people"
sys.path.insert(0, str(FOLDER))

from impl.config import GPT2Config  # noqa: E402
from reference.checkpoint import Checkpoint  # noqa: E402
from reference.regimes import initial_weights, with_regime  # noqa: E402
from verify.candidate.factory import load_factory  # noqa: E402
from verify.candidate.guard import CandidateError  # noqa: E402
from verify.cli import main  # noqa: E402
from verify.pairing.outline import Padding  # noqa: E402
from verify.pairing.padding import is_padded, with_zeros  # noqa: E402
from verify.pairing.prepare import NamedCandidate, prepare  # noqa: E402
from verify.run import Plan, verify  # noqa: E402

pytestmark = pytest.mark.usefixtures("nothing_is_compiled")

CONFIG = GPT2Config(vocab_size=67, n_positions=40, n_embd=32, n_layer=2, n_head=4)
START = Checkpoint(name="small", config=CONFIG, weights=initial_weights(CONFIG, seed=1))
CHECKPOINT = with_regime(START, "perturbed", seed=1)
VOCAB = 67
"""Padded to 128, which is also the size inside this model's MLP."""


def subject(name, *, padded_vocab=True, output="logits"):
    factory = load_factory(f"{FOLDER}/vocabularies.py:{name}")
    return NamedCandidate(name=name, factory=factory, output=output, padded_vocab=padded_vocab)


def judged(candidate):
    plan = Plan(
        checkpoint=CHECKPOINT, regimes=("given",), subject=candidate, quick=True, power=False
    )
    return verify(plan, emit=lambda _: None)


LOADED = "wte.weight is loaded with 61 rows of zeros after the vocabulary's"
LEFT_OUT = "the first 67 columns of the logits are compared, and 61 columns of padding are left out"


@pytest.mark.parametrize(
    ("name", "output", "said"),
    [
        ("tied", "logits", [LEFT_OUT, f"transformer.{LOADED}"]),
        ("own_head", "logits", [LEFT_OUT, f"transformer.{LOADED}", "; lm_head.weight is loaded"]),
        ("turned_head", "logits", [LEFT_OUT, "; head is loaded with 61 rows of zeros"]),
        ("sliced", "logits", [LOADED]),
        ("hidden", "hidden", [LOADED]),
    ],
)
def test_a_right_model_passes_and_what_was_done_is_said(name, output, said):
    outcome = judged(subject(name, output=output))
    assert outcome.verdict == "PASS"
    (check,) = [check for check in outcome.checks if check.mode == "coverage"]
    assert check.message.startswith("--padded-vocab: ")
    assert [text for text in said if text not in check.message] == []
    assert (LEFT_OUT in check.message) == (LEFT_OUT in said)
    logits = {check.shape for check in outcome.checks if check.tap == "lm_head" and check.shape}
    assert {shape[-1] for shape in logits} == {VOCAB}


def test_padded_columns_that_change_the_others_are_a_fault():
    outcome = judged(subject("mean_of_all"))
    assert outcome.verdict == "FAIL"
    assert outcome.first_divergence.tap == "lm_head"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "tied", {"padded_vocab": False},
            r"logits have \[3, 5, 67\] \(61 columns of padding .* --padded-vocab compares",
        ),
        (
            "sliced", {"padded_vocab": False},
            r"transformer.wte.weight has shape \[128, 32\], and .* has 67 tokens: .*--padded-vocab",
        ),
        ("far_too_wide", {"padded_vocab": False}, r"returns shape \[3, 5, 1343\].*"),
        ("far_too_wide", {}, r"returns shape \[3, 5, 1343\].*"),
    ],
)  # fmt: skip
def test_what_is_padded_is_asked_about(name, options, message):
    with pytest.raises(CandidateError, match=message) as caught:
        prepare(subject(name, **options), CHECKPOINT, "cpu", DType.float32)
    assert ("--padded-vocab" in str(caught.value)) == ("padded-vocab" in message)


def test_a_model_without_padding_says_that_the_option_is_in_vain():
    factory = load_factory(f"{FOLDER}/parts.py:right")
    right = NamedCandidate(name="right", factory=factory, padded_vocab=True)
    with pytest.raises(CandidateError, match="right has no padded vocabulary: leave"):
        prepare(right, CHECKPOINT, "cpu", DType.float32)


def test_the_terminal_names_the_option(tmp_path, capsys):
    config = transformers.GPT2Config(
        vocab_size=VOCAB, n_positions=16, n_embd=32, n_layer=2, n_head=4, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "model")
    file = f"{FOLDER}/vocabularies.py:tied"
    options = ["--model", f"{tmp_path}/model", "--candidate", file, "--quick"]
    options += ["--regimes", "given", "--lengths", "1,5"]
    assert main([*options, "--out", f"{tmp_path}/without"]) == 2
    assert "--padded-vocab compares the first 67" in capsys.readouterr().err
    assert main([*options, "--padded-vocab", "--out", f"{tmp_path}/with"]) == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--padded-vocab: the first 67 columns" in said
    assert "Verdict: PASS, not compiled" in said


def test_a_table_that_cannot_be_told_from_a_block_is_refused():
    """The only block's c_fc has as many rows."""
    config = dataclasses.replace(CONFIG, n_layer=1)
    single = Checkpoint(name="single", config=config, weights=initial_weights(config, seed=1))
    with pytest.raises(CandidateError, match="which parameter of tied has padded rows cannot be"):
        prepare(subject("tied"), single, "cpu", DType.float32)


@pytest.mark.parametrize(
    ("size", "vocab_size", "padded"),
    [
        (50304, 50257, True), (50432, 50257, True), (51200, 50257, True), (51201, 50257, False),
        (50257, 50257, False), (50000, 50257, False), (50512, 50257, True), (50513, 50257, False),
        (52000, 50257, False), ("batch", 67, False),
    ],
)  # fmt: skip
def test_padding_is_small_or_round(size, vocab_size, padded):
    """nanoGPT's, llm.c's and Megatron's sizes; 50513 has 256 more, and is not round."""
    assert is_padded(size, vocab_size) == padded


def test_zeros_follow_the_rows_and_what_is_shared_stays_shared():
    table = np.ones((2, 3), np.float32)
    padding = Padding(2, {"a": (4, 3), "b": (4, 3)}, 2)
    made = with_zeros({"a": table, "b": table, "c": table}, padding)
    assert made["a"].tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0], [0, 0, 0]]
    assert made["a"] is made["b"]
    assert made["c"] is table
    assert with_zeros({"c": table}, None)["c"] is table
