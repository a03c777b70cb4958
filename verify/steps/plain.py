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
from verify.candidate.guard import CandidateError, a, compiling, guarded
from verify.candidate.model_graphs import trace_model
from verify.graph.errors import GraphError
from verify.pairing.built import Here
from verify.steps.arguments import by_name, of_mask
from verify.steps.component import SMALL, StepError
from verify.steps.course import STEPS
from verify.steps.raised import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reference.trace import Array
    from verify.candidate.model_graphs import BoundCandidate

FIELDS = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "layer_norm_epsilon")
MASK_LENGTHS = (7, 1, 2, 33)
NEW_TOKENS = 6
PROMPT = 4


OTHERS: dict[str, dict[float, str]] = {
    "vocab_size": {50304: "GPT-2's rounded up to a multiple of 128", 50400: "GPT-J's", 50256: "the "
                   "last id: there is one more token than that", 32000: "Llama's"},
    "n_positions": {512: "the first GPT's", 2048: "GPT-3's", 1023: "the last position: there is "
                    "one more than that"},
    "n_embd": {1024: "medium's", 1280: "large's", 1600: "XL's", 512: "the first transformer's",
               64: "head_dim"},
    "n_layer": {6: "the first transformer's, and DistilGPT-2's", 24: "medium's", 36: "large's",
                48: "XL's"},
    "n_head": {8: "the first transformer's", 16: "medium's", 20: "large's", 25: "XL's",
               64: "head_dim"},
    "layer_norm_epsilon": {1e-6: "what other models have", 1e-12: "BERT's", 1e-8: "an optimiser's"},
}  # fmt: skip
"""By field, values that people take for GPT-2 small's, and whose they are."""

ALSO = {
    "vocab_size": "n_vocab vocabulary_size num_tokens vocab",
    "n_positions": "block_size context_length n_ctx max_position_embeddings max_seq_len seq_len",
    "n_embd": "d_model embed_dim emb_dim hidden_size dim n_embed width",
    "n_layer": "n_layers num_layers num_hidden_layers depth",
    "n_head": "n_heads num_heads num_attention_heads heads",
    "layer_norm_epsilon": "eps layer_norm_eps norm_eps epsilon ln_eps",
}
"""By field, what other projects call it."""

UNEVEN = (5, 24, 128)
"""Numbers of heads that 64 features cannot be shared by: 64 // 24 = 2 divides 64 too."""


def check_config(factory: Any, *, quick: bool = False) -> None:  # noqa: ARG001 - as the others
    """GPT-2 small's values as defaults, other values kept, impossible ones refused."""
    with explained(STEPS[0]), guarded("GPT2Config()"):
        default = factory()
    for name in FIELDS:
        if not hasattr(default, name):
            raise StepError(f"GPT2Config() has no {name}", _other_name(default, name))
        expected, found = getattr(GPT2Config(), name), getattr(default, name)
        if found != expected or type(found) is not type(expected):
            raise StepError(f"{name} is {found!r} by default", _other_value(name, found))
    sizes = {name: getattr(SMALL, name) for name in FIELDS}
    with explained(STEPS[0]), guarded("GPT2Config(n_embd=64, ...)"):
        small = factory(**sizes)
    for name, value in sizes.items():
        if getattr(small, name) != value:
            raise StepError(
                f"{name} is {getattr(small, name)!r} where {value!r} was given",
                "keep what the caller gives: a default is for what is not given",
            )
    _check_head_dim(small)
    for heads in UNEVEN:
        try:
            with guarded(f"GPT2Config(n_head={heads}, ...)"):
                factory(**(sizes | {"n_head": heads}))
        except CandidateError:
            continue
        raise StepError(
            f"64 features are split over {heads} heads without an error",
            "each head takes the same number of features, a whole number: what does n_embd "
            "divided by n_head leave over? What does not fit is refused by an exception",
        )


def _other_name(default: Any, name: str) -> str:
    """The hint for a field that is missing: it may have another name."""
    known = [other for other in ALSO[name].split() if hasattr(default, other)]
    also = f": it has {known[0]}" if known else ""
    return f"use Hugging Face's field names, so that a config.json fits{also}"


def _other_value(name: str, found: Any) -> str:
    """The hint for a default that is another one."""
    hint = "GPT-2 small's config.json has the values"
    if name != "layer_norm_epsilon" and not isinstance(found, int):
        return f"sizes are whole numbers, int, and this is {a(found)}; {hint}"
    if whose := OTHERS[name].get(found):
        return f"{found} is {whose}; {hint}"
    return hint


def _check_head_dim(small: Any) -> None:
    """`head_dim` is no field of the configuration; where it is there, it is right."""
    with guarded("GPT2Config.head_dim"):
        found = getattr(small, "head_dim", SMALL.head_dim)
        found = found() if callable(found) else found
    if found != SMALL.head_dim:
        raise StepError(
            f"head_dim is {found!r} for {SMALL.n_embd} features and {SMALL.n_head} heads",
            "head_dim = n_embd / n_head: the features of one head",
        )
    if not isinstance(found, int):
        raise StepError(f"head_dim is {found!r}, {a(found)}", "`/` gives a float, `//` an int")


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
    with explained(STEPS[1]), guarded("causal_mask(length, dtype, device)"):
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
            "one row for each query, one column for each key: [S, S]",
        )
    if found.dtype != np.float32:
        what = "true and false are" if found.dtype == bool else "it is"
        raise StepError(
            f"it holds {found.dtype}, and float32 was asked for",
            f"{what} not added to scores: it is a number for each pair, in the dtype that is given",
        )
    found = found.reshape(expected.shape)
    if not np.array_equal(found, expected):
        raise StepError(f"for {length} tokens {_mask_problem(found, expected)}", _MASK_HINT)


_MASK_HINT = "write down by hand what 3 tokens may see, then print yours"


def _mask_problem(found: Array, expected: Array) -> str:
    """What a wrong mask does, in a sentence."""
    ahead = np.isneginf(expected)
    past = ahead.T
    if told := _of_values(found, ahead):
        return told
    hidden = found != 0
    if np.array_equal(hidden, past):
        return "it hides the past and shows the future: rows are queries, columns are keys"
    if np.array_equal(hidden, ~ahead):
        return (
            "it hides each token and its past, and shows the future: what is kept and what is "
            "hidden are exchanged"
        )
    if not hidden.any():
        return "it hides nothing"
    if hidden.all():
        return "it hides everything, what came before too"
    if np.array_equal(hidden, ahead | past):
        return "it hides all but the token itself: what came before may be seen"
    if np.array_equal(hidden, ahead[::-1]) or np.array_equal(hidden, ahead[:, ::-1]):
        return "it is upside down: the first query, the first row, may see the first key alone"
    if np.diag(hidden).all():
        return "a token cannot see itself: the diagonal is hidden too"
    row, column = np.argwhere(found != expected)[0]
    if ahead[row, column] and not hidden[row, column]:
        return f"query {row} sees key {column}, which lies ahead"
    if hidden[row, column] and not ahead[row, column]:
        return f"query {row} cannot see key {column}, which came before it"
    return f"query {row}, key {column} is {found[row, column]:g}, not {expected[row, column]:g}"


def _of_values(found: Array, ahead: Array) -> str:
    """What the values of a mask tell, wherever they stand."""
    if np.isnan(found).any():
        return "it holds NaN: 0 times -inf is NaN, so that nothing can be multiplied by a mask"
    if np.isposinf(found).any():
        return "it holds +inf: softmax would look at nothing else; what is hidden gets -inf"
    values = {float(value) for value in np.unique(found)}
    if values == {0.0, 1.0}:
        return (
            "it holds 0 and 1, as a mask that is multiplied: this one is added to the scores, 0 "
            "where a key is seen and -inf where it is hidden"
        )
    lowest = found[ahead]
    finite = lowest.size and np.isfinite(lowest).all()
    if finite and (lowest < 0).all() and not found[~ahead].any():
        return f"hidden keys get {lowest[0]:g}, which large scores can outweigh; -inf cannot be"
    if finite and (lowest > 0).all() and not found[~ahead].any():
        return f"hidden keys get {lowest[0]:g}, which hides nothing: it is to be -inf"
    if found[~ahead].any() and np.isfinite(found[~ahead]).all() and np.isneginf(lowest).all():
        shown = found[~ahead][found[~ahead] != 0]
        return f"keys that are seen get {shown[0]:g} added: what may be seen gets 0"
    return ""


def check_generate(factory: Any, *, quick: bool = False) -> None:  # noqa: ARG001 - as the others
    """Greedy continuations of one row and of several, by a float64 model's logits."""
    oracle = telling_model()

    def logits(ids: Array) -> Array:
        _check_ids(np.asarray(ids))
        result: Array = oracle.trace(np.asarray(ids, np.int64))[LOGITS].astype(np.float32)
        return result

    rng = np.random.default_rng(0)
    for rows in (1, 3):
        prompt = rng.integers(0, SMALL.vocab_size, (rows, PROMPT), dtype=np.int64)
        given = prompt.copy()
        with explained(STEPS[11]), guarded("generate(logits, ids, max_new_tokens)"):
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
            f"tokens{_why_length(found, prompt, logits)}",
            _GENERATE_HINT,
        )
    if not np.issubdtype(found.dtype, np.integer):
        raise StepError(f"it returns {found.dtype}, not integers", "token ids are int64")
    if not np.array_equal(found[:, :start], prompt):
        behind = np.array_equal(found[:, -start:], prompt)
        where = "it comes after the new tokens" if behind else "it was changed, or cut"
        raise StepError(
            f"the prompt is not at the beginning of what it returns: {where}", _GENERATE_HINT
        )
    for place in range(start, wanted[1]):
        likeliest = logits(found[:, :place]).argmax(axis=-1)
        wrong = np.flatnonzero(found[:, place] != likeliest[:, -1])
        if wrong.size:
            row = int(wrong[0])
            raise StepError(
                f"new token {place - start + 1}{f' of row {row}' if rows > 1 else ''} is not the "
                f"likeliest one after all before it{_chosen_by(found, row, place, start, logits)}",
                _GENERATE_HINT,
            )


def _why_length(found: Array, prompt: Array, logits: Callable[[Array], Array]) -> str:
    """What a wrong shape of what is generated tells."""
    rows, start = prompt.shape
    if found.ndim == 1:
        return "; rows are put in one: each row is continued for itself"
    if found.ndim != 2 or found.shape[0] != rows:
        return "; a row for each row of the prompt: along which axis are tokens appended?"
    if found.shape[1] == start:
        return "; nothing is appended: is the result of the step kept?"
    if found.shape[1] == NEW_TOKENS and np.array_equal(found[:, :start], prompt):
        return "; max_new_tokens is counted with the prompt: it is the new ones alone"
    if found.shape[1] == NEW_TOKENS:
        return "; the new tokens alone: the prompt belongs in front of them"
    if found.shape[1] == logits(prompt).shape[-1] + start:
        return "; the scores themselves: one token is chosen of them"
    more = found.shape[1] - start - NEW_TOKENS
    if abs(more) == 1:
        return f"; one token too {'many' if more > 0 else 'few'}: how often does the loop run?"
    ends = ": is it returned inside of the loop?" if found.shape[1] == start + 1 else ""
    return f"; {abs(more)} tokens too {'many' if more > 0 else 'few'}{ends}"


def _chosen_by(
    found: Array, row: int, place: int, start: int, logits: Callable[[Array], Array]
) -> str:
    """What else chooses that token, and if possible all that follow; "" if nothing does."""
    fitting = [
        (sum(chosen(found, row, at) == found[row, at] for at in range(place, found.shape[1])), text)
        for text, chosen in _other_choices(found.shape[0], row, start, logits)
        if chosen(found, row, place) == found[row, place]
    ]
    most = max((count for count, _ in fitting), default=0)
    texts = list(dict.fromkeys(text for count, text in fitting if count == most))
    return f"; {', or '.join(texts[:2])}" if texts else ""


def _other_choices(
    rows: int, row: int, start: int, logits: Callable[[Array], Array]
) -> Iterator[tuple[str, Callable[[Array, int, int], int]]]:
    """What people choose in place of the likeliest token: in words, and what it comes to."""

    def of_last(choose: Callable[[Array], Any]) -> Callable[[Array, int, int], int]:
        return lambda found, row, at: int(choose(logits(found[row : row + 1, :at])[0, -1]))

    def of_all(choose: Callable[[Array], Any]) -> Callable[[Array, int, int], int]:
        return lambda found, row, at: int(choose(logits(found[row : row + 1, :at])[0]))

    def of_input(cut: Callable[[Array], Array]) -> Callable[[Array, int, int], int]:
        return lambda found, row, at: int(logits(cut(found[row : row + 1, :at]))[0, -1].argmax())

    def of_row(other: int) -> Callable[[Array, int, int], int]:
        return lambda found, _, at: int(logits(found[other : other + 1, :at])[0, -1].argmax())

    yield "it is the likeliest one after the last token alone", of_input(lambda ids: ids[:, -1:])
    yield (
        "it is the likeliest one after the prompt alone: the scores of the first step",
        of_input(lambda ids: ids[:, :start]),
    )
    for position in range(start):
        text = f"it is the likeliest one after position {position}, where the last is asked for"
        yield text, of_all(lambda scores, p=position: scores[p].argmax())  # type: ignore[misc]
    yield (
        "it is the likeliest one after the last position but one, where the last is asked for",
        of_all(lambda scores: scores[-2].argmax()),
    )
    for other in range(rows):
        if other != row:
            yield f"it is row {other}'s", of_row(other)
    yield "it is the least likely one", of_last(lambda s: s.argmin())
    yield (
        "its score is the largest in size, whatever its sign",
        of_last(lambda s: np.abs(s).argmax()),
    )
    yield "it is the second likeliest", of_last(lambda s: s.argsort()[-2])
    yield (
        "it is the likeliest one of all positions together: the last alone is asked for",
        of_all(lambda s: s.sum(axis=0).argmax()),
    )
    yield (
        "it is the largest score of any position: the last alone is asked for",
        of_all(lambda s: s.max(axis=0).argmax()),
    )
    for last in range(2, start):
        yield (
            f"it is the likeliest one after the last {last} tokens alone",
            of_input(lambda ids, n=last: ids[:, -n:]),  # type: ignore[misc]
        )
    yield (
        "it is the likeliest one after all but the first token: is the beginning cut off?",
        of_input(lambda ids: ids[:, 1:]),
    )
    yield "it is the likeliest one after the tokens backwards", of_input(lambda ids: ids[:, ::-1])
    yield "it repeats the last token", lambda found, row, at: int(found[row, at - 1])
    yield "it repeats the prompt", lambda found, row, at: int(found[row, (at - start) % start])
    yield "it is a score, where the token's number is asked for", of_last(lambda s: int(s.max()))
    yield (
        "it is one beside the likeliest: an id is a number from 0",
        of_last(lambda s: (s.argmax() + 1) % len(s)),
    )
    yield (
        "it is one beside the likeliest: an id is a number from 0",
        of_last(lambda s: s.argmax() - 1),
    )


PLAIN: dict[int, Callable[..., None]] = {1: check_config, 2: check_mask, 12: check_generate}
"""The check of the numbers, by the step's number."""
