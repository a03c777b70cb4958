"""Vocabularies padded to a round size: nanoGPT's 50304 rows for 50257 tokens, llm.c's, Megatron's.

The rows beyond the vocabulary stand for no token. With `--padded-vocab` the first `vocab_size`
columns of the logits are compared, and parameters with such rows get zeros in them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from max.experimental.nn import Module
from max.experimental.tensor import Tensor

from reports.tables.numbers import counted
from verify.candidate.result import Taking
from verify.pairing.outline import PADDED_VOCAB, Padding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from max.graph import TensorValue

    from reference.trace import Array
    from verify.pairing.outline import CandidateOutline, ReferenceOutline, Shape

MOST = 256
"""More rows than this are padding only where their number is round."""

ROUND, MOST_ROUND = 64, 1024
"""Megatron pads to multiples of 128 for each of up to eight devices; others to 64."""


class WithoutPadding(Module[[Tensor], Tensor]):
    """A candidate whose logits end with the vocabulary: the harness's own.

    Args:
        model: the candidate.
        vocab_size: how many columns are kept.
    """

    def __init__(self, model: Any, vocab_size: int) -> None:
        self.model = model
        self.vocab_size = vocab_size
        self.taking = taking_padded(vocab_size)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Token ids to logits without padded columns; what is no larger stays as it is."""
        logits: Tensor = self.taking(self.model(input_ids))
        if is_padded(logits.shape[-1], self.vocab_size):
            return logits[..., : self.vocab_size]
        return logits


class GraphWithoutPadding:
    """The same for a model of the graph API."""

    def __init__(self, model: Any, vocab_size: int) -> None:
        self.model = model
        self._vocab_size = vocab_size
        self._taking = taking_padded(vocab_size)

    def __call__(self, input_ids: TensorValue) -> TensorValue:
        """Token ids to logits without padded columns."""
        logits: TensorValue = self._taking(self.model(input_ids)).__tensorvalue__()
        if is_padded(logits.shape[-1], self._vocab_size):
            return logits[..., : self._vocab_size]
        return logits

    @property
    def taking(self) -> Taking:
        """What is taken of what the model returns."""
        return self._taking


def taking_padded(vocab_size: int) -> Taking:
    """Takes logits with padded columns or without out of what a model returns."""
    return Taking("logits", vocab_size, lambda size: is_padded(size, vocab_size))


def is_padded(size: Any, vocab_size: int) -> bool:
    """Whether a size is that of a vocabulary with padding.

    Args:
        size: of an axis; a symbolic one is not.
        vocab_size: tokens of the vocabulary.
    """
    try:
        rows = int(size)
    except (TypeError, ValueError):
        return False
    extra = rows - vocab_size
    return 0 < extra < MOST or (rows % ROUND == 0 and 0 < extra < MOST_ROUND)


def asked(size: int, vocab_size: int) -> str:
    """What to do about logits that seem to be padded; "" where they do not."""
    if not is_padded(size, vocab_size):
        return ""
    return (
        f"{counted(size - vocab_size, 'column')} of padding after the vocabulary's {vocab_size}? "
        f"{PADDED_VOCAB} compares the first {vocab_size}"
    )


def padding_of(
    outline: CandidateOutline, reference: ReferenceOutline, *, within: bool = False
) -> Padding:
    """The padding of a candidate's logits and parameters.

    Args:
        outline: of the candidate.
        reference: what it is compared with.
        within: whether the candidate is in `WithoutPadding`, and so shows its own logits.
    """
    vocab_size = reference.parameters[reference.head[1]][0]
    shapes = dict(_padded_shapes(outline, reference))
    own = (call.gives for call in outline.calls if within and call.name == "model")
    columns = max(((shape or (0,))[-1] - vocab_size for shape in own), default=0)
    return Padding(vocab_size, shapes, columns, "model." if within else "")


def _padded_shapes(
    outline: CandidateOutline, reference: ReferenceOutline
) -> Iterator[tuple[str, Shape]]:
    """Embeddings, heads and their biases with rows beyond the vocabulary.

    A parameter of a block is none of them, whatever its shape; with a single block, shapes tell.
    """
    counts = Counter(_without_numbers(p.name) for p in outline.parameters)
    single = reference.n_layer == 1
    block = reference.block.format(layer=0).removesuffix("0")
    known = {s for n, s in reference.parameters.items() if single or not n.startswith(block)}
    for p in outline.parameters:
        in_block = not single and counts[_without_numbers(p.name)] >= reference.n_layer
        if in_block or known & {p.shape, p.shape[::-1]}:
            continue
        if _trimmed(p.shape, reference) is not None:
            yield p.name, p.shape


def _without_numbers(name: str) -> str:
    return re.sub(r"\d+", "", name)


def _trimmed(shape: Shape, reference: ReferenceOutline) -> Shape | None:
    """The shape without padded rows; None where it has none."""
    table = reference.parameters[reference.head[1]]  # [vocab_size, n_embd]
    for axis, size in enumerate(shape):
        if is_padded(size, table[0]):
            without = (*shape[:axis], table[0], *shape[axis + 1 :])
            if without in (table, table[::-1], table[:1]):
                return without
    return None


def trimmed(
    outline: CandidateOutline, reference: ReferenceOutline, padding: Padding
) -> CandidateOutline:
    """The outline as if nothing were padded, so that it can be paired.

    Args:
        outline: of the candidate.
        reference: what it is compared with.
        padding: as `padding_of` found it.
    """
    parameters = tuple(
        replace(p, shape=_trimmed(p.shape, reference) or p.shape) if p.name in padding.shapes else p
        for p in outline.parameters
    )
    return replace(outline, parameters=parameters, padding=padding)


def with_zeros(weights: Mapping[str, Array], padding: Padding | None) -> dict[str, Array]:
    """The weights, with zeros where a parameter has padded rows; those shared go on sharing.

    Args:
        weights: by the candidate's names.
        padding: of the candidate; None for none.
    """
    if padding is None:
        return dict(weights)
    made: dict[tuple[int, Shape], Array] = {}
    result = {}
    for name, array in weights.items():
        shape = padding.shapes.get(name, array.shape)
        key = (id(array), shape)
        if key not in made:
            missing = [(0, size - own) for size, own in zip(shape, array.shape, strict=True)]
            made[key] = np.pad(array, missing) if shape != array.shape else array
        result[name] = made[key]
    return result
