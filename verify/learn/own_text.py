"""The learner's model writes a text, with the learner's `generate`, in a process of its own.

Called by `whole_model` as `python -m verify learn FOLDER --own-text FILE:NAME FILE:NAME`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from max.dtype import DType

from impl.tokenizer import Tokenizer
from reference.load import load
from reports.commands import UsageError
from reports.saved.files import write_json
from verify.candidate.factory import load_factory, named_file
from verify.candidate.guard import compiling, guarded
from verify.candidate.sandbox import say
from verify.pairing.prepare import prepare, subject_of
from verify.steps.importable import importable

if TYPE_CHECKING:
    from pathlib import Path

    from reference.trace import Array

PROMPT = "And it came to pass"
NEW_TOKENS = 40


def write_text(
    model: str, candidate: str, generation: str, to: Path, *, quick: bool = False
) -> None:
    """Load the learner's model with a checkpoint, and continue a prompt with it.

    Args:
        model: names the checkpoint, which has a tokenizer.
        candidate: the learner's model, as `FILE.py:NAME`.
        generation: the learner's `generate(logits, ids, max_new_tokens)`, likewise.
        to: JSON file that takes `prompt`, `text`, `tokens` and `seconds`.
        quick: compile nothing: the graph is evaluated in float64.

    Raises:
        CandidateError: whatever is wrong with the learner's code.
    """
    checkpoint = load(model)
    if checkpoint.folder is None:
        raise UsageError(f"{model} has no tokenizer, and so no text")
    tokenizer = Tokenizer.load(checkpoint.folder, model_vocab_size=checkpoint.config.vocab_size)
    subject = subject_of(candidate, None, "logits", checkpoint.config.n_layer)
    paired = prepare(subject, checkpoint, "cpu", DType.float32)
    weights = paired.weights_of(checkpoint.weights)
    with compiling(subject.name):
        bound = paired.evaluated(weights) if quick else paired.bind(weights)
    ids = np.array([tokenizer.encode(PROMPT)], dtype=np.int64)
    room = checkpoint.config.n_positions - ids.shape[1]
    with importable(named_file(generation)):
        generate: Any = load_factory(generation)

    def logits(ids: Array) -> Array:
        say("running the model")
        found = bound.logits(np.asarray(ids, dtype=np.int64))
        say("candidate generate")
        return found

    started = time.perf_counter()
    with guarded("generate"):
        found: Any = np.asarray(generate(logits, ids, min(NEW_TOKENS, room)))
    seconds = time.perf_counter() - started
    text = tokenizer.decode(found[0].tolist())
    tokens = int(found.shape[1] - ids.shape[1])
    write_json(to, {"prompt": PROMPT, "text": text, "tokens": tokens, "seconds": seconds})
