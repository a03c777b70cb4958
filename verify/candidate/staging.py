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

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from max import tree
from max.experimental import functional as F
from max.experimental.compilation import StagedGraph
from max.experimental.nn._weight_utils import _ExternalWeight
from max.experimental.sharding.types import as_layout
from max.experimental.tensor import Tensor
from max.graph import AlgebraicDim, Graph, TensorType
from max.graph import Module as Program

from impl.runtime import input_type
from reference.taps import is_input
from reference.trace import TraceError
from verify.candidate.calls import paths_of, watching
from verify.candidate.graph_api import GraphModel
from verify.graph.adapter import Noted, noting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from max.driver import Device
    from max.experimental.nn import Module

    from verify.candidate.calls import Paths


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
    passed_on: set[str] | None = None,
) -> dict[str, TensorType]:
    """Trace a function, usually a module, with every tap on its way as a further output.

    Args:
        name: as in `stage`.
        function: takes tensors, returns one.
        types: as in `stage`.
        paths: the modules to be watched.
        program: as in `stage`.
        result: a tap for what the function itself returns, besides; None for none.
        passed_on: is filled with the taps at which the function's first tensor itself stands.

    Returns:
        The type of each tap, in the order of execution.
    """
    seen: dict[str, Any] = {}

    def tapped(*tensors: Tensor) -> list[Tensor]:
        with watching(paths, lambda tap, value: _keep(seen, tap, value)):
            value = function(*tensors)
        if passed_on is not None:
            passed_on.update(tap for tap, kept in seen.items() if _is_same(kept, tensors[0]))
        if result:
            _keep(seen, result, value)
        return [value, *seen.values()]

    stage(name, tapped, types, program)
    device = types[0].device
    return {tap: TensorType(v.dtype, v.shape, device=device) for tap, v in seen.items()}


def _is_same(a: Any, b: Any) -> bool:
    """Whether two tensors are the same value of a graph."""
    return bool(a.__tensorvalue__().to_mlir() == b.__tensorvalue__().to_mlir())


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A model's graphs as plain data; nothing of the model itself is in it.

    Attributes:
        program: the graphs `plain`, `tapped`, `forced` and `weights`.
        again: gives the plain graph, staged once more; every operation knows the line that made it.
        placed: gives the forced graph, in the same way.
        taps: what the tapped graph returns after the logits, in the order of execution.
        given: the taps whose activations the forced graph takes, with their dtypes.
        forced_taps: what the forced graph returns, in the order of execution.
        parameter_names: what the graph of weights returns.
        libraries: Mojo kernels of its custom operations, as MAX compiled them; they must be given
            to MAX again where graphs are compiled.
        name: begins the names of its graphs and its parameters.
    """

    program: Noted
    again: Callable[[], Noted]
    placed: Callable[[], Noted]
    taps: Sequence[str]
    given: Mapping[str, str]
    forced_taps: Sequence[str]
    parameter_names: Sequence[str]
    libraries: Sequence[Path] = ()
    name: str = ""


class Staging:
    """A model, to be staged.

    Args:
        model: the module tree, or a model of the graph API; called with int64 `[batch, sequence]`
            it returns logits. Its parameters need no values.
        device: where it runs.
        types: of what it takes; token ids unless given.
        taking: finds the tensor in what the model returns; None where it returns a tensor.
        name: begins the names of its graphs and its parameters in a program that it shares.
    """

    def __init__(
        self,
        model: Module[..., Any] | GraphModel,
        device: Device,
        *,
        types: list[TensorType] | None = None,
        taking: Callable[[Any], Any] | None = None,
        name: str = "",
    ) -> None:
        self.device = device
        self.name = name
        self.model = weightless(model, name)
        self.types = types or [input_type(device)]
        self._taking = taking
        self._paths = paths_of(self.model)

    def forward(self, *tensors: Tensor) -> Any:
        """What the model returns for token ids: the tensor that is judged."""
        returned = self.model(*tensors)
        return self._taking(returned) if self._taking else returned

    def seen(self, result: str, passed_on: set[str]) -> dict[str, TensorType]:
        """Every tap with its type, in the order of execution.

        Args:
            result: what the model itself returns is called.
            passed_on: is filled with the taps at which the model's own input stands.
        """
        return stage_tapped(
            "outline", self.forward, self.types, self._paths, Program(), result, passed_on
        )

    def staged(
        self,
        cut: Collection[str] | None = None,
        result: str | None = None,
        shared: Program | None = None,
    ) -> Staged:
        """Its graphs.

        Args:
            cut: the taps at which the forced graph replaces what the module there returns; None for
                every module's.
            result: a tap for what the model itself returns, for a model without a module that
                returns it; None for a model that has one.
            shared: a program that shall have the forced graph besides.
        """
        program, name = Program(), self.name
        with noting(places=False) as notes:
            plain = stage(f"{name}plain", self.forward, self.types, program).graph
            seen = stage_tapped(
                f"{name}tapped", self.forward, self.types, self._paths, program, result
            )
            given = {
                tap: kind
                for tap, kind in seen.items()
                if not is_input(tap) and tap != result and (cut is None or tap in cut)
            }
            forced = partial(self._forced, given, result)
            for each in filter(None, (program, shared)):
                forced_taps = forced(each)
            stage(f"{name}weights", lambda: _weights_in_graph(self.model), [], program)
        return Staged(
            program=Noted.of(program, notes, places=False),
            again=lambda: _noted(lambda own: stage(f"{name}plain", self.forward, self.types, own)),
            placed=lambda: _noted(forced),
            taps=list(seen),
            given={tap: kind.dtype.name for tap, kind in given.items()},
            forced_taps=forced_taps,
            parameter_names=[path for path, _ in self.model.parameters],
            libraries=_libraries(plain),
            name=name,
        )

    def _forced(
        self, given: Mapping[str, TensorType], result: str | None, program: Program
    ) -> list[str]:
        return stage_forced(
            f"{self.name}forced", self.forward, self.types, self._paths, given, program, result
        )

    def shipped(self, *, last: bool) -> tuple[Noted, list[Path]]:
        """Its plain graph alone, with the Mojo kernels of its custom operations.

        Args:
            last: whether there is, besides, a graph that returns the last position's logits alone.
        """
        program = Program()

        def last_position(ids: Tensor) -> Tensor:
            logits: Tensor = self.forward(ids)[:, -1, :]  # [B, S, vocab_size] -> [B, vocab_size]
            return logits

        with noting(places=False) as notes:
            plain = stage("plain", self.forward, self.types, program).graph
            if last:
                stage("last", last_position, self.types, program)
        return Noted.of(program, notes, places=False), _libraries(plain)


def _libraries(graph: Graph) -> list[Path]:
    return list(dict.fromkeys(graph.kernel_libraries_paths))


def _noted(staging: Callable[[Program], Any]) -> Noted:
    """A program in which every operation knows the line that made it."""
    program = Program()
    with noting() as notes:
        staging(program)
    return Noted.of(program, notes)


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


def _keep(seen: dict[str, Any], tap: str, value: Any) -> Any:
    if tap in seen:
        raise TraceError(f"{tap} was computed twice in one pass")
    seen[tap] = value
    return value
