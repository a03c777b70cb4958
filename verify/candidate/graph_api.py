"""Models of the graph API: modules of `max.nn`, and plain callables over `max.graph.ops`.

Such a model takes a `TensorValue` of token ids inside a graph. Its parameters are the
`max.graph.Weight`s that can be reached from it: its attributes, those of the objects that it holds,
entries of lists and dicts, and variables that a function has enclosed. They are named by the way to
them, which for a module of `max.nn` is the name in its state dict. Every object on the way that is
called is seen like a module.

A `Weight` remembers the graph in which it was used first, and code may keep other values of a graph
in its attributes. So that a model can be traced more than once, all attributes are put back as they
were after each trace.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import contextmanager
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from max import nn
from max.driver import Buffer
from max.experimental.tensor import Tensor
from max.graph import TensorValue, Weight

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference.trace import Array

LIBRARIES = ("builtins", "collections", "enum", "max", "numpy", "pathlib", "torch", "transformers")
"""Packages whose objects hold no weights of a candidate's; `max.nn` alone does."""


class GraphModel:
    """A model of the graph API, as the rest of the harness sees a tree of modules.

    Args:
        model: a module of `max.nn`, or a callable: called with a `TensorValue` of token ids, int64
            `[batch, sequence]`.

    Attributes:
        parameters: every way to a weight, with the weight; tied ones have several.
        modules: every object on the way that can be called, with its path.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.device: Any = None
        self.parameters: list[tuple[str, Weight]] = []
        self.modules: list[tuple[str, Any]] = []
        self._objects: list[Any] = []
        self._visit("", model, set())

    def _visit(self, path: str, value: Any, known: set[int]) -> None:
        if isinstance(value, Weight):
            self.parameters.append((path, value))
            self._objects.append(value)
            return
        if isinstance(value, MethodType):
            value = value.__self__
        if id(value) in known:
            return
        known.add(id(value))
        children = _children(value)
        if hasattr(value, "__dict__") and children is not None:
            self._objects.append(value)
            if path and _is_called(type(value)):
                self.modules.append((path, value))
        for key, child in children or ():
            self._visit(f"{path}.{key}" if path else key, child, known)

    def named(self, prefix: str) -> GraphModel:
        """Itself, its weights named by the first way to each.

        Args:
            prefix: begins every name.
        """
        first: dict[int, str] = {}
        for path, weight in self.parameters:
            weight.name = prefix + first.setdefault(id(weight), path)
        return self

    def value_of(self, path: str) -> Array | None:
        """The value that a module of `max.nn` has been given for a weight; None for none."""
        value = getattr(self.model, "_weight_values", {}).get(path)
        if value is None:
            return None
        return np.array(value.to_numpy() if isinstance(value, Buffer) else value, copy=True)

    def __call__(self, *tensors: Tensor) -> Any:
        """What it returns in the graph that is being traced."""
        with self._as_before():
            return self.model(*(tensor.__tensorvalue__() for tensor in tensors))

    def weights(self) -> list[Tensor]:
        """Its parameters in the graph that is being traced."""
        with self._as_before():
            return [Tensor.from_graph_value(TensorValue(weight)) for _, weight in self.parameters]

    @contextmanager
    def _as_before(self) -> Iterator[None]:
        """Attributes that are set in this context are as before after it."""
        before = [(each, dict(vars(each))) for each in self._objects]
        try:
            yield
        finally:
            for each, attributes in before:
                vars(each).clear()
                vars(each).update(attributes)


def as_tensor(value: Any) -> Tensor | None:
    """A tensor of either API as one of `max.experimental`; None for anything else."""
    if isinstance(value, Tensor):
        return value
    return Tensor.from_graph_value(value) if isinstance(value, TensorValue) else None


def _children(owner: Any) -> list[tuple[str, Any]] | None:
    """What an object holds, by name; None where it is not looked into."""
    if isinstance(owner, list | tuple):
        return [(str(index), child) for index, child in enumerate(owner)]
    if isinstance(owner, dict):
        return [(str(key), child) for key, child in owner.items()]
    if isinstance(owner, nn.Module):
        # Before what else it holds, under the names of its state dict.
        others = [pair for pair in _public(owner) if not isinstance(pair[1], Weight)]
        return [*owner.layer_weights.items(), *_registered(owner), *others]
    if isinstance(owner, functools.partial):
        return [*_children(owner.args), *owner.keywords.items(), ("func", owner.func)]  # type: ignore[misc]
    if isinstance(owner, FunctionType):
        return list(inspect.getclosurevars(owner).nonlocals.items())
    library = type(owner).__module__.partition(".")[0] in LIBRARIES
    if library or isinstance(owner, type | ModuleType) or not hasattr(owner, "__dict__"):
        return None
    return _public(owner)


def _registered(owner: nn.Module) -> list[tuple[str, Any]]:
    """Modules that a module of `max.nn` counts as its own.

    A `LayerList` that has grown refuses to tell: its list is looked into instead.
    """
    try:
        return list(owner.sublayers.items())
    except ValueError:
        return []


def _public(owner: Any) -> list[tuple[str, Any]]:
    return [(name, child) for name, child in vars(owner).items() if not name.startswith("_")]


def _is_called(kind: type) -> bool:
    """Whether instances of a class can be called by a method that Python code defines."""
    methods = (getattr(kind, name, None) for name in ("__call__", "forward"))
    return any(isinstance(method, FunctionType) for method in methods)
