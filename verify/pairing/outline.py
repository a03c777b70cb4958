"""What two models consist of, as far as pairing them needs it: parameters, calls, places.

Everything here is plain data. A candidate's outline comes from one trace of its module tree into a
graph that is thrown away; a reference's from its parameters and one run.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read at run time where an outline is decoded
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from impl.config import parameter_shapes
from reference.oracle import Oracle
from reference.taps import LOGITS, is_input
from reports.tables.numbers import counted
from verify.pairing.counterpart import PARTS

if TYPE_CHECKING:
    from reference.checkpoint import Checkpoint

BATCH, LENGTH = 3, 5
"""Sizes that stand for the symbols `batch` and `sequence` when shapes are compared."""

Shape = tuple[int, ...]

PADDED_VOCAB = "--padded-vocab"
"""The option with which rows and columns beyond the vocabulary are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of a candidate.

    Attributes:
        name: its path.
        shape: its sizes.
        linear: whether it is the weight of MAX's own `Linear`, and so laid out `[out, in]`.
        owner: class of the module that holds it.
        dtype: as MAX names it.
    """

    name: str
    shape: Shape
    linear: bool = False
    owner: str = ""
    dtype: str = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of one of a candidate's modules.

    Attributes:
        name: the module's path, with `#2` for its second call.
        takes: shape of the first tensor that it is called with; None if there is none.
        gives: shape of the first tensor that it returns; None if there is none. A size that
            is unknown is 0.
        within: name of the call that it is made in; "" for the model's own.
        takes_all: whether that first tensor is the model's own, token ids that is.
    """

    name: str
    takes: Shape | None
    gives: Shape | None
    within: str = ""
    takes_all: bool = False

    @property
    def path(self) -> str:
        """The module's path."""
        return self.name.partition("#")[0]


@dataclass(frozen=True, slots=True)
class Padding:
    """What a candidate has beyond the vocabulary.

    Attributes:
        vocab_size: tokens of the vocabulary.
        shapes: by the name of a parameter with padded rows, its own shape.
        columns: padded columns of the logits.
        within: the candidate's path in what the harness puts around it, with its dot; else "".
    """

    vocab_size: int
    shapes: Mapping[str, Shape]
    columns: int
    within: str = ""

    def in_words(self) -> str:
        """What is done about it, in a sentence."""
        parts = []
        if self.columns:
            left_out = counted(self.columns, "column")
            are = "is" if self.columns == 1 else "are"
            parts.append(
                f"the first {self.vocab_size} columns of the logits are compared, and {left_out} "
                f"of padding {are} left out"
            )
        for name, shape in self.shapes.items():
            zeros = counted(max(shape) - self.vocab_size, "row")
            own = name.removeprefix(self.within)
            parts.append(f"{own} is loaded with {zeros} of zeros after the vocabulary's")
        return f"{PADDED_VOCAB}: {'; '.join(parts)}"


@dataclass(frozen=True)
class CandidateOutline:
    """Parameters, tied ones under each of their names, and calls in the order of execution.

    Attributes:
        tied: names that share another parameter's tensor, with that parameter's name.
        gives: shape of what the model itself returns.
        padding: what it has beyond the vocabulary, where that was taken off; else None.
        said: which of several things that the model returns is taken, in words; else "".
    """

    parameters: tuple[Parameter, ...]
    calls: tuple[Call, ...]
    gives: Shape
    tied: Mapping[str, str] = field(default_factory=dict)
    padding: Padding | None = None
    said: str = ""


@dataclass(frozen=True)
class ReferenceOutline:
    """What the candidate is paired with.

    Attributes:
        parameters: shape of each.
        places: shape at each tap, inputs included, in the order of execution.
        block: path of the blocks, with `{layer}` for a block's number.
        n_layer: how many blocks there are.
        fused: parameters that a candidate may hold in thirds.
        out_in: whether linear weights are laid out `[out, in]`.
        head: the place of the head, and the parameter that it holds.
        inner: the last place before the head.
    """

    parameters: Mapping[str, Shape]
    places: Mapping[str, Shape]
    block: str
    n_layer: int
    fused: tuple[str, ...]
    out_in: bool
    head: tuple[str, str]
    inner: str

    @property
    def modules(self) -> list[str]:
        """Every tap that is not a module's input."""
        return [tap for tap in self.places if not is_input(tap)]

    def atoms(self, place: str) -> frozenset[str]:
        """The parameters that a place holds, fused ones as their thirds."""
        if place == self.head[0]:
            return frozenset([self.head[1]])
        names = (name for name in self.parameters if name.startswith(f"{place}."))
        return frozenset(atom for name in names for atom in self.thirds(name))

    def thirds(self, name: str, part: str = "") -> list[str]:
        """`name [query]`, `name [key]`, `name [value]` of a fused parameter; else its name."""
        if name not in self.fused:
            return [name]
        return [f"{name} [{p}]" for p in PARTS if part in ("", p)]


def gpt2_outline(checkpoint: Checkpoint) -> ReferenceOutline:
    """What Hugging Face's GPT-2 consists of."""
    config = checkpoint.config
    length = min(LENGTH, config.n_positions)
    trace = Oracle(checkpoint).trace(np.zeros((BATCH, length), np.int64))
    parameters = parameter_shapes(config)
    tied = "transformer.wte.weight" if config.tie_word_embeddings else "lm_head.weight"
    return ReferenceOutline(
        parameters=parameters,
        places={tap: array.shape for tap, array in trace.items()},
        block="transformer.h.{layer}",
        n_layer=config.n_layer,
        fused=tuple(name for name in parameters if ".c_attn." in name),
        out_in=False,
        head=(LOGITS, tied),
        inner="transformer",
    )


def numbers(shape: Any) -> Shape:
    """A shape with `BATCH` and `LENGTH` in place of its symbols; 0 for what is unknown."""
    known = {"batch": BATCH, "sequence": LENGTH}
    return tuple(known.get(str(dim), int(dim) if str(dim).isdecimal() else 0) for dim in shape)
