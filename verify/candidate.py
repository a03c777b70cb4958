"""The model under test: a MAX module tree, seen inside without a change to it.

`max.experimental.nn.Module.__call__` is one method of one base class. While `forward` is being
traced into a graph it is replaced by a version that looks at what each module takes and returns.
Three graphs are traced from the same model and compiled as one program:

- `plain`: token ids to logits, the graph that ships
- `tapped`: the same, with every module's input and output as further outputs
- `forced`: every module's output is recorded and then replaced by a given activation, so that each
  stage is computed in isolation, on the reference's own activations, in one call
- `weights`: every parameter, read back as the compiled program holds it

Extra outputs can change how the compiler fuses, so the plain graph is always checked as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from max import tree
from max.driver import Buffer
from max.engine import InferenceSession
from max.experimental.compilation import StagedGraph
from max.experimental.nn import Module
from max.experimental.nn._weight_utils import _ExternalWeight, name_weights
from max.experimental.sharding.types import as_layout
from max.experimental.tensor import Tensor
from max.graph import Graph, TensorType
from max.graph import Module as Program

from impl.interrupt import interruptible
from impl.runtime import input_type
from reference.trace import INPUT, TraceError

if TYPE_CHECKING:
    from max.driver import Device

    from reference.trace import Array, Trace

Watch = Callable[[str, Any], Any]
"""Called with a tap and the tensor there; returns the tensor to go on with."""


@contextmanager
def watching(paths: Mapping[int, str], watch: Watch) -> Iterator[None]:
    """While this context lasts, every call of a MAX module passes by `watch`.

    Args:
        paths: path of each module, by its `id`.
        watch: sees the first tensor that a module takes, and the first that it returns.
    """
    original = Module.__call__

    def call(module: Any, *args: Any, **kwargs: Any) -> Any:
        path = paths.get(id(module))
        if path is None:
            return original(module, *args, **kwargs)
        if args and isinstance(args[0], Tensor):
            watch(path + INPUT, args[0])
        return _watch_output(path, original(module, *args, **kwargs), watch)

    Module.__call__ = call
    try:
        yield
    finally:
        Module.__call__ = original


def _watch_output(path: str, output: Any, watch: Watch) -> Any:
    if isinstance(output, Tensor):
        return watch(path, output)
    if isinstance(output, tuple) and output and isinstance(output[0], Tensor):
        return (watch(path, output[0]), *output[1:])
    return output


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


class Candidate:
    """A MAX model compiled for verification; `bind` gives it weights.

    Args:
        model: the module tree; `forward(input_ids)` takes int64 `[batch, sequence]` and returns
            logits. Its parameters need no values.
        device: where it runs.
    """

    def __init__(self, model: Module[..., Any], device: Device) -> None:
        self.device = device
        self._model = tree.map(_ExternalWeight.like, model, leaf=Tensor, shared=True)
        name_weights(self._model)
        self._paths = {id(module): path for path, module in self._model.descendants}
        self.parameter_names = [name for name, _ in self._model.parameters]
        program = Program()
        ids = input_type(device)
        stage("plain", self._model.forward, [ids], program)
        self.taps = self._stage_tapped(ids, program)
        self.forced_taps = self._stage_forced(ids, program)
        stage("weights", lambda: [w for _, w in self._model.parameters], [], program)
        self._session = InferenceSession(devices=[device])
        self._compiled = interruptible(lambda: self._session.compile(program))

    def bind(self, weights: Mapping[str, Array]) -> BoundCandidate:
        """Return the compiled program with these weights, by parameter name.

        MAX reads the arrays in place: they must neither change nor go away.
        """
        models = self._session.init_all(self._compiled, weights_registry=dict(weights))
        return BoundCandidate(self, models, dict(weights))

    def _stage_tapped(self, ids: TensorType, program: Program) -> list[str]:
        """Trace the tapped graph; remember each output's type for the forced graph."""
        seen: dict[str, Any] = {}

        def forward(input_ids: Tensor) -> list[Tensor]:
            with watching(self._paths, lambda tap, value: _keep(seen, tap, value)):
                logits = self._model.forward(input_ids)
            return [logits, *seen.values()]

        stage("tapped", forward, [ids], program)
        self._given_types = {
            tap: TensorType(value.dtype, value.shape, device=self.device)
            for tap, value in seen.items()
            if not tap.endswith(INPUT)
        }
        return list(seen)

    def _stage_forced(self, ids: TensorType, program: Program) -> list[str]:
        """Trace the forced graph: one further input for each module's output."""
        seen: dict[str, Any] = {}

        def forward(input_ids: Tensor, *given: Tensor) -> list[Tensor]:
            substitutes = dict(zip(self._given_types, given, strict=True))

            def watch(tap: str, value: Tensor) -> Tensor:
                _keep(seen, tap, value)
                return substitutes.get(tap, value)

            with watching(self._paths, watch):
                self._model.forward(input_ids)
            return list(seen.values())

        stage("forced", forward, [ids, *self._given_types.values()], program)
        return list(seen)

    @property
    def given_taps(self) -> list[str]:
        """The taps whose activations the forced graph takes."""
        return list(self._given_types)


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
        activations = [given[tap] for tap in self.program.given_taps]
        values = self._run("forced", ids, *activations)
        return dict(zip(self.program.forced_taps, values, strict=True))

    def parameters(self) -> dict[str, Array]:
        """Every parameter by name, read back from the compiled program."""
        return dict(zip(self.program.parameter_names, self._run("weights"), strict=True))

    def _run(self, graph: str, *arrays: Array) -> list[Array]:
        device = self.program.device
        buffers = [Buffer.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays]
        return [
            np.array(out.to_numpy(), copy=True) for out in self._models[graph].execute(*buffers)
        ]
