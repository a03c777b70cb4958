"""MAX's engine, replaced by the meaning of the graphs that it is given.

A package of MAX Serve compiles its graphs while its model is made, deep inside classes of MAX.
While `evaluating` lasts, `InferenceSession` compiles nothing: it keeps each graph as it was traced,
and the model that it returns evaluates that graph in NumPy (`verify.graph`) whenever it is
executed. All else of the package runs as it does when it serves: its weight adapter, its batch
processor, the memory plan, the paged cache.

Results go back to MAX as float32. What they are in float64 is remembered with the buffer that holds
them (`Engine.exact`), and so is what each buffer of the cache holds.

What is private here is the methods of `InferenceSession` in `REPLACED`, which
tests/verify/package/opening/test_evaluated_engine.py checks against each new version.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
from max.driver import Buffer
from max.dtype import DType
from max.engine import InferenceSession

from verify.graph.adapter import noting, read
from verify.graph.errors import GraphError
from verify.graph.evaluate import evaluate
from verify.graph.form import is_floating
from verify.graph.weights import Weights
from verify.package.opening.module_calls import Stages, watching_stages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from reference.trace import Array
    from verify.graph.adapter import Notes
    from verify.graph.form import Graph
    from verify.graph.scope import Precision

Place = tuple[int, tuple[int, ...], int]
"""Address, shape, and number among those of a call that share both."""

REPLACED = ("compile", "compile_reusing_mefs", "init", "init_all", "load", "load_all")
"""Methods of `InferenceSession` by which a graph becomes a model."""


@dataclass(slots=True)
class Program:
    """What would have been compiled: in place of `max.engine.CompiledModel`.

    Attributes:
        graphs: by name, as they were traced.
        stages: by the name of a graph, its modules' calls, which are its further outputs.
    """

    graphs: Mapping[str, Graph]
    stages: Mapping[str, Stages]


@dataclass(slots=True)
class Engine:
    """What is remembered of evaluated graphs.

    Attributes:
        notes: of the graphs that are traced.
        precision: in which graphs are evaluated.
        only_inputs: whether a model that is executed raises `GivenInputs`, and evaluates nothing.
        models: that were made, in their order.
        exact: by the `id` of a buffer that was returned, itself and its result in float64.
        held: what buffers that graphs write to hold. By address and shape of each, and its number
            among those of a call that share both: caches of several kinds of layer, whose pages
            are never the same, lie in one piece of memory.
    """

    notes: Notes
    precision: Precision = "float64"
    only_inputs: bool = False
    models: list[EvaluatedModel] = field(default_factory=list)
    exact: dict[int, tuple[Buffer, Array]] = field(default_factory=dict)
    held: dict[Place, tuple[Array, Array]] = field(default_factory=dict)

    def result(self, buffer: Buffer) -> Array:
        """What a buffer that a model returned holds, in the precision it was evaluated in.

        Raises:
            GraphError: for a buffer that no model returned.
        """
        if id(buffer) not in self.exact:
            raise GraphError("the package returns other buffers than its graph does")
        return self.exact[id(buffer)][1]

    def exactly(self, buffer: Buffer) -> Array:
        """What an input holds; of a result that is given back, such as a state, what it was."""
        return self.exact[id(buffer)][1] if id(buffer) in self.exact else as_array(buffer)

    def inputs_of(self, execute: Callable[[], Any]) -> Sequence[Array]:
        """What the first model that is executed is given.

        Args:
            execute: the package's own way to execute it.

        Raises:
            GraphError: where it executes none.
        """
        self.only_inputs = True
        try:
            execute()
        except GivenInputs as given:
            return given.arrays
        finally:
            self.only_inputs = False
        raise GraphError("the package executes no graph")

    def forget(self) -> None:
        """Start with empty caches."""
        self.exact.clear()
        self.held.clear()


class GivenInputs(Exception):  # noqa: N818 - no error: the way out of the package's own code
    """What a model was executed with, where only that is asked for."""

    def __init__(self, arrays: Sequence[Array]) -> None:
        super().__init__()
        self.arrays = arrays


class EvaluatedModel:
    """In place of `max.engine.Model`: evaluates a graph.

    Args:
        engine: that remembers its results.
        graph: as it was traced, its stages' outputs at the end.
        stages: of the graph.
        weights: by name.
    """

    def __init__(
        self, engine: Engine, graph: Graph, stages: Stages, weights: Mapping[str, Any]
    ) -> None:
        self.engine = engine
        self.graph = graph
        self.stages = stages
        self.weights = {name: as_array(weight) for name, weight in weights.items()}
        self.widened = Weights(self.weights)
        self.outputs: tuple[Array, ...] = ()

    def execute(self, *buffers: Buffer) -> list[Buffer]:
        """The graph's results for these inputs, as MAX's model returns them."""
        engine = self.engine
        if engine.only_inputs:
            raise GivenInputs([as_array(buffer) for buffer in buffers])
        held = self._held(buffers)
        inputs = [
            engine.held[held[at]][1] if at in held else engine.exactly(buffer)
            for at, buffer in enumerate(buffers)
        ]
        found = evaluate(self.graph, inputs, self.widened, engine.precision)
        for at, array in found.buffers.items():
            engine.held[held[at]] = (engine.held[held[at]][0], array)
        self.outputs = found.outputs
        return [self._returned(array) for array in found.outputs[: self.stages.returned]]

    __call__ = execute

    @property
    def buffers(self) -> list[int]:
        """Positions of the inputs that the graph writes to."""
        return [at for at, value in enumerate(self.graph.inputs) if value.sort == "buffer"]

    def _held(self, buffers: Sequence[Buffer]) -> dict[int, Place]:
        """Where the contents are remembered of each buffer that is written to, by its position."""
        found: dict[int, Place] = {}
        for at in self.buffers:
            array = as_array(buffers[at])
            alike = (int(array.ctypes.data), array.shape)
            place = found[at] = (*alike, sum(one[:2] == alike for one in found.values()))
            if place not in self.engine.held:
                wide = is_floating(array.dtype.name) and self.engine.precision == "float64"
                held = array.astype(np.float64) if wide else array
                self.engine.held[place] = (array, held)
        return found

    def _returned(self, array: Array) -> Buffer:
        narrow = array.astype(np.float32) if is_floating(array.dtype.name) else array
        buffer = Buffer.from_numpy(np.ascontiguousarray(narrow))
        self.engine.exact[id(buffer)] = (buffer, array)
        return buffer

    def release_weights(self) -> None:
        """As MAX's: the harness keeps its own."""


@contextmanager
def evaluating(*, places: bool = True) -> Iterator[Engine]:
    """While this lasts, MAX compiles nothing, and evaluates what it would have compiled.

    Args:
        places: whether every operation knows the line that made it.
    """
    with noting(places=places) as notes, watching_stages() as stages:
        engine = Engine(notes)
        replaced = {name: vars(InferenceSession)[name] for name in REPLACED}
        _Replacement(engine, stages).install()
        try:
            yield engine
        finally:
            for name, method in replaced.items():
                setattr(InferenceSession, name, method)


class _Replacement:
    """The methods of a session that compiles nothing."""

    def __init__(self, engine: Engine, stages: Mapping[str, Stages]) -> None:
        self.engine = engine
        self.stages = stages

    def install(self) -> None:
        methods = {
            "compile": self.compiled, "compile_reusing_mefs": self.compiled,
            "init": self.init, "init_all": self.init_all,
            "load": self.load, "load_all": self.load_all,
        }  # fmt: skip
        for name in REPLACED:
            setattr(InferenceSession, name, _method(methods[name]))

    def compiled(self, model: Any, **_: Any) -> Program:
        graphs = {graph.name: graph for graph in read(model, self.engine.notes)}
        return Program(graphs, {name: self.stages[name] for name in graphs})

    def init_all(
        self, compiled: Program, *, weights_registry: Mapping[str, Any] | None = None
    ) -> dict[str, EvaluatedModel]:
        made = {
            name: EvaluatedModel(self.engine, graph, compiled.stages[name], weights_registry or {})
            for name, graph in compiled.graphs.items()
        }
        self.engine.models.extend(made.values())
        return made

    def init(
        self, compiled: Program, *, weights_registry: Mapping[str, Any] | None = None
    ) -> EvaluatedModel:
        (model,) = self.init_all(compiled, weights_registry=weights_registry).values()
        return model

    def load(
        self, model: Any, *, weights_registry: Mapping[str, Any] | None = None, **_: Any
    ) -> EvaluatedModel:
        return self.init(self.compiled(model), weights_registry=weights_registry)

    def load_all(
        self, model: Any, *, weights_registry: Mapping[str, Any] | None = None, **_: Any
    ) -> dict[str, EvaluatedModel]:
        return self.init_all(self.compiled(model), weights_registry=weights_registry)


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function as a method of a session that it does not look at."""

    def method(_: InferenceSession, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return method


def as_array(held: Any) -> Array:
    """What MAX holds as a NumPy array: a buffer, a weight of a checkpoint, or an array.

    On a CPU it shares memory with it.
    """
    if isinstance(held, np.ndarray):
        return held
    for attribute in ("to_buffer", "driver_tensor"):
        made = getattr(held, attribute, None)
        if made is not None:
            held = made() if callable(made) else made
    held = getattr(held, "data", held) if not isinstance(held, Buffer) else held
    if isinstance(held, np.ndarray):
        return held
    buffer = held if isinstance(held, Buffer) else Buffer.from_dlpack(held)
    if buffer.dtype == DType.bfloat16:
        return buffer.view(DType.uint16).to_numpy().view(ml_dtypes.bfloat16)
    return buffer.to_numpy()
