"""The model under test: a MAX module tree, seen inside without a change to it.

While a model is being traced into a graph, every call of one of its modules is looked at
(`verify.candidate.calls`). Four graphs are traced from the same model into one program:

- `plain`: token ids to logits, the graph that ships
- `tapped`: the same, with every module's input and output as further outputs
- `forced`: every module's output is recorded and then replaced by a given activation, so that each
  stage is computed in isolation, on the reference's own activations, in one call
- `weights`: every parameter, read back as the compiled program holds it

Extra outputs can change how the compiler fuses, so the plain graph is always checked as well.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from max import tree
from max.driver import CPU, Buffer
from max.dtype import DType
from max.engine import InferenceSession
from max.experimental import functional as F
from max.experimental.compilation import StagedGraph
from max.experimental.nn._weight_utils import _ExternalWeight
from max.experimental.sharding.types import as_layout
from max.experimental.tensor import Tensor
from max.graph import AlgebraicDim, Graph, TensorType
from max.graph import Module as Program

from impl.compiling import compile_announced
from impl.log_thread import log_thread_yields
from impl.runtime import input_type
from reference.dtypes import DTYPES
from reference.taps import is_input
from reference.trace import TraceError
from verify.candidate.calls import paths_of, watching
from verify.candidate.graph_api import GraphModel
from verify.candidate.narrowing import narrowest, with_rounding
from verify.candidate.neighbours import with_neighbours
from verify.graph.adapter import noting, read
from verify.graph.evaluate import evaluate
from verify.graph.form import numpy_dtype, same
from verify.graph.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from max.driver import Device
    from max.experimental.nn import Module

    from reference.trace import Array, Trace
    from verify.candidate.calls import Paths
    from verify.graph.form import Graph as GraphForm
    from verify.graph.scope import Precision

MODEL = "the model, plain and with every place shown"
"""What a candidate's program is called while it is compiled."""


def stage(
    name: str, function: Callable[..., Any], types: list[Any], program: Program
) -> StagedGraph[..., Any]:
    """Trace a function over tensors into a graph of `program`.

    Args:
        name: the graph's name in the program.
        function: takes one tensor for each type, returns a tensor or a list of them.
        types: of the graph's inputs.
        program: what the graph is compiled with.
    """
    graph = Graph(name, input_types=types, module=program)
    flat, treedef = tree.flatten((tuple(types), {}), leaf=TensorType)
    return StagedGraph(function, graph, [as_layout(t) for t in flat], treedef)


def stage_tapped(
    name: str,
    function: Callable[..., Any],
    types: list[TensorType],
    paths: Paths,
    program: Program,
    result: str | None = None,
) -> dict[str, TensorType]:
    """Trace a function, usually a module, with every tap on its way as a further output.

    Args:
        name: as in `stage`.
        function: takes tensors, returns one.
        types: as in `stage`.
        paths: the modules to be watched.
        program: as in `stage`.
        result: a tap for what the function itself returns, besides; None for none.

    Returns:
        The type of each tap, in the order of execution.
    """
    seen: dict[str, Any] = {}

    def tapped(*tensors: Tensor) -> list[Tensor]:
        with watching(paths, lambda tap, value: _keep(seen, tap, value)):
            value = function(*tensors)
        if result:
            _keep(seen, result, value)
        return [value, *seen.values()]

    stage(name, tapped, types, program)
    device = types[0].device
    return {tap: TensorType(v.dtype, v.shape, device=device) for tap, v in seen.items()}


def stage_forced(
    name: str,
    function: Callable[..., Any],
    types: list[TensorType],
    paths: Paths,
    given: Mapping[str, TensorType],
    program: Program,
    result: str | None = None,
) -> list[str]:
    """Trace a function with what modules return replaced by further inputs, one for each tap given.

    Args:
        name: as in `stage`.
        function: as in `stage_tapped`.
        types: as in `stage`.
        paths: as in `stage_tapped`.
        given: the taps to replace, with their types.
        program: as in `stage`.
        result: as in `stage_tapped`.

    Returns:
        The taps that the graph returns, in the order of execution.
    """
    seen: dict[str, Any] = {}

    def forced(*tensors: Tensor) -> list[Tensor]:
        substitutes = {
            tap: F.rebind(tensor, given[tap].shape)
            for tap, tensor in zip(given, tensors[len(types) :], strict=True)
        }

        def watch(tap: str, value: Tensor) -> Tensor:
            _keep(seen, tap, value)
            return substitutes.get(tap, value)

        with watching(paths, watch):
            value = function(*tensors[: len(types)])
        if result:
            _keep(seen, result, value)
        return list(seen.values())

    taken = [_without_expressions(kind, index) for index, kind in enumerate(given.values())]
    stage(name, forced, [*types, *taken], program)
    return list(seen)


def _without_expressions(kind: TensorType, index: int) -> TensorType:
    """The type with a symbol for each computed size: no graph takes an expression as an input."""
    sizes = [
        f"given{index}_{axis}" if isinstance(dim, AlgebraicDim) else dim
        for axis, dim in enumerate(kind.shape)
    ]
    return TensorType(kind.dtype, sizes, device=kind.device)


class Candidate:
    """A MAX model traced for verification; `bind` compiles it and gives it weights.

    Args:
        model: the module tree, or a model of the graph API; called with int64 `[batch, sequence]`
            it returns logits. Its parameters need no values.
        device: where it runs.
        types: of what it takes; token ids unless given.
        cut: tells for a tap whether the forced graph replaces what the module there returns;
            None for every module.
        result: a tap for what the model itself returns, for a model without a module that
            returns it; None for a model that has one.
        taking: finds the tensor in what the model returns; None where it returns a tensor.
        name: begins the names of its forced graph and its parameters in a program that it shares.
        program: what its forced graph shall be compiled with, by the caller; None for one of its
            own, with all of its graphs.
    """

    def __init__(
        self,
        model: Module[..., Any] | GraphModel,
        device: Device,
        *,
        types: list[TensorType] | None = None,
        cut: Callable[[str], bool] | None = None,
        result: str | None = None,
        taking: Callable[[Any], Any] | None = None,
        name: str = "",
        program: Program | None = None,
    ) -> None:
        self.device = device
        self.name = name
        self.model = weightless(model, name)
        paths = paths_of(self.model)
        self.parameter_names = [name for name, _ in self.model.parameters]
        self._program = Program()
        self._staged: list[Graph] = []
        forced = self._program if program is None else program
        self._types = ids = types or [input_type(device)]
        self._paths, self._result = paths, result
        self._taking = taking
        with noting(places=False) as self._notes:
            self._staged.append(stage(f"{name}plain", self.forward, ids, self._program).graph)
            seen = stage_tapped(f"{name}tapped", self.forward, ids, paths, self._program, result)
            self.taps = list(seen)
            cut = cut or (lambda _: True)
            self.given_types = {
                tap: kind
                for tap, kind in seen.items()
                if not is_input(tap) and tap != result and cut(tap)
            }
            self.forced_taps = stage_forced(
                f"{name}forced", self.forward, ids, paths, self.given_types, forced, result
            )
            stage(f"{name}weights", lambda: _weights_in_graph(self.model), [], self._program)

    def forward(self, *tensors: Tensor) -> Any:
        """What the model returns for token ids: the tensor that is judged."""
        returned = self.model(*tensors)
        return self._taking(returned) if self._taking else returned

    @cached_property
    def compiled(self) -> CompiledProgram:
        """Its graphs, compiled when they are first asked for."""
        return CompiledProgram(self._program, self.device, libraries=self.libraries)

    @property
    def libraries(self) -> list[Path]:
        """Mojo kernels of its custom operations, as MAX compiled them.

        They must be given to MAX again where graphs are compiled.
        """
        return list(dict.fromkeys(p for g in self._staged for p in g.kernel_libraries_paths))

    def compile(self) -> None:
        """Compile it now rather than when it is first bound."""
        _ = self.compiled

    @cached_property
    def graphs(self) -> dict[str, GraphForm]:
        """Its graphs as they were traced, by name; nothing is compiled for them."""
        return {graph.name: graph for graph in read(self._program, self._notes)}

    @cached_property
    def placed(self) -> GraphForm:
        """Its forced graph, traced once more: every operation knows the line that made it."""
        program = Program()
        with noting() as notes:
            stage_forced(
                f"{self.name}forced", self.forward, self._types, self._paths, self.given_types,
                program, self._result,
            )  # fmt: skip
            (graph,) = read(program, notes)
        return graph

    def traces_alike(self) -> bool:
        """Whether another trace gives the same graph, which no random number or counter does."""
        return same(self.graphs[f"{self.name}plain"], self.plain_again(places=False))

    def plain_again(self, *, places: bool = True) -> GraphForm:
        """Its plain graph, traced once more.

        Args:
            places: whether every operation knows the line that made it.
        """
        program = Program()
        with noting(places=places) as notes:
            stage(f"{self.name}plain", self.forward, self._types, program)
        (again,) = read(program, notes)
        return again

    def bind(self, weights: Mapping[str, Array]) -> BoundCandidate:
        """Return the compiled program with these weights, by parameter name.

        MAX reads the arrays in place: they must neither change nor go away.
        """
        return BoundCandidate(self, self.compiled.models(weights), dict(weights))

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
        return list(self.given_types)

    input_names: Sequence[str] = ("token ids",)
    """What each graph takes, before any activations."""

    def inputs(self, ids: Array) -> list[Array]:
        """What each graph takes for token ids `[batch, sequence]`, before any activations."""
        return [ids]


def _weights_in_graph(model: Any) -> list[Tensor]:
    """Every parameter in the graph that is being traced."""
    if isinstance(model, GraphModel):
        return model.weights()
    return [tensor for _, tensor in model.parameters]


def weightless(model: Module[..., Any] | GraphModel, name: str = "") -> Any:
    """A copy of a module tree whose parameters are declarations, named by their paths.

    A model of the graph API declares its parameters itself: they are named, and nothing is copied.

    Args:
        model: the module tree; it stays as it is.
        name: begins the name of every parameter.
    """
    if isinstance(model, GraphModel):
        return model.named(name)
    copy = tree.map(_ExternalWeight.like, model, leaf=Tensor, shared=True)
    for path, parameter in copy.parameters:
        if parameter.name is None:
            parameter.name = f"{name}{path}"
    return copy


class CompiledProgram:
    """Graphs compiled together, to be given weights.

    Args:
        program: every graph has been staged into it.
        device: where they run.
        what: it is, in a few words.
        libraries: Mojo kernels of its custom operations.
    """

    def __init__(
        self,
        program: Program,
        device: Device,
        what: str = MODEL,
        libraries: Sequence[Path] = (),
    ) -> None:
        self._session = InferenceSession(devices=[device])
        self._compiled = compile_announced(
            what,
            str(program.mlir_module),
            lambda: self._session.compile(program, custom_extensions=list(libraries)),
        )

    def models(self, weights: Mapping[str, Array]) -> Mapping[str, Any]:
        """Every graph by name, with these weights, which must neither change nor go away."""
        registry = {name: _registered(array) for name, array in weights.items()}
        return self._session.init_all(self._compiled, weights_registry=registry)


def to_buffer(array: Array) -> Buffer:
    """An array for MAX, on the host; bfloat16, which DLPack lacks here, goes as its bits."""
    array = np.ascontiguousarray(array)
    if array.dtype == DTYPES["bfloat16"]:
        return Buffer.from_numpy(array.view(np.uint16)).view(DType.bfloat16)
    return Buffer.from_numpy(array)


def to_array(buffer: Buffer) -> Array:
    """A copy on the host of what MAX computed."""
    host = buffer.to(CPU())
    if host.dtype == DType.bfloat16:
        bits = host.view(DType.uint16).to_numpy()
        return np.array(bits, copy=True).view(DTYPES["bfloat16"])
    return np.array(host.to_numpy(), copy=True)


def _registered(array: Array) -> Array | Buffer:
    """A weight as the registry takes it: an array, or a buffer where NumPy knows no such dtype."""
    return to_buffer(array) if array.dtype == DTYPES["bfloat16"] else array


def _keep(seen: dict[str, Any], tap: str, value: Any) -> Any:
    if tap in seen:
        raise TraceError(f"{tap} was computed twice in one pass")
    seen[tap] = value
    return value


class BoundCandidate:
    """A compiled candidate with its weights. All arrays are copies on the host."""

    def __init__(
        self, program: Candidate, models: Mapping[str, Any], weights: dict[str, Array]
    ) -> None:
        self.program = program
        self.models = models
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
        return array.astype(numpy_dtype(self.program.given_types[tap].dtype.name), copy=False)

    def parameters(self) -> dict[str, Array]:
        """Every parameter by name, read back from the compiled program."""
        return dict(zip(self.program.parameter_names, self._run("weights"), strict=True))

    def _run(self, graph: str, *arrays: Array) -> list[Array]:
        buffers = [to_buffer(array).to(self.program.device) for array in arrays]
        with log_thread_yields(on_host=self.program.device.is_host):
            results = self.models[f"{self.program.name}{graph}"].execute(*buffers)
        return [to_array(out) for out in results]


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
        super().__init__(program, {}, dict(weights))
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
