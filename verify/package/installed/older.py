"""A package that was written for an older MAX, imported all the same to be looked at.

Where names are missing the import ends at the first. To tell the rest in the same run, the package
is imported once more: each missing name is then what has that name elsewhere in MAX today, or else
a stand-in, and `SupportedArchitecture` takes what fits. What is made of it is read and never run.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from abc import ABCMeta
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from max.pipelines.lib import SupportedArchitecture

from verify.package.installed.moved import INSTEAD, exists, homes_of, release

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from verify.package.installed.moved import Missing


class _StandInType(ABCMeta):
    """A class of which every attribute is another such class."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return stand_in(name)


class _StandIn(metaclass=_StandInType):
    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        del args, kwargs
        return object.__new__(cls)

    def __class_getitem__(cls, item: Any) -> Any:
        del item
        return cls

    def __init_subclass__(cls, **kwargs: Any) -> None:
        del kwargs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As a decorator it changes nothing."""
        del kwargs
        return args[0] if args else None


def stand_in(name: str) -> type:
    """A class that may be called, subscripted, subclassed and used as a decorator."""
    return _StandInType(name, (_StandIn,), {"__module__": __name__})


def _present(name: str) -> Any:
    """What has this name in MAX today, or else a stand-in."""
    for home in homes_of(name)[:1]:
        try:
            return getattr(importlib.import_module(home), name)
        except Exception:  # a module that cannot be imported here
            break
    return stand_in(name)


class _StandInModule(ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _present(name)


@contextmanager
def standing_in(missing: Sequence[Missing]) -> Iterator[list[str]]:
    """While this lasts, names that MAX does not have can be imported.

    Yields:
        What `SupportedArchitecture` was given that it does not take, and the reverse, as sentences;
        filled while the context lasts.
    """
    complaints: list[str] = []
    replaced: list[tuple[ModuleType, str, Any]] = []
    modules = [name for each in missing if not exists(each.module) for name in _with_parents(each)]
    init = SupportedArchitecture.__init__
    try:
        for name in modules:
            sys.modules.setdefault(name, _StandInModule(name))
        for each in missing:
            _put(each, replaced)
        SupportedArchitecture.__init__ = _forgiving(init, complaints)
        yield complaints
    finally:
        SupportedArchitecture.__init__ = init
        for module, name, value in reversed(replaced):
            _restore(module, name, value)
        for name in modules:
            sys.modules.pop(name, None)


def _with_parents(missing: Missing) -> list[str]:
    """The modules down to the one that is imported that MAX does not have."""
    parts = missing.module.split(".")
    names = [".".join(parts[:count]) for count in range(2, len(parts) + 1)]
    return [name for name in names if not exists(name)]


def _put(missing: Missing, replaced: list[tuple[ModuleType, str, Any]]) -> None:
    """A stand-in where a module has no such name, or where a name has no such attribute."""
    name = missing.name.partition(".")[0]
    if not name or not exists(missing.module):
        return
    module = importlib.import_module(missing.module)
    held = getattr(module, name, None)
    if isinstance(held, ModuleType):  # its missing attribute is put into it
        module, name = held, missing.name.partition(".")[2]
        held = None
    replaced.append((module, name, held))
    other = "." in missing.name or f"{missing.module}.{name}" in INSTEAD  # than its namesake
    setattr(module, name, stand_in(name) if other else _present(name))


def _restore(module: ModuleType, name: str, value: Any) -> None:
    if value is None:
        delattr(module, name)
    else:
        setattr(module, name, value)


def _forgiving(init: Any, complaints: list[str]) -> Any:
    """`SupportedArchitecture.__init__` that notes what does not fit, and goes on without it."""
    takes = inspect.signature(init).parameters
    required = [name for name, each in takes.items() if each.default is inspect.Parameter.empty]

    def tolerant(self: Any, *args: Any, **given: Any) -> None:
        if args:
            given = {**dict(zip(list(takes)[1:], args, strict=False)), **given}
        complaints.extend(
            f"SupportedArchitecture takes no `{name}` in MAX {release()}: leave it out"
            for name in given
            if name not in takes
        )
        lacking = [name for name in required[1:] if name not in given]
        complaints.extend(
            f"SupportedArchitecture needs `{name}` in MAX {release()}" for name in lacking
        )
        known = {name: value for name, value in given.items() if name in takes}
        init(self, **known, **dict.fromkeys(lacking))

    return tolerant
