"""What an architecture package imports from MAX and the installed MAX does not have.

A package keeps the names of the MAX that it was written for. Here its files are read, not run: each
name that it imports from `max` is looked for in the installed MAX, and where it is missing, the
place where a name of that spelling, or a near one, stands today is looked for in MAX's own files.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from verify.candidate.renamed import RENAMED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INSTEAD = {
    "CacheParams": "write `max.nn.kv_cache.KVCacheParams`",
    "KVCacheInputsInterface": "write `max.nn.kv_cache.KVCacheInputs`",
    "KVCacheInputsSequence": "write `max.nn.kv_cache.KVCacheInputs`",
    "KVCacheManager": "write `max.pipelines.kv_cache.PagedKVCacheManager`",
    "KVCacheMixin": "write `max.pipelines.lib.PipelineModelWithKVCache`",
    "KVCacheStrategy": "leave it out: every cache is paged",
    "RaggedKVCacheInputs": "write `max.nn.kv_cache.KVCacheInputsPerDevice`",
    "estimate_kv_cache_size": "give `memory_planner=PagedMemoryPlanner` of the architecture",
    "max.driver.Tensor": "write `max.driver.Buffer`",
}
"""By a name of an older MAX, with its module where the name alone says too little: what to do."""

MODULES = {
    **RENAMED,
    "max.interfaces": "max.pipelines.modeling.types",
    "max.pipelines.core": "max.pipelines.context",
}
"""By a module of an older MAX: where most of its names are today."""

LIKE = 0.75
"""How alike two names must be (difflib's ratio) to be offered one for the other."""

_DEFINED = r"^(?:class|def) {0}\b|^{0}(?:: [\w\[\], .]+)? = "
_NAMES = re.compile(r"^(?:class|def) ([A-Za-z]\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Missing:
    """A name of MAX that a package imports and that is not there.

    Attributes:
        file: of the package, relative to it.
        line: in the file.
        module: it is imported from.
        name: "" where the module itself is missing and imported as a whole; `Name.attribute` where
            the name is there without the attribute.
        instead: what to write, or where to look; "" where nothing is near.
    """

    file: str
    line: int
    module: str
    name: str
    instead: str

    def __str__(self) -> str:
        near = f"; {self.instead}" if self.instead else ""
        return f"`{self.statement}`: MAX {release()} has no such {self._kind}{near}"

    @property
    def statement(self) -> str:
        """As it may stand in the package."""
        if "." in self.name:
            return self.name
        return f"from {self.module} import {self.name}" if self.name else f"import {self.module}"

    @property
    def _kind(self) -> str:
        if "." in self.name:
            return "attribute"
        return "name" if self.name and exists(self.module) else "module"


def release() -> str:
    """The installed MAX, as `26.7`."""
    return ".".join(version("max").split(".")[:2])


def missing_imports(folder: Path) -> list[Missing]:
    """The names of MAX that the files of a package import and the installed MAX does not have.

    Imports for type checkers alone are passed over.
    """
    return [
        Missing(str(file.relative_to(folder)), line, module, name, instead_of(module, name))
        for file in sorted(folder.rglob("*.py"))
        for line, module, name in max_imports(file)
        if not exists(module, name)
    ]


def missing_attributes(folder: Path) -> list[Missing]:
    """The attributes of MAX's modules and enumerations that a package reads and MAX does not have.

    What was an enumeration may be a choice of words today: `SupportedEncoding.float32`.
    """
    return [
        Missing(str(file.relative_to(folder)), line, module, name, _word(module, name))
        for file in sorted(folder.rglob("*.py"))
        for line, module, name in _attributes(file)
    ]


def _attributes(file: Path) -> Iterator[tuple[int, str, str]]:
    known = {
        name: (module, value)
        for _, module, name in max_imports(file)
        if name and (value := _value(module, name)) is not None
    }
    seen = set()
    for node in _executed(parsed(file)) if known else ():
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module, value = known.get(node.value.id, ("", None))
            name = f"{node.value.id}.{node.attr}"
            if value is not None and not hasattr(value, node.attr) and name not in seen:
                seen.add(name)
                yield node.lineno, module, name


def _value(module: str, name: str) -> Any:
    """What is imported, where its attributes are known: a module, an enumeration, a choice."""
    if not exists(module) or not exists(module, name):
        return None
    try:
        value = getattr(importlib.import_module(module), name, None)
    except Exception:
        return None
    listed = isinstance(value, ModuleType) or (isinstance(value, type) and issubclass(value, Enum))
    return value if listed or get_origin(value) is Literal else None


def _word(module: str, name: str) -> str:
    """What to write for an attribute that is not there."""
    owner, attribute = name.split(".")
    value = _value(module, owner)
    words = [str(each) for each in get_args(value)] or list(dir(value))
    near = attribute if attribute in words else (_alike(attribute, words) or [""])[0]
    if get_origin(value) is Literal:
        return f'write the string "{near or attribute}"'
    return f"nearest: `{owner}.{near}`" if near else ""


def parsed(file: Path) -> ast.Module:
    """The tree of a file; empty where it is no Python, which is told when it is imported."""
    try:
        return ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def max_imports(file: Path) -> Iterator[tuple[int, str, str]]:
    """Each import of MAX that runs: its line, the module and the name, "" for the module itself."""
    for node in _executed(parsed(file)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, each.name, "") for each in node.names if _is_max(each.name))
        elif isinstance(node, ast.ImportFrom) and not node.level and _is_max(node.module or ""):
            yield from ((node.lineno, str(node.module), each.name) for each in node.names)


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """A tree's nodes, less what stands under `if TYPE_CHECKING` or may fail under `try`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from (other, *_executed(other))
        elif not isinstance(child, ast.Try):
            yield from (child, *_executed(child))


def _is_max(module: str) -> bool:
    return module == "max" or module.startswith("max.")


@lru_cache(maxsize=512)
def exists(module: str, name: str = "") -> bool:
    """Whether the installed MAX has a module, or a name in it."""
    try:
        if not name or name == "*":
            return find_spec(module) is not None
        return hasattr(importlib.import_module(module), name) or exists(f"{module}.{name}")
    except ModuleNotFoundError:
        return False
    except Exception:  # a module that needs a GPU is there, all the same
        return True


def instead_of(module: str, name: str) -> str:
    """What to write for a missing name of MAX, in a few words; "" where nothing is near."""
    if not name:
        return f"now `{known}`" if (known := _renamed(module)) else ""
    if known := INSTEAD.get(f"{module}.{name}", ""):
        return known
    if homes := homes_of(name):
        return f"now `from {homes[0]} import {name}`"
    if known := INSTEAD.get(name, ""):
        return known
    if known := _renamed(module):
        return f"the module is now `{known}`"
    near = _near(module, name)
    return f"nearest: {', '.join(f'`{each}`' for each in near)}" if near else ""


def _renamed(module: str) -> str:
    """Where a module of an older MAX is today; "" where it is not known."""
    for old, new in MODULES.items():
        if module == old or (module.startswith(f"{old}.") and exists(new + module[len(old) :])):
            return new + module[len(old) :]
    return ""


def is_passed(method: str, parameter: str) -> bool:
    """Whether MAX calls a method of this name with this keyword anywhere."""
    call = re.compile(rf"\.{method}\([^()]*\b{parameter}=")
    return any(f".{method}(" in text and call.search(text) for text in _sources().values())


def _near(module: str, name: str) -> Sequence[str]:
    """Names that are spelt alike, in the module itself or else anywhere in MAX."""
    if exists(module):
        here = [each for each in dir(importlib.import_module(module)) if not each.startswith("_")]
        if found := _alike(name, here):
            return [f"{module}.{each}" for each in found[:1]]
    found = _alike(name, defined_names())
    return [f"{home}.{each}" for each in found for home in homes_of(each)[:1]]


def _alike(name: str, names: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(name, names, 2, LIKE)


@lru_cache(maxsize=256)
def homes_of(name: str) -> tuple[str, ...]:
    """The modules that a name can be imported from, the best first; architectures are left out."""
    definition = re.compile(_DEFINED.format(re.escape(name)), re.MULTILINE)
    found = {
        _public(module, name)
        for module, text in _sources().items()
        if name in text and definition.search(text)
    }
    return tuple(sorted(found, key=lambda each: ("._" in each, each.count("."), each)))


def _public(module: str, name: str) -> str:
    """The nearest package above a module that hands a name on, or else the module."""
    parts = module.split(".")
    packages = [".".join(parts[:count]) for count in range(len(parts) - 1, 1, -1)]
    return next((each for each in packages if name in _handed_on(each)), module)


@lru_cache(maxsize=256)
def _handed_on(package: str) -> frozenset[str]:
    """The names that a package imports from its own modules, for others."""
    tree = ast.parse(_sources().get(package, ""))
    return frozenset(
        each.asname or each.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for each in node.names
    )


@lru_cache(maxsize=1)
def defined_names() -> tuple[str, ...]:
    """The classes and functions of the installed MAX."""
    return tuple(sorted({name for text in _sources().values() for name in _NAMES.findall(text)}))


@lru_cache(maxsize=1)
def _sources() -> dict[str, str]:
    """The text of MAX's modules by their dotted names, without single architectures."""
    spec = find_spec("max")
    roots = [Path(each) for each in (spec and spec.submodule_search_locations) or ()]
    found: dict[str, str] = {}
    for root in roots:
        for file in root.rglob("*.py"):
            parts = ("max", *file.relative_to(root).with_suffix("").parts)
            if "architectures" not in parts and parts[1:2] not in (("benchmark",), ("_mlir",)):
                module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                found[module] = file.read_text(encoding="utf-8", errors="replace")
    return found
