"""Weights under Hugging Face's names, whatever wrapped the model that was saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reference.checkpoint import CheckpointError, listing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from impl.config import GPT2Config
    from reference.checkpoint import Array

WRAPPERS = {"module.": "DistributedDataParallel", "_orig_mod.": "torch.compile"}
"""What stands before every name of a model that was saved inside of something, and of what."""

HEADS = {
    "score.": "sequence classification",
    "classifier.": "token classification",
    "qa_outputs.": "question answering",
    "multiple_choice_head.": "multiple choice (GPT2DoubleHeadsModel)",
    "v_head.": "values (reinforcement learning)",
}
"""How the weights of other heads begin, which lie on the same language model."""


def under_our_names(
    config: GPT2Config, raw: Mapping[str, Array]
) -> tuple[dict[str, Array], list[str]]:
    """Drop wrappers, other heads and a tied head's copy; add a `transformer.` that is left out.

    Args:
        config: of the model.
        raw: arrays by the name in the file.

    Returns:
        The weights, and a sentence for whatever a user would want to know of it.

    Raises:
        CheckpointError: for a weight that occurs twice, and a tied head that differs.
    """
    stripped, notes = _unwrapped(raw)
    weights, heads = {}, {}
    for key, array in stripped.items():
        head = next((kind for begin, kind in HEADS.items() if key.startswith(begin)), None)
        if head:
            heads[key] = head
            continue
        full = key if key.startswith(("transformer.", "lm_head.")) else f"transformer.{key}"
        if full in weights:
            raise CheckpointError(f"weight {full} occurs twice, once without `transformer.`")
        weights[full] = array
    if heads:
        kinds = ", ".join(dict.fromkeys(heads.values()))
        notes.append(f"{listing(heads)}: a head for {kinds}, which is not compared")
    _drop_tied_head(config, weights)
    return weights, notes


def _unwrapped(raw: Mapping[str, Array]) -> tuple[dict[str, Array], list[str]]:
    names, prefix = list(raw), ""
    while begin := next(
        (w for w in WRAPPERS if names and all(n.startswith(prefix + w) for n in names)), None
    ):
        prefix += begin
    if not prefix:
        return dict(raw), []
    by = " and ".join(of for begin, of in WRAPPERS.items() if begin in prefix)
    note = f"every weight's name begins with `{prefix}` ({by}), which is left out"
    return {name.removeprefix(prefix): array for name, array in raw.items()}, [note]


def _drop_tied_head(config: GPT2Config, weights: dict[str, Array]) -> None:
    if not config.tie_word_embeddings or "lm_head.weight" not in weights:
        return
    head, wte = weights.pop("lm_head.weight"), weights.get("transformer.wte.weight")
    if wte is None or np.array_equal(head, wte):
        return
    if len(head) > len(wte) and np.array_equal(head[: len(wte)], wte):
        raise CheckpointError(
            f"lm_head.weight has {len(head)} rows, and transformer.wte.weight, which the "
            f"configuration ties to it, {len(wte)}: one of them is padded"
        )
    raise CheckpointError(
        "lm_head.weight differs from transformer.wte.weight, which the configuration ties"
    )
