"""What an error of Python or of MAX means in a step, in a learner's terms."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from verify.candidate.guard import CandidateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verify.steps.course import Step

OF_TORCH = "view|contiguous|size|masked_fill|unsqueeze_|expand|masked_fill_|add_|float|type_as"

MEANINGS: tuple[tuple[str, str], ...] = (
    (
        r"unexpected keyword argument '(keepdims?|dim)'",
        "`{0}` is PyTorch's or NumPy's: MAX's take `axis=`, and keep the axis with size 1",
    ),
    (
        r"has no attribute 'dropout'",
        "dropout is only for training: a model that is used has none",
    ),
    (
        rf"'Tensor' object has no attribute '({OF_TORCH})'",
        "`{0}` is PyTorch's: MAX's Tensor has shape, reshape, transpose, and `F` the rest",
    ),
    (
        r"'Tensor' object does not support item assignment",
        "a Tensor of MAX is never changed in place: make a new one",
    ),
    (
        r"functional' has no attribute '(\w+)'",
        "MAX calls it otherwise, or has none: see the calls that the TODO names",
    ),
    (
        r"'(\w+)' object has no attribute '(\w+)'",
        "`{1}` is not set: `self.{1} = ...` belongs in __init__, and another name is another thing",
    ),
    (
        r"NameError: name '(\w+)' is not defined",
        "is it `self.{0}`, or is an import missing?",
    ),
    (
        r"UnboundLocalError: cannot access local variable '(\w+)'",
        "`{0}` is read before it is set: in a loop that may not run, or under another name",
    ),
    (
        r"forward\(\) missing \d+ required positional arguments?: (.+)",
        "forward is called with one tensor alone",
    ),
    (
        r"must implement forward\(\)",
        "the method is called `forward`, spelt so, and belongs to the class",
    ),
    (
        r"(\w+\(\)) (got an unexpected keyword|takes \w+ positional|missing \d+ required|takes no)",
        "it is called as {signature}",
    ),
    (
        r"Unsafe cast from si64|Failed to resolve valid dtype",
        "whole numbers and floats are mixed: divide by `int(...)` of a size that is known, or cast",
    ),
    (
        r"Matrix multiplication input lhs .* must match",
        "the left's last axis meets the right's last but one: is one transposed, or another layer?",
    ),
    (
        r"are neither equivalent nor broadcastable",
        "axes are matched from the right: one of the two has lost an axis, or has it elsewhere",
    ),
    (
        r"\[reshape\] input and output number of elements must match",
        "a reshape keeps all elements: n_head x head_dim = n_embd",
    ),
    (
        r"Int conversions only supported for static dims",
        "S is known only when the graph runs: use the Dim as it is, and split the features' axis",
    ),
    (
        r"chunks=3 must statically divide",
        "three vectors of n_embd features lie side by side in 3 n_embd, on the last axis",
    ),
    (
        r"must be tensor with integer or index elements",
        "rows of a table are looked up by whole numbers, DType.int64; vectors are not ids",
    ),
    (
        r"expected positive integer step",
        "a Tensor of MAX cannot be read backwards, and nothing here is",
    ),
    (
        r"Gamma size (\d+) does not match dimension of reduction (\d+)",
        "the norm is made for {0} features, and there are {1}: n_embd",
    ),
    (
        r"forward returns None",
        "a path through forward ends without `return`",
    ),
    (
        r"forward returns a (list|tuple|dict)",
        "return the tensor itself",
    ),
    (
        r"must have same number of dimensions",
        "the chosen tokens, [B], need a second axis to be appended: [B, 1]",
    ),
    (
        r"input array dimensions .* must match exactly",
        "a token is appended to each row: along which axis? Rows are the first, tokens the second",
    ),
    (
        r"ZeroDivisionError",
        "a size is 0",
    ),
    (
        r"puts a random operation into the graph",
        "a model that is used draws no random numbers",
    ),
)
"""By a pattern, what it means; groups of the pattern, and the step's signature, are filled in."""


def meaning(step: Step, text: str) -> str:
    """What an error means; "" where nothing more can be said.

    Args:
        step: that was checked.
        text: the error's sentence.
    """
    for pattern, words in MEANINGS:
        if found := re.search(pattern, text):
            return words.format(*found.groups(default=""), signature=step.signature)
    return ""


@contextmanager
def explained(step: Step) -> Iterator[None]:
    """What a learner's code raises in this context says what it means, too.

    Args:
        step: that is checked.
    """
    try:
        yield
    except CandidateError as error:
        if not (words := meaning(step, str(error))):
            raise
        told = type(error)(f"{error}: {words}")
        told.place = error.place
        for note in getattr(error, "__notes__", ()):
            told.add_note(note)
        raise told from None
