"""Requests that are prefilled, chunked and decoded by an opened package, as MAX Serve does it.

    requests = Requests(opened, engine)
    first, second = requests.begin(ids_a, prompt=len(ids_a)), requests.begin(ids_b, prompt=4)
    passed = requests.run([(first, 3), (second, 4)])    # a ragged batch; first is cut into chunks

A request's tokens are known beforehand: what it would generate is not looked at. Its pages are
those that MAX's own manager of the cache allots.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from verify.graph.errors import GraphError
from verify.package.opening.opened import request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from max.driver import Buffer

    from reference.trace import Array
    from verify.package.opening.evaluated_engine import EvaluatedModel
    from verify.package.opening.opened import Opened


class Results(Protocol):
    """What runs a package's graphs: `evaluated_engine.Engine`, or MAX itself."""

    @property
    def models(self) -> Sequence[EvaluatedModel]:
        """Those that are evaluated; none where MAX compiles."""

    def result(self, buffer: Buffer) -> Array:
        """What a buffer that a model returned holds."""

    def forget(self) -> None:
        """Start with empty caches."""

    def inputs_of(self, execute: Callable[[], Any]) -> Sequence[Array]:
        """What a graph is given where it is executed, without a result."""


@dataclass(slots=True, eq=False)
class Request:
    """One request.

    Attributes:
        ids: all of its tokens, int64 `[length]`.
        prompt: how many of them are given at once; the others are decoded one by one.
        context: MAX's own.
        done: tokens that have been processed.
    """

    ids: Array
    prompt: int
    context: Any
    done: int = 0

    @property
    def left(self) -> int:
        """Tokens of the prompt that have not been processed."""
        return max(0, self.prompt - self.done)


@dataclass(frozen=True, slots=True)
class Passed:
    """What one pass came to.

    Attributes:
        logits: of each request `[new tokens, vocab_size]`; of the last token alone where the
            package returns no more.
        spans: of each request, the first and the end of its new tokens' positions.
        outputs: of the graph, its stages' included; none of a compiled one.
    """

    logits: tuple[Array, ...]
    spans: tuple[tuple[int, int], ...]
    outputs: tuple[Array, ...]


@dataclass(slots=True, eq=False)
class Requests:
    """The requests of one package, with the cache that they share.

    Attributes:
        opened: the package.
        engine: that runs it.
        max_length: tokens of a request at most.
        live: requests that have begun and not ended.
    """

    opened: Opened
    engine: Results
    max_length: int = 512
    live: list[Request] = field(default_factory=list)

    @property
    def model(self) -> EvaluatedModel:
        """The graph that computes logits: of those with a cache, or else the largest."""
        graphs = [model for model in self.engine.models if model.stages.calls]
        if not graphs:
            raise GraphError("the package made no graph of its modules")
        return max(graphs, key=lambda model: len(model.stages.calls))

    def reset(self) -> None:
        """Forget the prefixes that are in the cache: no request may be live."""
        self.opened.cache.reset_prefix_cache()

    def begin(self, ids: Sequence[int] | Array, prompt: int | None = None) -> Request:
        """A new request.

        Args:
            ids: all of its tokens.
            prompt: how many of them are its prompt; None for all.
        """
        array = np.asarray(ids, np.int64)
        prompt = len(array) if prompt is None else prompt
        context = request(array[:prompt], self.max_length)
        self.opened.cache.claim(context)
        self.live.append(Request(array, prompt, context))
        return self.live[-1]

    def run(self, batch: Sequence[tuple[Request, int]]) -> Passed:
        """One pass over the next tokens of some requests.

        Args:
            batch: each request with how many tokens it goes on by: a part of its prompt, or one.

        Raises:
            GraphError: where the package's graph cannot be evaluated, or returns something else
                than logits of every token, or of the last of each request.
        """
        for each, count in batch:
            if each.left > count:
                each.context.tokens.chunk(count)
        inputs = self._inputs_of([each for each, _ in batch])
        counts = [each.context.tokens.active_length for each, _ in batch]
        logits = self.engine.result(self.opened.model.execute(inputs).logits)
        spans = tuple(self._went_on(each, n) for (each, _), n in zip(batch, counts, strict=True))
        shown = counts if len(logits) == sum(counts) else [1] * len(counts)
        if len(logits) != sum(shown):
            raise GraphError(
                f"the package returns {len(logits)} rows of logits for {sum(counts)} tokens of "
                f"{len(counts)} requests"
            )
        parts = np.split(logits, np.cumsum(shown)[:-1])
        outputs = self.model.outputs if self.engine.models else ()
        return Passed(tuple(parts), spans, outputs)

    def prepared(self, ids: Array) -> tuple[Array, ...]:
        """What the graph is given for the prefill of `[batch, sequence]` token ids, empty caches.

        Nothing is evaluated, and the requests' pages are given back.
        """
        self.reset()
        rows = [self.begin(row) for row in ids]
        inputs = self._inputs_of(rows)
        given = self.engine.inputs_of(lambda: self.opened.model.execute(inputs))
        self.end(*rows)
        return tuple(
            np.zeros_like(array) if value.sort == "buffer" else array.copy()
            for value, array in zip(self.model.graph.inputs, given, strict=True)
        )

    def end(self, *requests: Request) -> None:
        """Give the pages of some requests back, of all where none is named."""
        for each in requests or tuple(self.live):
            self.opened.cache.release(each.context)
            if release := getattr(self.opened.model, "release", None):
                release(each.context.request_id)  # a model with states of its own
            self.live.remove(each)

    def _inputs_of(self, batch: Sequence[Request]) -> Any:
        """The model's inputs of one pass over some requests, with pages for their new tokens."""
        contexts = [each.context for each in batch]
        for context in contexts:
            self.opened.cache.alloc(context)
        return self.opened.model.prepare_initial_token_inputs(
            replica_batches=[contexts], kv_cache_inputs=self.opened.cache.runtime_inputs([contexts])
        )

    def _went_on(self, each: Request, count: int) -> tuple[int, int]:
        """Note that a request's tokens have been processed; the span of their positions."""
        tokens = each.context.tokens
        first = tokens.processed_length
        if tokens.actively_chunked:
            tokens.advance_chunk()
        elif first + count < len(each.ids):
            each.context.update(int(each.ids[first + count]))
        each.done = first + count
        self.opened.cache.step(each.context)
        return first, first + count
