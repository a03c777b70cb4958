from types import SimpleNamespace

import numpy as np
import pytest

from reference.load import load
from verify.checks.text import HELD_OUT, greedy_check, held_out_ids, text_case
from verify.truth.references import References


@pytest.fixture(scope="module")
def references():
    return References(load("tiny"))


@pytest.fixture(scope="module")
def ids(references):
    return held_out_ids(references.checkpoint)


def test_the_held_out_text_is_tokens_of_the_checkpoint(references, ids):
    assert ids.dtype == np.int64
    assert len(ids) > 1000
    assert ids.max() < references.checkpoint.config.vocab_size
    assert HELD_OUT.stat().st_size > 8000


def test_a_checkpoint_without_tokenizer_has_no_text(checkpoint):
    assert held_out_ids(checkpoint) is None


def test_the_text_case_fits_the_model(references, ids):
    case = text_case(references.checkpoint, ids, seed=0, device="cpu")
    assert case.ids.shape == (1, references.checkpoint.config.n_positions)
    assert case.name == "given-text-1x256"


def test_the_reference_continues_as_it_does(references, ids):
    check = greedy_check(references.torch, references, ids, "cpu", "float32")
    assert check.verdict == "PASS"
    assert check.details["parted"] == 0


def test_another_continuation_fails(references, ids):
    """A model that never says its first choice."""

    def second_best(tokens):
        logits = references.torch.logits(tokens).copy()
        np.put_along_axis(logits, logits.argmax(-1)[..., None], -1e9, axis=-1)
        return logits

    candidate = SimpleNamespace(logits=second_best)
    check = greedy_check(candidate, references, ids, "cpu", "float32")
    assert check.verdict == "FAIL"
    assert check.details["wrong"] == check.details["rows"]
