"""The checks of the steps that are not modules: configuration, causal mask, generation."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from max.dtype import DType
from max.experimental.nn import Module
from max.experimental.tensor import Tensor
from max.graph import TensorType

from impl.config import GPT2Config
from impl.runtime import open_device
from reference.checkpoint import Checkpoint
from reference.oracle import Oracle
from reference.regimes import initial_weights
from reference.taps import LOGITS
from verify.candidate.guard import a, compiling, guarded
from verify.candidate.model_graphs import trace_model
from verify.graph.errors import GraphError
from verify.pairing.built import Here
from verify.steps.arguments import by_name, of_mask
from verify.steps.component import SMALL, StepError

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference.trace import Array
    from verify.candidate.model_graphs import BoundCandidate

FIELDS = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "layer_norm_epsilon")
MASK_LENGTHS = (7, 1, 2, 33)
NEW_TOKENS = 6


def check_config(factory: Any, *, quick: bool = False) -> None:  # noqa: ARG001 - as the others
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
        "64 features are split over 5 heads without an error",
        "each head takes the same number of features",
    )


def check_mask(factory: Any, *, quick: bool = False) -> None:
    """The mask for a symbolic length, element by element: as it was traced, then as compiled."""

    class Masked(Module[[Tensor], Tensor]):
        def forward(self, x: Tensor) -> Tensor:
            given = (x.shape[0], x.dtype, x.device)
            named = by_name(factory, of_mask(*given))
            result: Tensor = factory(*given) if named is None else factory(**named)
            return result

    device = open_device("cpu")
    types = [TensorType(DType.float32, ["sequence", 1], device=device)]
    with guarded("causal_mask(length, dtype, device)"):
        Here("causal_mask", Masked(), device, types=types).outline()
    with compiling("causal_mask"):
        candidate = trace_model(Masked(), device, types=types)
    with suppress(GraphError):
        _judge_masks(candidate.evaluated({}, "declared"))
    if not quick:
        with compiling("causal_mask"):
            bound = candidate.bind({})
        _judge_masks(bound)


def _judge_masks(bound: BoundCandidate) -> None:
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
    if found.dtype != np.float32:
        raise StepError(
            f"it holds {found.dtype}, and float32 was asked for",
            "it is added to the scores: a number for each pair, in the dtype that is given",
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
    if blocked[row, column] and found[row, column] == 0:
        return f"query {row} sees key {column}, which lies ahead"
    if np.isneginf(found[row, column]):
        return f"query {row} cannot see key {column}, which came before it"
    return f"query {row}, key {column} is {found[row, column]:g}, not {expected[row, column]:g}"


def check_generate(factory: Any, *, quick: bool = False) -> None:  # noqa: ARG001 - as the others
    """Greedy continuations of one row and of several, by a float64 model's logits."""
    oracle = telling_model()

    def logits(ids: Array) -> Array:
        _check_ids(np.asarray(ids))
        result: Array = oracle.trace(np.asarray(ids, np.int64))[LOGITS].astype(np.float32)
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


def telling_model() -> Oracle:
    """A model whose next token depends on all tokens so far, and differs from row to row.

    A random model with a tied head mostly repeats its last token, whatever came before.
    """
    config = replace(SMALL, tie_word_embeddings=False)
    weights = initial_weights(config, seed=1)
    return Oracle(Checkpoint(name="small", config=config, weights=weights))


def _check_ids(ids: Array) -> None:
    """What a candidate gives the model; where that cannot be used, the message is in its terms."""
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"logits takes integers [B, S], not {ids.dtype} {list(ids.shape)}")
    if not 0 < ids.shape[1] <= SMALL.n_positions:
        raise ValueError(
            f"logits takes 1 to {SMALL.n_positions} tokens here, and was given {ids.shape[1]}"
        )
    if ids.min() < 0 or ids.max() >= SMALL.vocab_size:
        raise ValueError(f"logits was given a token id that is not in 0..{SMALL.vocab_size - 1}")


_GENERATE_HINT = "follow one row by hand: which position's logits predict the next token?"


def _judge_generated(found: Array, prompt: Array, logits: Callable[[Array], Array]) -> None:
    rows, start = prompt.shape
    wanted = (rows, start + NEW_TOKENS)
    if found.shape != wanted:
        raise StepError(
            f"it returns shape {list(found.shape)}, not {list(wanted)}: the prompt, then the new "
            "tokens",
            _GENERATE_HINT,
        )
    if not np.issubdtype(found.dtype, np.integer):
        raise StepError(f"it returns {found.dtype}, not integers", "token ids are int64")
    if not np.array_equal(found[:, :start], prompt):
        raise StepError("the prompt is not at the beginning of what it returns", _GENERATE_HINT)
    for place in range(start, wanted[1]):
        likeliest = logits(found[:, :place]).argmax(axis=-1)
        wrong = np.flatnonzero(found[:, place] != likeliest[:, -1])
        if wrong.size:
            row = int(wrong[0])
            raise StepError(
                f"new token {place - start + 1}{f' of row {row}' if rows > 1 else ''} is not the "
                f"likeliest one after all before it{_chosen_by(found, row, place, logits)}",
                _GENERATE_HINT,
            )


def _chosen_by(found: Array, row: int, place: int, logits: Callable[[Array], Array]) -> str:
    """What else tells that token, if anything does."""
    token, before = found[row, place], found[row : row + 1, :place]
    at = logits(before)[0].argmax(axis=-1)
    if token == logits(before[:, -1:])[0, -1].argmax():
        return "; it is the likeliest one after the last token alone"
    if token in at[:-1]:
        return f"; it is the likeliest one after position {int(np.flatnonzero(at == token)[0])}"
    others = logits(found[:, :place])[:, -1].argmax(axis=-1)
    if token in np.delete(others, row):
        return f"; it is row {int(np.flatnonzero(others == token)[0])}'s"
    return ""


PLAIN: dict[int, Callable[..., None]] = {1: check_config, 2: check_mask, 12: check_generate}
"""The check of the numbers, by the step's number."""
