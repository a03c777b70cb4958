r"""Continues a prompt, one token a step.

## Afterwards

A model that writes.
"""

from collections.abc import Callable

import numpy as np


def generate(
    logits: Callable[[np.ndarray], np.ndarray], ids: np.ndarray, max_new_tokens: int
) -> np.ndarray:
    """The prompt [B, S] and max_new_tokens more of each row; logits: [B, S] -> [B, S, V]."""
    for _ in range(max_new_tokens):
        # TODO 1: the scores of the next token of each row
        # calls: `logits(ids)` gives [B, S, V]; indexing `[:, -1]` takes one position of each row
        # look: at which position a model has seen all tokens so far
        # formula: scores = logits(ids)[:, S - 1]
        # thought: position s predicts token s + 1, and it is token S that is missing
        scores = logits(ids)[:, -1]  # [B, V]
        # done 1

        # TODO 2: the likeliest token of each row
        # calls: `x.argmax(axis=...)` gives the place of the largest number along an axis
        # look: along which axis the vocabulary lies
        # formula: chosen[b] = argmax over v of scores[b, v]
        # thought: softmax would not change which one is the largest, so it is not needed
        chosen = scores.argmax(axis=-1)  # [B]
        # done 2

        # TODO 3: appended to its row
        # calls: `np.concatenate([a, b], axis=...)`; `chosen[:, None]` makes [B, 1] of [B]
        # look: along which axis positions lie
        # formula: ids = ids with chosen at its end
        # thought: a new array is made, so that the caller's prompt stays as it was
        ids = np.concatenate([ids, chosen[:, None]], axis=1)  # [B, S + 1]
        # done 3
    return ids
