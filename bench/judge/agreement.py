"""Do an arm's timed outputs agree with PyTorch's in float32, on the same inputs?

This is a sanity bound for outputs that were timed; whether the model is the same, to the last
rounding, is settled by `python -m verify`.

    logits:  max |found - expected| <= allowed
    tokens:  the reference's own logit of each chosen token is below its best by no more than
             2 * allowed, on the tokens chosen so far

In float32, `allowed` is 1e-4 of the largest logit. Seen on the tiny model: MAX and PyTorch in
float32 differ by 1e-6 of it; scaling one weight matrix of the last block by 1.01 makes 5e-4, and
what people get wrong (masks, biases, rows mixed up) far more. The bound lies between. A tie of two
tokens may be decided either way, each side being wrong by the bound; hence the 2.

A runtime may also compute in another dtype than it is asked for, and 1e-4 is no proof of float32:
three products of bfloat16 in place of one (17 bits) make 7e-6. So of which dtype an error is has a
bound of its own: 8 times what PyTorch's float32 is off by from its float64. Seen on `tiny` and
`random:gpt2`, 32 tokens: that is 5e-7 to 8e-7 of the largest logit; OpenVINO, CTranslate2 and ONNX
Runtime differ from PyTorch by 0.8 to 2.9 times as much, three products by 9 to 12 times, OpenVINO
in bfloat16 by 10,000 times and more (6.3e-3 and 8.2e-3). Bfloat16 and 8 bits (PyTorch's bfloat16:
9e-3 and 1.1e-2; OpenVINO and CTranslate2 in 8 bits: 1.5e-2 to 1.9e-2) are too near each other for
an error to tell them apart.

In a coarser dtype, `allowed` is three times what PyTorch's own pass in that dtype is off by on some
drawn inputs (`bench.worker.allowance`): the factor of `verify/judge/acceptance.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reports.tables.classes import ROUNDED

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

RELATIVE_BOUND = 1e-4
FLOAT32_FACTOR = 8.0
"""Three bits: sums in any order differ by less, products of fewer bits by more."""
COARSE_FACTOR = 3.0
CHUNK = 1 << 16
"""Logits that are compared at once: they stay in a cache, which a batch's gigabyte does not."""


def is_coarse(dtype: str) -> bool:
    """Whether results in it are judged by the error of PyTorch's own pass in it."""
    return dtype != "float32" and not dtype.endswith(ROUNDED)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far an output is from the reference's.

    Attributes:
        agreed: whether `difference <= allowed`, and shapes and ids are right.
        difference: in logits; None where the outputs could not be compared.
        allowed: in logits.
        message: what is wrong, empty where they agree.
    """

    agreed: bool
    difference: float | None
    allowed: float | None
    message: str


def compare_logits(found: Array, expected: Array, allowed: float) -> Agreement:
    """Compare logits `[batch, sequence, vocab_size]`; `allowed` is the largest difference."""
    if found.shape != expected.shape:
        return _unlike(f"logits of shape {list(found.shape)}, expected {list(expected.shape)}")
    if not np.isfinite(found).all():
        return _unlike("logits that are not finite")
    return _judge(_largest_difference(found, expected), allowed, "logits differ")


def _largest_difference(found: Array, expected: Array) -> float:
    """The largest difference in float64, piece by piece."""
    one, other = found.reshape(-1), expected.reshape(-1)
    pieces = (slice(start, start + CHUNK) for start in range(0, len(one), CHUNK))
    return max(float(np.abs(one[p].astype(np.float64) - other[p]).max()) for p in pieces)


def compare_tokens(tokens: Array, n_new: int, expected: Array, allowed: float) -> Agreement:
    """Compare greedy tokens `[batch, n_new]` with logits `[batch, n_new, vocab_size]`.

    Args:
        tokens: what the arm generated.
        n_new: how many tokens were asked for.
        expected: the reference's logits at the places where each token was chosen, computed on the
            prompt and these very tokens.
        allowed: the largest difference of a logit.
    """
    if problem := tokens_problem(tokens, (len(expected), n_new), expected.shape[-1]):
        return _unlike(problem)
    chosen = np.take_along_axis(expected, tokens[..., None], axis=-1)[..., 0]
    shortfall = float((expected.max(axis=-1) - chosen).max())
    return _judge(shortfall, 2 * allowed, "a token was chosen whose logit is below the best")


def tokens_problem(tokens: Array, shape: tuple[int, int], vocab_size: int) -> str:
    """Why these cannot be generated tokens, or nothing."""
    if tokens.shape != shape:
        return f"{list(tokens.shape)} new tokens, expected {list(shape)}"
    if not np.issubdtype(tokens.dtype, np.integer):
        return f"new tokens of dtype {tokens.dtype}"
    if tokens.min() < 0 or tokens.max() >= vocab_size:
        return "new tokens outside the vocabulary"
    return ""


def _unlike(message: str) -> Agreement:
    return Agreement(False, None, None, message)


def _judge(difference: float, allowed: float, what: str) -> Agreement:
    agreed = difference <= allowed  # accepts, so that NaN does not
    message = "" if agreed else f"{what} by {difference:.2e}, {allowed:.2e} is allowed"
    return Agreement(agreed, difference, allowed, message)
