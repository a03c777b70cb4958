"""Checks on real text: the same greedy continuation, the same perplexity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from impl.tokenizer import Tokenizer
from reference.load import TINY_FOLDER
from verify.judge.verdict import Check
from verify.truth.cases import Case

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference.checkpoint import Checkpoint
    from reference.trace import Array
    from verify.candidate.model_graphs import BoundCandidate
    from verify.truth.references import References

HELD_OUT = TINY_FOLDER / "heldout.txt"
"""Text that the embedded checkpoint was not trained on, read by every checkpoint's tokenizer."""

TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt")

PROMPTS = 4
PROMPT_LENGTH = 16
NEW_TOKENS = 16
TEXT_LENGTH = 256
"""Longest stretch of text in one case, in tokens."""


def held_out_ids(checkpoint: Checkpoint) -> Array | None:
    """The held-out text as int64 token ids of the checkpoint's tokenizer; None if it has none.

    Raises:
        impl.tokenizer.TokenizerError: where the tokenizer's files are damaged.
    """
    folder = checkpoint.folder
    if folder is None or not any((folder / name).exists() for name in TOKENIZER_FILES):
        return None
    tokenizer = Tokenizer.load(folder, model_vocab_size=checkpoint.config.vocab_size)
    return np.array(tokenizer.encode(HELD_OUT.read_text(encoding="utf-8")), dtype=np.int64)


def text_case(checkpoint: Checkpoint, ids: Array, *, seed: int, device: str) -> Case:
    """One row of held-out text, as long as the model and `TEXT_LENGTH` allow."""
    length = min(TEXT_LENGTH, checkpoint.config.n_positions, ids.size)
    return Case(
        regime=checkpoint.regime, ids=ids[None, :length], label="text", seed=seed, device=device
    )


def greedy_check(
    candidate: BoundCandidate, references: References, ids: Array, device: str, dtype: str
) -> Check:
    """Continue prompts greedily on both sides and compare the token ids.

    Where a row's choices part, the oracle decides: the difference is excused only if its own lead
    is no more than twice the candidate's error at that position, and that error no more than
    PyTorch's own by an order of magnitude. The row is not followed any further.
    """
    config = references.checkpoint.config
    length = min(PROMPT_LENGTH, config.n_positions // 2)
    rows = min(PROMPTS, ids.size // length)
    prompts = ids[: rows * length].reshape(rows, length)
    new = min(NEW_TOKENS, config.n_positions - length)
    expected = _continue(references.torch.logits, prompts, new)
    found = _continue(candidate.logits, prompts, new)
    parted = [row for row in range(rows) if not np.array_equal(expected[row], found[row])]
    wrong = [
        row for row in parted if not _excused(candidate, references, expected[row], found[row])
    ]
    prefix = "" if device == "cpu" else f"{device}-"
    return Check(
        case=f"{prefix}{references.checkpoint.regime}-greedy-{rows}x{length}+{new}",
        mode="greedy",
        tap="lm_head",
        verdict="FAIL" if wrong else "PASS",
        shape=(rows, new),
        dtype=dtype,
        message=f"{len(wrong)} of {rows} continuations differ" if wrong else "",
        details={"rows": rows, "new_tokens": new, "parted": len(parted), "wrong": len(wrong)},
    )


def _continue(logits: Callable[[Array], Array], prompts: Array, new: int) -> Array:
    """Greedy decoding, every step over the whole sequence."""
    ids = prompts
    for _ in range(new):
        chosen = logits(ids)[:, -1].astype(np.float64).argmax(axis=-1)
        ids = np.concatenate([ids, chosen[:, None].astype(np.int64)], axis=1)
    return ids


def _excused(
    candidate: BoundCandidate, references: References, expected: Array, found: Array
) -> bool:
    """Whether the first differing choice was too close for float32 to call."""
    at = int(np.argmax(expected != found))
    context = expected[None, :at]
    truth = references.oracle.trace(context)["lm_head"][0, -1]
    lead = abs(truth[expected[at]] - truth[found[at]])
    error, torch_error = (
        float(np.abs(logits(context)[0, -1] - truth).max())
        for logits in (candidate.logits, references.torch.logits)
    )
    return bool(error <= 10 * torch_error and lead <= 2 * error)
