"""Greedy generation for arms that give logits on the host, one step after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from bench.arms.base import Stamp

    Array = npt.NDArray[Any]


def greedy(
    prefill: Callable[[Array], Array],
    decode: Callable[[Array], Array],
    ids: Array,
    n_new: int,
    stamp: Stamp,
) -> Array:
    """The tokens with the largest logits, each fed back.

    Args:
        prefill: int64 `[batch, length]` to the last position's logits `[batch, vocab_size]`.
        decode: the tokens of the step before, int64 `[batch]`, to logits `[batch, vocab_size]`.
        ids: the prompt.
        n_new: how many tokens to generate, the first by `prefill`.
        stamp: called after each token.

    Returns:
        int64 `[batch, n_new]`.
    """
    chosen = np.empty((len(ids), n_new), np.int64)
    for step in range(n_new):
        logits = decode(chosen[:, step - 1]) if step else prefill(ids)
        chosen[:, step] = logits.argmax(axis=-1)
        stamp()
    return chosen
