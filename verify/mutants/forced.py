"""A candidate's forced graph under the reference's names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from verify.candidate.model_graphs import EvaluatedCandidate
from verify.pairing.translated import PairedBound, PairedCandidate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reference.trace import Array
    from verify.candidate.model_graphs import BoundCandidate, Candidate
    from verify.graph.form import Graph
    from verify.graph.weights import Weights


@dataclass(frozen=True, slots=True)
class Forced:
    """A forced graph, with weights.

    Attributes:
        graph: evaluated in float64.
        weights: that it reads.
        declared: the precision that the candidate declares.
        taps: the reference's, in its order of execution, each with the numbers of the values that
            are read for it.
        given: by the number of an input, the value that it stands for, and the tap's name.
        inputs: makes the graph's inputs from token ids and given activations by reference's tap.
        read: makes the reference's array of a tap from the values there, and token ids.
    """

    graph: Graph
    weights: Weights
    declared: str
    taps: Mapping[str, tuple[int, ...]]
    given: Mapping[int, tuple[int, str]]
    inputs: Callable[[Array, Mapping[str, Array]], list[Array]]
    read: Callable[[str, Sequence[Array], Array], Array]


def forced(candidate: Candidate | PairedCandidate, bound: BoundCandidate) -> Forced:
    """The forced graph of a candidate.

    Args:
        candidate: impl's own model, or a paired one.
        bound: what its `evaluated` returned.
    """
    evaluated = bound.bound if isinstance(bound, PairedBound) else bound
    if not isinstance(evaluated, EvaluatedCandidate):
        raise TypeError("mutants are made of graphs that are evaluated, not compiled")
    own = candidate.candidate if isinstance(candidate, PairedCandidate) else candidate
    graph = evaluated.graph("forced")
    shown = dict(zip(own.forced_taps, graph.outputs, strict=True))
    first = len(graph.inputs) - len(own.given_taps)
    given = {
        value.number: (shown[tap], tap)
        for value, tap in zip(graph.inputs[first:], own.given_taps, strict=True)
    }
    readers = (
        candidate.readers
        if isinstance(candidate, PairedCandidate)
        else {tap: [tap] for tap in candidate.forced_taps}
    )

    def inputs(ids: Array, activations: Mapping[str, Array]) -> list[Array]:
        if isinstance(candidate, PairedCandidate):
            activations = candidate.substitutes(ids, activations)
        return [*own.inputs(ids), *(activations[tap] for tap in own.given_taps)]

    def read(tap: str, arrays: Sequence[Array], ids: Array) -> Array:
        if isinstance(candidate, PairedCandidate):
            return candidate.joined(tap, list(arrays), ids)
        return arrays[0]

    return Forced(
        graph=graph,
        weights=evaluated.widened,
        declared=evaluated.declared,
        taps={tap: tuple(shown[one] for one in readers[tap]) for tap in candidate.forced_taps},
        given=given,
        inputs=inputs,
        read=read,
    )
