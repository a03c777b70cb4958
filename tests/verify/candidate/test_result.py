"""What is taken of what a model returns; models are traced, and nothing is compiled."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from max.dtype import DType

from impl.config import GPT2Config
from reference.checkpoint import Checkpoint
from reference.oracle import Oracle
from reference.regimes import initial_weights, with_regime
from reports.saved.records import read_run
from verify.candidate.factory import load_factory
from verify.candidate.guard import CandidateError
from verify.cli import main
from verify.pairing.prepare import NamedCandidate, prepare
from verify.pairing.translated import held_weights

FOLDER = Path(__file__).parents[1] / "models"
sys.path.insert(0, str(FOLDER))

pytestmark = pytest.mark.usefixtures("nothing_is_compiled")

CONFIG = GPT2Config(vocab_size=67, n_positions=40, n_embd=32, n_layer=2, n_head=4)
START = Checkpoint(name="small", config=CONFIG, weights=initial_weights(CONFIG, seed=1))
CHECKPOINT = with_regime(START, "perturbed", seed=1)
IDS = np.random.default_rng(0).integers(0, CONFIG.vocab_size, (2, 7))


def prepared(name, output="logits"):
    factory = load_factory(f"{FOLDER}/forms/returns.py:{name}")
    subject = NamedCandidate(name=name, factory=factory, output=output)
    return prepare(subject, CHECKPOINT, "cpu", DType.float32)


@pytest.mark.parametrize(
    ("name", "output", "said"),
    [
        ("Several", "logits", "a tuple of 2: its first, with the shape of logits, is taken"),
        ("HiddenFirst", "logits", "a tuple of 2: its second, with the shape of logits, is taken"),
        ("Alone", "logits", "a list of 1: its first, with the shape of logits, is taken"),
        ("AsObject", "logits", "it returns an Output: its logits is taken"),
        ("AsDict", "logits", "it returns a dict: its logits is taken"),
        ("HiddenAndCaches", "hidden", "its first, with the shape of hidden states, is taken"),
    ],
)
def test_the_logits_are_taken_and_that_is_said(name, output, said):
    candidate = prepared(name, output)
    assert [said in note for note in candidate.notes] == [True]
    bound = candidate.evaluated(held_weights(candidate, CHECKPOINT, "float32"))
    truth = Oracle(CHECKPOINT).trace(IDS)["lm_head"]
    assert np.allclose(bound.logits(IDS), truth, rtol=0, atol=1e-12)
    assert np.array_equal(bound.trace(IDS)[0], bound.logits(IDS))


def test_a_tuple_without_logits_is_refused_with_what_it_holds():
    with pytest.raises(CandidateError) as caught:
        prepared("NoLogits")
    assert "a tuple of 2 ([batch, sequence, 32], None), none of which has" in str(caught.value)
    assert "[batch, sequence, 67] (for a model that returns hidden states" in str(caught.value)


def test_a_run_says_it_once(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(FOLDER))
    options = ["--regimes", "given,stress", "--lengths", "5", "--batch", "1"]
    written = ["--out", f"{tmp_path}/run", "--json", f"{tmp_path}/out.json"]
    candidate = f"{FOLDER}/forms/returns.py:Several"
    assert main(["--quick", "--candidate", candidate, *options, *written]) == 0
    assert capsys.readouterr().out.count("Note: it returns a tuple of 2: its first") == 1
    (note,) = json.loads((tmp_path / "out.json").read_text())["notes"]
    assert read_run(tmp_path / "run").end["notes"] == [note]


def test_a_model_that_returns_a_tensor_needs_no_note():
    factory = load_factory(f"{FOLDER}/own_names.py:MyGPT")
    subject = NamedCandidate(name="MyGPT", factory=factory)
    assert prepare(subject, CHECKPOINT, "cpu", DType.float32).notes == []
