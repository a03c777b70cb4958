"""What a candidate computes on one case."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference.trace import Array, Trace
    from verify.truth.expectation import Expectation


class Observable(Protocol):
    """A model that can be looked into, with its weights."""

    def logits(self, ids: Array) -> Array:
        """Logits `[batch, sequence, vocab_size]` of the graph that ships."""

    def trace(self, ids: Array) -> tuple[Array, Trace]:
        """Logits of the tapped graph, and what it computes at every tap."""

    def forced_trace(self, ids: Array, given: Mapping[str, Array]) -> Trace:
        """What each stage computes on the given activations."""


class Observation:
    """What a candidate computes on one case; each graph runs once, when it is first asked for.

    Args:
        candidate: the model under test, with its weights.
        expected: of the case; its `given` is what the stages are fed with.
    """

    def __init__(self, candidate: Observable, expected: Expectation) -> None:
        self._candidate = candidate
        self._ids = expected.case.ids
        self._given = expected.given

    @cached_property
    def forced(self) -> Trace:
        """What each stage computes on the reference's own activations."""
        return self._candidate.forced_trace(self._ids, self._given)

    @cached_property
    def _tapped(self) -> tuple[Array, Trace]:
        return self._candidate.trace(self._ids)

    @property
    def tapped_logits(self) -> Array:
        """Logits of the graph that shows every tap."""
        return self._tapped[0]

    @property
    def free(self) -> Trace:
        """What every tap shows where nothing is replaced."""
        return self._tapped[1]

    @cached_property
    def logits(self) -> Array:
        """Logits of the graph that ships."""
        return self._candidate.logits(self._ids)
