"""What a model answers, in float64, and how far a right server may stray from it.

A server's own tokens are fed to the oracle in one pass, so that each is judged by what stands
before it. What is allowed of a log-probability is the project's rule: three times the largest error
of legitimate evaluations of the same tokens in the server's precision, the last step's in float32
included, and half a unit in the last place (`verify.judge.acceptance`). Two tokens that lie nearer
to each other than both may stray are a tie.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.special import log_softmax

from reference.checkpoint import CheckpointError, weights_sha256
from reference.dtypes import DTYPES, rounded
from reference.taps import LOGITS
from verify.judge.acceptance import MAX_FACTOR
from verify.judge.metrics import ulp_at
from verify.truth.cases import LARGE_PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from reference.trace import Array
    from verify.endpoint.vocabulary import Vocabulary

LEAST_ROWS = 32
"""Positions on which errors are measured at least, where there are as many."""

KEPT_BYTES = 1 << 28
"""Log-probabilities that are kept for answers that come again."""


class Traced(Protocol):
    """What has a trace: the oracle, and legitimate evaluations."""

    def trace(self, ids: Array) -> Any:
        """Every activation by its tap."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Of each position of an answer.

    Attributes:
        logprobs: natural logarithms in float64, `[positions, vocab_size]`.
        allowed: how far a right server's may be from them, `[positions]`.
    """

    logprobs: Array
    allowed: Array

    def margin(self, at: int, token: int) -> float:
        """By how much the likeliest token is likelier than this one, in nats."""
        return float(self.logprobs[at].max() - self.logprobs[at, token])

    def lead(self, at: int) -> float:
        """By how much the likeliest token is likelier than the next one, in nats."""
        second, first = np.partition(self.logprobs[at], -2)[-2:]
        return float(first - second)

    def best(self, at: int) -> int:
        """The likeliest token."""
        return int(self.logprobs[at].argmax())

    def tied(self, at: int, token: int) -> bool:
        """Whether the precision can take this token for the likeliest."""
        return self.margin(at, token) <= 2 * float(self.allowed[at])


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What a standard is made of.

    Attributes:
        oracle: logits `[1, length, vocab_size]` in float64 of ids `[1, length]`.
        others: the same by legitimate evaluations in the server's precision.
        torch: transformers' model in that precision, which can answer in this process.
        context: positions that the model has.
        size: of its vocabulary.
        vocabulary: texts of its tokens; None without a tokenizer.
        ends: ids that end an answer unless the server is asked to ignore them.
        sha256: of its weights.
    """

    oracle: Callable[[Array], Array]
    others: Sequence[Callable[[Array], Array]]
    torch: Any
    context: int
    size: int
    vocabulary: Vocabulary | None
    ends: frozenset[int]
    sha256: str


class Standard:
    """What answers are compared with.

    Args:
        model: the model that should answer.
        dtype: the precision in which the server computes.
    """

    def __init__(self, model: Model, dtype: str) -> None:
        self.model, self.dtype = model, dtype
        self._kept: OrderedDict[tuple[tuple[int, ...], int], Expected] = OrderedDict()

    def of(self, ids: Sequence[int], first: int) -> Expected:
        """What follows each of some tokens.

        Args:
            ids: of the prompt and of the answer but for its last token.
            first: the position from which on it is asked for.
        """
        key = (tuple(ids), first)
        if key not in self._kept:
            self._kept[key] = self._computed(np.asarray([ids], np.int64), first)
            while sum(one.logprobs.nbytes for one in self._kept.values()) > KEPT_BYTES:
                self._kept.popitem(last=False)
        return self._kept[key]

    def greedy(self, prompt: Sequence[int], count: int) -> list[int]:
        """The likeliest tokens after a prompt, one after the other."""
        ids = list(prompt)
        for _ in range(count):
            ids.append(int(self.model.oracle(np.asarray([ids], np.int64))[0, -1].argmax()))
        return ids[len(prompt) :]

    def _computed(self, ids: Array, first: int) -> Expected:
        start = max(0, min(first, ids.shape[1] - LEAST_ROWS))
        logits = self.model.oracle(ids)[0, start:].astype(np.float64)
        truth = log_softmax(logits, axis=-1)
        worst = max(
            float(np.abs(found - truth).max())
            for other in self.model.others
            for found in _logprobs(other(ids)[0, start:])
        )
        half = [self._half_ulp(*rows) for rows in zip(logits, truth, strict=True)]
        return Expected(
            truth[first - start :], MAX_FACTOR * worst + np.asarray(half[first - start :])
        )

    def _half_ulp(self, logits: Array, logprobs: Array) -> float:
        """Half a unit in the last place, of logits in the server's precision or of what it returns.

        Log-probabilities are made and returned in float32 whatever the model computes in.
        """
        of_logits = ulp_at(float(np.abs(logits).max()), DTYPES[self.dtype])
        return max(of_logits, ulp_at(float(np.abs(logprobs).max()), np.float32)) / 2


def _logprobs(logits: Array) -> Iterator[Array]:
    """Log-probabilities of logits: exact, and as servers make them, in float32."""
    yield log_softmax(logits.astype(np.float64), axis=-1)
    single = logits.astype(np.float32)
    yield log_softmax(single, axis=-1)
    largest = single.max(axis=-1, keepdims=True)
    total = np.exp(single - largest).cumsum(axis=-1)[:, -1:]  # in order, one after the other
    yield single - (largest + np.log(total))


def model_of(name: str, dtype: str, revision: str | None = None) -> Model:
    """The model that a user names.

    Args:
        name: `tiny`, `random:PRESET`, a folder or a hub id; any causal language model that
            transformers reads.
        dtype: the precision in which the server computes.
        revision: a branch, tag or commit on the hub.

    Raises:
        CheckpointError: in one sentence, where there is no such model.
    """
    from reference.load import folder_of

    if name.startswith("random:") or _is_gpt2(folder_of(name, revision)):
        return _gpt2(name, dtype, revision)
    return _decoder(folder_of(name, revision), dtype)


def _is_gpt2(folder: Path) -> bool:
    import json

    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder}/config.json cannot be read: {error}") from error
    return isinstance(config, dict) and config.get("model_type", "gpt2") == "gpt2"


def _gpt2(name: str, dtype: str, revision: str | None) -> Model:
    import torch

    from reference.huggingface import HuggingFaceReference
    from reference.load import load
    from reference.oracle import Oracle
    from verify.endpoint.vocabulary import vocabulary_of
    from verify.truth import float16, float32

    checkpoint = rounded(load(name, revision=revision), dtype)
    config = checkpoint.config
    orders = (
        [order(checkpoint, np.float32) for order in (float32.Blocked, float32.Pairwise)]
        if dtype == "float32"
        else [
            order(checkpoint, dtype)
            for order in (float16.FusedBlocked, float16.Stepwise, float16.StepwiseScaledFirst)
        ]
    )
    if config.parameter_count > LARGE_PARAMETERS:
        orders = orders[:1]
    served = HuggingFaceReference(checkpoint, getattr(torch, dtype))
    vocabulary = vocabulary_of(checkpoint.folder, config.vocab_size)
    ends = _ends(checkpoint.folder)
    served.model.config.eos_token_id = sorted(ends) or None
    return Model(
        oracle=_traced(Oracle(checkpoint), LOGITS),
        others=[served.logits, *(_traced(order, LOGITS) for order in orders)],
        torch=served.model,
        context=config.n_positions,
        size=config.vocab_size,
        vocabulary=vocabulary,
        ends=ends,
        sha256=checkpoint.sha256,
    )


def _traced(model: Traced, tap: str) -> Callable[[Array], Array]:
    def logits(ids: Array) -> Array:
        found: Array = model.trace(ids)[tap]
        return found

    return logits


def _decoder(folder: Path, dtype: str) -> Model:
    import torch

    from reference.decoder import ORDERS, Decoder, in_float64, load_decoder
    from verify.endpoint.vocabulary import vocabulary_of

    narrow = getattr(torch, dtype)
    model = load_decoder(str(folder)).to(narrow)
    oracle = in_float64(model.float() if narrow is torch.float32 else _widened(model))
    config = model.config
    weights = {name: p.detach().float().numpy() for name, p in model.named_parameters()}
    large = sum(p.numel() for p in model.parameters()) > LARGE_PARAMETERS
    orders = [Decoder(model, order) for order in (ORDERS[:1] if large else ORDERS)]
    return Model(
        oracle=oracle.logits,
        others=[Decoder(model).logits, *(order.logits for order in orders)],
        torch=model,
        context=int(config.max_position_embeddings),
        size=int(config.vocab_size),
        vocabulary=vocabulary_of(folder, int(config.vocab_size)),
        ends=_ends(folder) or _ids(config.eos_token_id),
        sha256=weights_sha256(weights),
    )


def _widened(model: Any) -> Any:
    """A copy in float32 of a model whose numbers have been rounded."""
    import copy

    return copy.deepcopy(model).float()


def _ends(folder: Path | None) -> frozenset[int]:
    """The ids that end a text, by generation_config.json or else config.json."""
    import json

    files = [folder / name for name in ("generation_config.json", "config.json")] if folder else []
    for file in files:
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and found.get("eos_token_id") is not None:
            return _ids(found["eos_token_id"])
    return frozenset()


def _ids(value: Any) -> frozenset[int]:
    if value is None:
        return frozenset()
    return frozenset(value if isinstance(value, list) else [value])
