"""The modules of a model, and what passes when one of them is called.

A module is called through `__call__`, which `max.experimental.nn.Module` passes on to `forward`.
Some define `__call__` in place of `forward`, and some are called as `module.forward(x)`. While a
model is traced, both methods of every class that it uses are replaced by versions that look at what
a module takes and returns. A method that calls the other, or a parent's, is one call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from max.experimental.nn import Module
from max.experimental.tensor import Tensor

from reference.taps import INPUT
from verify.candidate.graph_api import GraphModel, as_tensor

if TYPE_CHECKING:
    from collections.abc import Iterable

Watch = Callable[[str, Any], Any]
"""Called with a tap and the tensor there; returns the tensor to go on with."""

ENTRIES = ("__call__", "forward")
"""Methods by which a module is called."""


@dataclass(frozen=True, slots=True)
class Paths:
    """The modules that are watched.

    Attributes:
        names: the path of each, by its `id`.
        classes: theirs.
    """

    names: Mapping[int, str]
    classes: frozenset[type] = frozenset([Module])


def modules_of(model: Any) -> Iterator[tuple[str, Any]]:
    """Every module below `model` with its path, those in plain lists and dicts too."""
    if isinstance(model, GraphModel):
        yield from model.modules
        return
    for key, child in _children(model):
        if isinstance(child, Module):
            yield key, child
        for path, module in modules_of(child):
            yield f"{key}.{path}", module


def paths_of(model: Any, own: str = "") -> Paths:
    """The first path of every module below `model`.

    Args:
        model: a tree of modules.
        own: the path of the model itself; "" where it is not watched.
    """
    found = [(f"{own}.{path}" if own else path, module) for path, module in modules_of(model)]
    found += [(own, model)] if own else []
    names: dict[int, str] = {}
    for path, module in found:
        names.setdefault(id(module), path)
    return Paths(names, frozenset(type(module) for _, module in found))


def _children(owner: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(owner, list | tuple):
        yield from ((str(index), child) for index, child in enumerate(owner))
    elif isinstance(owner, dict):
        yield from ((str(key), child) for key, child in owner.items())
    if isinstance(owner, Module):
        yield from vars(owner).items()


@contextmanager
def watching(paths: Paths, watch: Watch) -> Iterator[None]:
    """While this context lasts, every call of a module passes by `watch`.

    Args:
        paths: the modules.
        watch: sees the first tensor that a module takes, and the first that it returns. A module's
            second call has the tap `path#2`.
    """
    calls: Counter[str] = Counter()
    inside: set[int] = set()

    def watched(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def call(module: Any, *args: Any, **kwargs: Any) -> Any:
            path = paths.names.get(id(module))
            if path is None or id(module) in inside:
                return original(module, *args, **kwargs)
            calls[path] += 1
            path = path if calls[path] == 1 else f"{path}#{calls[path]}"
            taken = as_tensor(next(iter((*args, *kwargs.values())), None))
            if taken is not None:
                watch(path + INPUT, taken)
            inside.add(id(module))
            try:
                returned = original(module, *args, **kwargs)
            finally:
                inside.discard(id(module))
            return _watch_output(path, returned, watch)

        return call

    replaced = list(_methods(paths.classes))
    for owner, name, method in replaced:
        setattr(owner, name, watched(method))
    try:
        yield
    finally:
        for owner, name, method in replaced:
            setattr(owner, name, method)


def _methods(classes: Iterable[type]) -> Iterator[tuple[type, str, Any]]:
    """Each method by which an instance of one of these classes is called, with its own class."""
    seen = set()
    for kind in classes:
        for name in ENTRIES:
            owner = next((base for base in kind.__mro__ if name in vars(base)), None)
            if owner is not None and (owner, name) not in seen:
                seen.add((owner, name))
                yield owner, name, vars(owner)[name]


def _watch_output(path: str, output: Any, watch: Watch) -> Any:
    tensor = as_tensor(output)
    if tensor is not None:
        seen = watch(path, tensor)
        return seen if isinstance(output, Tensor) else seen.__tensorvalue__()
    if not isinstance(output, tuple | list) or not output or as_tensor(output[0]) is None:
        return output
    made = [_watch_output(path, output[0], watch), *output[1:]]
    return getattr(type(output), "_make", type(output))(made)  # a NamedTuple has `_make`
