"""Whatever wrapped the model that was saved, its weights are found, and it is said."""

import numpy as np
import pytest

from reference.checkpoint import CheckpointError
from reference.names import under_our_names

WTE, HEAD = "transformer.wte.weight", "lm_head.weight"


@pytest.mark.parametrize(
    ("prefix", "of"),
    [("module.", "DistributedDataParallel"), ("_orig_mod.", "torch.compile"),
     ("module._orig_mod.", "DistributedDataParallel and torch.compile"),
     ("_orig_mod.module.", "DistributedDataParallel and torch.compile")],
)  # fmt: skip
def test_what_stands_before_every_name_is_left_out_and_named_once(small, prefix, of):
    raw = {prefix + name: array for name, array in small.weights.items()}
    weights, (note,) = under_our_names(small.config, raw)
    assert weights.keys() == small.weights.keys()
    assert f"begins with `{prefix}` ({of})" in note


def test_what_stands_before_some_names_alone_stays(small):
    weights, notes = under_our_names(small.config, {"module.a": np.ones(1), "b": np.ones(1)})
    assert set(weights) == {"transformer.module.a", "transformer.b"}
    assert not notes


@pytest.mark.parametrize(
    ("name", "kind"),
    [("score.weight", "sequence classification"), ("classifier.bias", "token classification"),
     ("multiple_choice_head.summary.weight", "multiple choice"), ("qa_outputs.weight", "question")],
)  # fmt: skip
def test_another_head_is_left_out_and_named(small, name, kind):
    weights, (note,) = under_our_names(small.config, {**small.weights, name: np.ones((2, 4))})
    assert weights.keys() == small.weights.keys()
    assert note.startswith(f"{name}: a head for {kind}")


def test_a_padded_head_beside_an_embedding_that_is_not_is_called_so(small):
    padded = np.concatenate([small.weights[WTE], np.zeros((3, small.config.n_embd), np.float32)])
    with pytest.raises(CheckpointError, match=f"{HEAD} has {len(padded)} rows.*padded"):
        under_our_names(small.config, {**small.weights, HEAD: padded})
