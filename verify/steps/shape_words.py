"""What a wrong shape, or a parameter that is missing or too many, tells of a mistake.

Sizes are given in the letters of the course: B, S, D (n_embd), 3D, 4D, V (vocab_size), P
(n_positions), H (n_head).
"""

from __future__ import annotations

import re
from itertools import permutations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impl.config import GPT2Config
    from verify.pairing.outline import CandidateOutline, ReferenceOutline, Shape
    from verify.steps.course import Step


def letters(shape: Sequence[int], config: GPT2Config, batch: int = 0, length: int = 0) -> str:
    """A shape in letters: `[B, S, 4D]`; sizes that have none, as they are.

    Args:
        shape: sizes; 0 for one that is not known.
        config: the model that they are of.
        batch: rows of the input.
        length: tokens of the input.
    """
    known = {
        config.vocab_size: "V",
        config.n_positions: "P",
        2 * config.n_embd: "2D",
        3 * config.n_embd: "3D",
        4 * config.n_embd: "4D",
        config.n_embd: "D",
        config.head_dim: "head_dim",
        config.n_head: "H",
        batch * length: "B S",
        length - 1: "S - 1",
        length: "S",
        batch: "B",
        1: "1",
        0: "?",
    }
    return f"[{', '.join(known.get(size, str(size)) for size in shape)}]"


def why_shape(
    step: Step, found: Shape, right: Shape, config: GPT2Config, batch: int, length: int
) -> str:
    """What a result's shape tells; "" where it tells nothing.

    Args:
        step: whose result it is.
        found: the shape that was found.
        right: the shape that was expected.
        config: the model's sizes.
        batch: rows of the input.
        length: tokens of the input.
    """
    width, table = config.n_embd, (config.vocab_size, right[-1])
    by_shape = {
        (batch * length, right[-1]): "rows and positions share an axis: keep [B, S]",
        (batch, right[-1]): "one position of each row: every position has a result",
        (batch, 1, right[-1]): "one position of each row, or their mean: every position has one",
        (batch, length - 1, right[-1]): "one position too few",
        (1, length - 1, right[-1]): "one position too few: does counting end where S ends?",
        (batch, (length + 1) // 2, right[-1]): "every second position is left out",
        (1, config.n_positions, width): "rows of all positions: there are S tokens, and S may be "
        "less than n_positions",
        (config.n_positions, width): "rows of all positions: there are S tokens",
        (1, batch, width): "as many positions as the batch has rows: S is the ids' last axis",
        (length, 1, width): "the axis of size 1 is in the wrong place: positions are the second",
        (1, 1, width): "one position alone",
        table: "the whole table: the rows of the ids are asked for",
    }
    if len(found) == 2 and len(right) == 3 and found[0] == 0:
        found = (batch * length, *found[1:])  # a product of symbols has no size yet
    if found in by_shape and found != right:
        return by_shape[found]
    if len(found) == len(right) and found in set(permutations(right)):
        return "its axes are in another order: a transposition too many, or one missing"
    return _by_last(step, found, right, config)


def _by_last(step: Step, found: Shape, right: Shape, config: GPT2Config) -> str:
    last = found[-1] if found else 0
    if found[:-1] != right[:-1]:
        return ""
    if last == 4 * config.n_embd:
        return "still as wide as the middle of the MLP: the layer that narrows is left out"
    if last == 3 * config.n_embd:
        return "query, key and value side by side: they are to be cut apart"
    if last == 2 * right[-1]:
        return "put side by side: where it is to be added, the width stays the same"
    if step.number == 11:
        of_step_11 = {
            config.n_embd: "the hidden vectors themselves: the head is left out",
            config.n_positions: "compared with the table of positions: the head has that of tokens",
            1: "the chosen tokens: what is asked for are the scores of all of them",
        }
        return of_step_11.get(last, "")
    if last == config.vocab_size:
        return "rows and columns of the table are exchanged: a row for each token, [V, D]"
    return ""


def no_counterpart(
    outline: CandidateOutline, reference: ReferenceOutline, missing: str, config: GPT2Config
) -> str:
    """What is said of a parameter that is not held: its shape, and what is held in its place.

    Args:
        outline: of what was built.
        reference: what is asked for.
        missing: the reference's name of the parameter.
        config: the model's sizes.
    """
    shape = reference.parameters[missing]
    own = {p.name: p.shape for p in outline.parameters if p.name not in outline.tied}
    blocks = _blocks(own), len({_number(n) for n in reference.parameters} - {None})
    if _number(missing) is not None and blocks[0] != blocks[1] and blocks[1] > 1:
        return _of_blocks(*blocks)
    if any(f".{name.rpartition('.')[0].rpartition('.')[2]}." in missing for name in outline.tied):
        return "one object under two names is one set of parameters; each part has its own"
    kind = missing.rsplit(".", 1)[1]
    wanted = f"{kind} {letters(shape, config)}"
    alike = [n for n, s in own.items() if len(s) == len(shape) and n.endswith(kind)]
    wrong = [n for n in alike if sorted(own[n]) not in _sizes(reference)]
    if wrong:
        listed = ", ".join(f"{n} {letters(own[n], config)}" for n in wrong[:2])
        why = _sized(own[wrong[0]], shape, config)
        return f"GPT-2 has a {wanted} there, and what is held is {listed}{why}"
    if kind == "bias":
        return f"GPT-2 has a {wanted} there: is it switched off, or left out?"
    if not own:
        return "a parameter is a Tensor, or a Module, that is set as an attribute: self.name = ..."
    return f"GPT-2 has a {wanted} there: is the part that holds it set as an attribute?"


def _sizes(reference: ReferenceOutline) -> list[list[int]]:
    whole = [sorted(shape) for shape in reference.parameters.values()]
    thirds = [
        sorted((*shape[:-1], shape[-1] // 3))
        for name, shape in reference.parameters.items()
        if "c_attn" in name
    ]
    return whole + thirds


def _sized(found: Shape, right: Shape, config: GPT2Config) -> str:
    """What the size of a table or a layer tells."""
    rows, wanted = found[0], right[0]
    if len(found) == 2 and wanted == config.vocab_size:
        if rows == config.n_positions:
            return ": a row for each position, where each token has one"
        return ": as many rows as config.vocab_size, no more and no fewer"
    if len(found) == 2 and wanted == config.n_positions:
        if rows == config.vocab_size:
            return ": a row for each token, where each position has one"
        return ": as many rows as config.n_positions, no more and no fewer"
    if 4 * config.n_embd in right and 4 * config.n_embd not in found:
        return ": a GPT-2's MLP is 4 n_embd wide in the middle"
    if 3 * config.n_embd in right and 3 * config.n_embd not in found:
        return ": query, key and value are three times n_embd"
    return ": sizes are those of the configuration that is given"


def _number(name: str) -> int | None:
    found = re.search(r"(?:^|\.)(?:h|blocks|layers|layer|block)\.(\d+)\.", name)
    return int(found[1]) if found else None


def _blocks(names: dict[str, Shape]) -> int:
    numbers = {re.search(r"\.(\d+)\.", f".{name}") for name in names}
    return len({found[1] for found in numbers if found})


def _of_blocks(found: int, right: int) -> str:
    if found < right:
        return (
            f"it holds the parameters of {found} block{'s' if found != 1 else ''}, and n_layer is "
            f"{right}: [Block(config)] * n is one and the same block n times"
        )
    return f"it holds the parameters of {found} blocks, and n_layer is {right}: read config.n_layer"


def too_many(step: Step, shape: Shape, config: GPT2Config) -> str:
    """The hint for a parameter that GPT-2 does not have.

    Args:
        step: that is checked.
        shape: the parameter's sizes.
        config: the model's sizes.
    """
    own = f"{letters(shape, config)}: "
    if step.number == 11 and tuple(shape) == (config.vocab_size,):
        return f"{own}the head of GPT-2 has no bias"
    if step.number in (5, 6) and len(shape) == 2:
        other = {5: "positions are step 6", 6: "tokens are step 5"}[step.number]
        return f"{own}a second table; {other}"
    return f"{own}what is not learned belongs in forward, not in an attribute"
