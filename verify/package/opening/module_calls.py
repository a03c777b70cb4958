"""The modules of a package, seen while MAX traces them.

Both kinds of module are watched: those of `max.experimental.nn` by their `__call__`, those of
`max.nn` by its public `add_layer_hook`. What each takes and returns becomes a further output of the
graph: nothing else of the graph changes, and a stage is cut at these values later, in the harness's
own form of the graph (`verify.package.computing.traced`).

What is private: `Module.__call__` of `max.experimental.nn`, and `max.graph.Graph.output`, to which
the further outputs are added.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from max.experimental.nn import Module
from max.experimental.tensor import Tensor
from max.graph import Graph, TensorValue
from max.nn import layer as max_nn

from verify.candidate.calls import modules_of
from verify.candidate.graph_api import GraphModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


SHARD = re.compile(r"(_shards|\.distributed_linear_layers)\.0(?=\.|$)")
"""In a path: the one shard of a module that could have one on each accelerator."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One call of a module.

    Attributes:
        path: the module's path, with `#2` for its second call; "" for the model itself.
        takes: position among the graph's outputs of the first tensor that it is called with; None
            where there is none.
        gives: the same of the first tensor that it returns.
    """

    path: str
    takes: int | None
    gives: int | None


@dataclass(slots=True)
class Stages:
    """The calls of one graph.

    Attributes:
        returned: how many outputs the graph itself has; those after them are stages'.
        calls: in the order in which they end.
        root: the module that the graph traces; None where there is none.
    """

    returned: int = 0
    calls: list[Stage] = field(default_factory=list)
    root: Any = None


@dataclass(slots=True)
class _Call:
    module: Any
    takes: TensorValue | None
    gives: TensorValue | None


@contextmanager
def watching_stages() -> Iterator[Mapping[str, Stages]]:
    """While this lasts, every graph returns what its modules take and return besides.

    Yields:
        By the name of each graph that has been traced, its stages.
    """
    seen: list[_Call] = []
    found: dict[str, Stages] = {}
    call, output = Module.__call__, Graph.output
    hooks = list(max_nn.layer._LAYER_HOOKS)

    def note(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], returned: Any) -> None:
        seen.append(_Call(module, _taken((*args, *kwargs.values())), _first(returned)))

    def watched(module: Any, *args: Any, **kwargs: Any) -> Any:
        returned = call(module, *args, **kwargs)
        note(module, args, kwargs, returned)
        return returned

    def with_stages(graph: Graph, *outputs: Any) -> None:
        stages = found[graph.name] = Stages(len(outputs), root=seen[-1].module if seen else None)
        more = _further_outputs(stages, seen)
        seen.clear()
        output(graph, *outputs, *more)

    Module.__call__, Graph.output = watched, with_stages
    max_nn.add_layer_hook(note)
    try:
        yield found
    finally:
        Module.__call__, Graph.output = call, output
        max_nn.layer._LAYER_HOOKS[:] = hooks


def _further_outputs(stages: Stages, seen: list[_Call]) -> list[TensorValue]:
    """The values of the calls that were seen; their positions are noted in `stages`."""
    names = paths_of(stages.root)
    counts: Counter[str] = Counter()
    values: list[TensorValue] = []

    def position(value: TensorValue | None) -> int | None:
        if value is None:
            return None
        values.append(value)
        return stages.returned + len(values) - 1

    for one in seen:
        path = names.get(id(one.module))
        if path is None:
            continue
        counts[path] += 1
        name = path if counts[path] == 1 else f"{path}#{counts[path]}"
        takes, gives = position(one.takes), position(one.gives)
        stages.calls.append(Stage(name, takes, gives))
    return values


def paths_of(root: Any) -> dict[int, str]:
    """The path of each module below `root` by its `id`, that of `root` itself being ""."""
    if root is None:
        return {}
    model = GraphModel(root) if isinstance(root, max_nn.Module) else root
    names = {id(root): ""}
    for path, module in modules_of(model):
        names.setdefault(id(module), SHARD.sub("", path))
    return names


def _taken(arguments: tuple[Any, ...]) -> TensorValue | None:
    """What a module works on: its first tensor of floats, for a block may be given its number."""
    tensors = [found for found in map(_first, arguments) if found is not None]
    floats = [tensor for tensor in tensors if tensor.dtype.is_float()]
    return next(iter(floats or tensors), None)


def _first(value: Any) -> TensorValue | None:
    """The first tensor of arguments or results."""
    if isinstance(value, Tensor):
        return value.__tensorvalue__()
    if isinstance(value, TensorValue):
        return value
    if isinstance(value, tuple | list):
        return next((found for found in map(_first, value) if found is not None), None)
    return None
