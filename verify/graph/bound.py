"""A candidate with its weights, evaluated: what `BoundCandidate` tells, without a compile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from verify.graph.evaluate import evaluate
from verify.graph.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference.trace import Array, Trace
    from verify.candidate.staging import Candidate
    from verify.graph.form import Graph
    from verify.graph.scope import Precision


class EvaluatedCandidate:
    """The graphs of a candidate with weights. Arrays that it returns must not be written to.

    Args:
        program: tells the taps, in the order of the graphs' inputs and outputs.
        graphs: by name: `plain`, `tapped`, `forced`, each with the candidate's own name before it.
            One that is missing fails when it is asked for.
        weights: by parameter name; give the same `Weights` to several candidates that share them.
        precision: what the graphs are evaluated in.
    """

    def __init__(
        self,
        program: Candidate,
        graphs: Mapping[str, Graph],
        weights: Weights | Mapping[str, Array],
        precision: Precision = "float64",
    ) -> None:
        self.program = program
        self.graphs = graphs
        self.weights = weights if isinstance(weights, Weights) else Weights(weights)
        self.precision: Precision = precision

    def logits(self, ids: Array) -> Array:
        """Logits `[batch, sequence, vocab_size]` of the plain graph."""
        return self._run("plain", ids)[0]

    def trace(self, ids: Array) -> tuple[Array, Trace]:
        """The tapped graph's logits, and its trace."""
        logits, *values = self._run("tapped", ids)
        return logits, dict(zip(self.program.taps, values, strict=True))

    def forced_trace(self, ids: Array, given: Mapping[str, Array]) -> Trace:
        """What each stage computes on the given activations."""
        activations = [given[tap] for tap in self.program.given_taps]
        values = self._run("forced", ids, *activations)
        return dict(zip(self.program.forced_taps, values, strict=True))

    def _run(self, graph: str, *arrays: Array) -> tuple[Array, ...]:
        whole = self.graphs[f"{self.program.name}{graph}"]
        return evaluate(whole, arrays, self.weights, self.precision).outputs
