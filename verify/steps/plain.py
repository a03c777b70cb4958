"""The checks of the steps that are no modules: configuration, causal mask, generation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from max.dtype import DType
from max.experimental.nn import Module
from max.experimental.tensor import Tensor
from max.graph import TensorType

from impl.config import GPT2Config
from impl.runtime import open_device
from reference.oracle import Oracle
from verify.candidate import Candidate
from verify.guard import a, guarded
from verify.steps.component import SMALL, StepError, small_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference.trace import Array

FIELDS = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "layer_norm_epsilon")
MASK_LENGTHS = (1, 2, 7, 33)
NEW_TOKENS = 6


def check_config(factory: Any) -> None:
    """GPT-2 small's values as defaults, other values kept, impossible ones refused."""
    with guarded("GPT2Config()"):
        default = factory()
    for name in FIELDS:
        if not hasattr(default, name):
            raise StepError(f"GPT2Config() has no {name}", "use Hugging Face's field names")
        expected, found = getattr(GPT2Config(), name), getattr(default, name)
        if found != expected:
            raise StepError(
                f"{name} is {found!r} by default", "GPT-2 small's config.json has the values"
            )
    sizes = {name: getattr(SMALL, name) for name in FIELDS}
    with guarded("GPT2Config(n_embd=64, ...)"):
        small = factory(**sizes)
    for name, value in sizes.items():
        if getattr(small, name) != value:
            raise StepError(
                f"{name} is {getattr(small, name)!r} where {value!r} was given",
                "keep what the caller gives",
            )
    try:
        factory(**(sizes | {"n_head": 5}))
    except Exception:
        return
    raise StepError(
        "64 features are shared out to 5 heads without an error",
        "each head takes the same number of features",
    )


def check_mask(factory: Any) -> None:
    """The mask for a symbolic length, element by element."""

    class Masked(Module[[Tensor], Tensor]):
        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = factory(x.shape[0], x.dtype, x.device)
            return result

    device = open_device("cpu")
    types = [TensorType(DType.float32, ["sequence", 1], device=device)]
    with guarded("causal_mask(length, dtype, device)"):
        candidate = Candidate(Masked(), device, types=types)
    bound = candidate.bind({})
    for length in MASK_LENGTHS:
        found = bound.logits(np.zeros((length, 1), np.float32))
        _judge_mask(found, length)


def _judge_mask(found: Array, length: int) -> None:
    expected = np.where(np.triu(np.ones((length, length), bool), k=1), -np.inf, 0.0)
    if found.shape != expected.shape and found.size != expected.size:
        raise StepError(
            f"for {length} tokens it has shape {list(found.shape)}, not {[length, length]}",
            "one row for each query, one column for each key",
        )
    found = found.reshape(expected.shape)
    if not np.array_equal(found, expected):
        raise StepError(f"for {length} tokens {_mask_problem(found, expected)}", _MASK_HINT)


_MASK_HINT = "write down by hand what 3 tokens may see, then print yours"


def _mask_problem(found: Array, expected: Array) -> str:
    blocked = np.isneginf(expected)
    if np.array_equal(found, expected.T):
        return "it hides the past and shows the future: rows are queries, columns are keys"
    if not found.any():
        return "it hides nothing"
    if np.isneginf(np.diag(found)).any():
        return "a token cannot see itself"
    lowest = found[blocked]
    if (
        lowest.size
        and np.isfinite(lowest).all()
        and (lowest < 0).all()
        and not found[~blocked].any()
    ):
        return f"hidden keys get {lowest[0]:g}, which large scores can outweigh; -inf cannot be"
    row, column = np.argwhere(found != expected)[0]
    return f"query {row}, key {column} is {found[row, column]:g}, not {expected[row, column]:g}"


def check_generate(factory: Any) -> None:
    """Greedy continuations of one row and of several, by the float64 model's logits."""
    oracle = Oracle(small_checkpoint())

    def logits(ids: Array) -> Array:
        result: Array = oracle.trace(np.asarray(ids, np.int64))["lm_head"].astype(np.float32)
        return result

    rng = np.random.default_rng(0)
    for rows in (1, 3):
        prompt = rng.integers(0, SMALL.vocab_size, (rows, 5), dtype=np.int64)
        given = prompt.copy()
        with guarded("generate(logits, ids, max_new_tokens)"):
            found = factory(logits, given, NEW_TOKENS)
        if not isinstance(found, np.ndarray):
            raise StepError(f"it returns {a(found)}, not an array of token ids", _GENERATE_HINT)
        if not np.array_equal(given, prompt):
            raise StepError("it changes the caller's prompt", "work on a copy")
        _judge_generated(found, prompt, logits)


_GENERATE_HINT = "follow one row by hand: which position's logits tell the next token?"


def _judge_generated(found: Array, prompt: Array, logits: Callable[[Array], Array]) -> None:
    rows, start = prompt.shape
    wanted = (rows, start + NEW_TOKENS)
    if found.shape != wanted:
        raise StepError(
            f"it returns shape {list(found.shape)}, not {list(wanted)}: the prompt, then the new "
            "tokens",
            _GENERATE_HINT,
        )
    if not np.array_equal(found[:, :start], prompt):
        raise StepError("the prompt is not at the beginning of what it returns", _GENERATE_HINT)
    for place in range(start, wanted[1]):
        scores = logits(found[:, :place])
        if np.array_equal(found[:, place], scores[:, -1].argmax(axis=-1)):
            continue
        other = next(
            (p for p in range(place - 1) if np.array_equal(
                found[:, place], scores[:, p].argmax(axis=-1))), None
        )  # fmt: skip
        seen = f"; it is the best one after position {other}" if other is not None else ""
        raise StepError(
            f"new token {place - start + 1} is not the likeliest one after all before it{seen}",
            _GENERATE_HINT,
        )


PLAIN: dict[int, Callable[[Any], None]] = {1: check_config, 2: check_mask, 12: check_generate}
"""The check of the numbers, by the step's number."""
