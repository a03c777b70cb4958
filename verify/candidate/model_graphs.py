"""The model under test as its graphs say it: traced, to be evaluated in NumPy or compiled by MAX.

Nothing of the model's own code is here: what it was staged into is plain data
(`verify.candidate.staging.Staged`), which may come from another process.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from verify.candidate.narrowing import narrowest, with_rounding
from verify.candidate.neighbours import with_neighbours
from verify.candidate.program import CompiledProgram
from verify.candidate.staging import Staging
from verify.graph.evaluate import evaluate
from verify.graph.form import numpy_dtype, same
from verify.graph.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from max.driver import Device
    from max.graph import Module as Program
    from max.graph import TensorType

    from reference.trace import Array, Trace
    from verify.candidate.program import Bound, Compiled
    from verify.candidate.staging import Staged
    from verify.graph.form import Graph as GraphForm
    from verify.graph.scope import Precision


def trace_model(
    model: Any,
    device: Device,
    *,
    types: list[TensorType] | None = None,
    cut: Collection[str] | None = None,
    result: str | None = None,
    taking: Callable[[Any], Any] | None = None,
    name: str = "",
    program: Program | None = None,
) -> Candidate:
    """Trace a model in this process.

    Args:
        model: as `Staging` takes it, and so are `device`, `types`, `taking` and `name`.
        device: where it runs.
        types: of what it takes.
        cut: as `Staging.staged` takes it, and so is `result`.
        result: a tap for what the model itself returns.
        taking: finds the tensor in what the model returns.
        name: begins the names of its graphs and parameters.
        program: shall have the forced graph besides, to be compiled by the caller.
    """
    staging = Staging(model, device, types=types, taking=taking, name=name)
    return Candidate(staging.staged(cut, result, program), device)


class Candidate:
    """A traced model; `bind` compiles it and gives it weights.

    Args:
        staged: its graphs.
        device: where it runs.
        compile_: compiles a program elsewhere than in this process; None for here.
    """

    def __init__(
        self, staged: Staged, device: Device, compile_: Callable[[Staged], Compiled] | None = None
    ) -> None:
        self.staged = staged
        self.device = device
        self.name = staged.name
        self.parameter_names = list(staged.parameter_names)
        self.taps = list(staged.taps)
        self.forced_taps = list(staged.forced_taps)
        self._compile = compile_ or partial(_compiled_here, device)

    @cached_property
    def compiled(self) -> Compiled:
        """Its graphs, compiled when they are first asked for."""
        return self._compile(self.staged)

    @property
    def libraries(self) -> list[Path]:
        """Mojo kernels of its custom operations, as MAX compiled them."""
        return list(self.staged.libraries)

    def compile(self) -> None:
        """Compile it now rather than when it is first bound."""
        _ = self.compiled

    @cached_property
    def graphs(self) -> dict[str, GraphForm]:
        """Its graphs as they were traced, by name; nothing is compiled for them."""
        return {graph.name: graph for graph in self.staged.program.read()}

    @cached_property
    def placed(self) -> GraphForm:
        """Its forced graph, traced once more: every operation knows the line that made it."""
        (graph,) = self.staged.placed().read()
        return graph

    def traces_alike(self) -> bool:
        """Whether another trace gives the same graph, which no random number or counter does."""
        return same(self.graphs[f"{self.name}plain"], self.plain_again)

    @cached_property
    def plain_again(self) -> GraphForm:
        """Its plain graph, traced once more: every operation knows the line that made it."""
        (again,) = self.staged.again().read()
        return again

    def bind(self, weights: Mapping[str, Array]) -> BoundCandidate:
        """Return the compiled program with these weights, by parameter name.

        MAX reads the arrays in place: they must neither change nor go away.
        """
        return BoundCandidate(self, self.compiled.bind(weights), dict(weights))

    def evaluated(
        self,
        weights: Mapping[str, Array],
        precision: Precision = "float64",
        *,
        rounding: bool = True,
    ) -> EvaluatedCandidate:
        """Return the traced graphs with these weights, to be evaluated in NumPy.

        Args:
            weights: by parameter name.
            precision: of every floating-point number, or `declared` for what each is in the graph.
            rounding: in float64, whether values that the graph holds in fewer bits than its weights
                have are rounded.
        """
        return EvaluatedCandidate(self, weights, precision, rounding=rounding)

    @property
    def given_taps(self) -> list[str]:
        """The taps whose activations the forced graph takes."""
        return list(self.staged.given)

    def dtype_at(self, tap: str) -> str:
        """What the forced graph takes for a tap."""
        return self.staged.given[tap]

    input_names: Sequence[str] = ("token ids",)
    """What each graph takes, before any activations."""

    def inputs(self, ids: Array) -> list[Array]:
        """What each graph takes for token ids `[batch, sequence]`, before any activations."""
        return [ids]


def _compiled_here(device: Device, staged: Staged) -> CompiledProgram:
    return CompiledProgram(staged.program.program(), device, libraries=staged.libraries)


class BoundCandidate:
    """A compiled candidate with its weights. All arrays are copies on the host."""

    def __init__(self, program: Candidate, models: Bound | None, weights: dict[str, Array]) -> None:
        self.program = program
        self._models = models
        self._weights = weights

    def logits(self, ids: Array) -> Array:
        """Logits `[batch, sequence, vocab_size]` of the plain graph."""
        return self._run("plain", ids)[0]

    def trace(self, ids: Array) -> tuple[Array, Trace]:
        """The tapped graph's logits, and its trace."""
        logits, *values = self._run("tapped", ids)
        return logits, dict(zip(self.program.taps, values, strict=True))

    def forced_trace(self, ids: Array, given: Mapping[str, Array]) -> Trace:
        """What each stage computes on the given activations."""
        activations = [self._as_taken(tap, given[tap]) for tap in self.program.given_taps]
        values = self._run("forced", ids, *activations)
        return dict(zip(self.program.forced_taps, values, strict=True))

    def _as_taken(self, tap: str, array: Array) -> Array:
        """A given activation in the dtype that the module there returns."""
        return array.astype(numpy_dtype(self.program.dtype_at(tap)), copy=False)

    def parameters(self) -> dict[str, Array]:
        """Every parameter by name, read back from the compiled program."""
        return dict(zip(self.program.parameter_names, self._run("weights"), strict=True))

    def _run(self, graph: str, *arrays: Array) -> list[Array]:
        if self._models is None:
            raise TypeError("this candidate is evaluated, not compiled")
        return self._models.run(f"{self.program.name}{graph}", arrays)


@dataclass(frozen=True)
class Computing:
    """A graph with all that it takes, of which some results are in question.

    Attributes:
        graph: the forced graph; its operations know their places in the source.
        inputs: one array for each of its inputs.
        names: of its inputs, by number: the taps that they stand for.
        results: the numbers of the values in question.
        weights: all of them.
    """

    graph: GraphForm
    inputs: Sequence[Array]
    names: Mapping[int, str]
    results: Sequence[int]
    weights: Weights


class EvaluatedCandidate(BoundCandidate):
    """A candidate's graphs with its weights, evaluated in NumPy as `verify.graph` means them.

    In float64, what comes out is the mathematics of the graph, but for values that the graph holds
    in fewer bits than its weights have: those are rounded (`verify.candidate.narrowing`).

    Attributes:
        widened: its weights, as the graphs read them.
        declared: the precision of its weights.
    """

    def __init__(
        self,
        program: Candidate,
        weights: Mapping[str, Array],
        precision: Precision,
        *,
        rounding: bool = True,
    ) -> None:
        super().__init__(program, None, dict(weights))
        self._precision = precision
        self._rounding = rounding
        self._seed: int | None = None
        self.declared = narrowest(weights.values())
        self.widened = Weights({f"{program.name}{name}": array for name, array in weights.items()})

    def graph(self, name: str) -> GraphForm:
        """One of its graphs, `plain`, `tapped`, `forced` or `weights`, as it is evaluated."""
        return self._as_evaluated(self.program.graphs[f"{self.program.name}{name}"])

    def _as_evaluated(self, read: GraphForm) -> GraphForm:
        if self._precision != "float64" or not self._rounding:
            return read
        read = with_rounding(read, self.declared)
        return read if self._seed is None else with_neighbours(read, self._seed)

    def moved(self, seed: int) -> EvaluatedCandidate | None:
        """The same with every constant that was rounded to float32 moved to a neighbour.

        Args:
            seed: draws to which side.

        Returns:
            None where its forced graph has no such constant.
        """
        other = copy(self)
        other._seed = seed
        return None if other.graph("forced") is self.graph("forced") else other

    def computing(self, taps: Sequence[str], ids: Array, given: Mapping[str, Array]) -> Computing:
        """What computes some of its taps in the forced graph.

        Args:
            taps: its own.
            ids: token ids.
            given: activations by tap, as `forced_trace` takes them.
        """
        graph, given_taps = self.program.placed, self.program.given_taps
        arrays = [*self.program.inputs(ids), *(given[tap] for tap in given_taps)]
        names = [*self.program.input_names, *given_taps]
        results = [graph.outputs[self.program.forced_taps.index(tap)] for tap in taps]
        return Computing(
            graph=self._as_evaluated(graph),
            inputs=arrays,
            names={value.number: name for value, name in zip(graph.inputs, names, strict=True)},
            results=results,
            weights=self.widened,
        )

    def _as_taken(self, tap: str, array: Array) -> Array:
        return array if self._precision == "float64" else super()._as_taken(tap, array)

    def _run(self, graph: str, *arrays: Array) -> list[Array]:
        inputs = [*self.program.inputs(arrays[0]), *arrays[1:]] if arrays else []
        return list(evaluate(self.graph(graph), inputs, self.widened, self._precision).outputs)
