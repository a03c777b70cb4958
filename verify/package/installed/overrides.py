"""Whether a package's classes fit the base classes of the installed MAX; nothing of them is run.

What is compared is signatures and names, so that everything that has moved since the MAX that a
package was written for is told at once, and not one exception after another.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import textwrap
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from max.pipelines.lib import PipelineConfig, PipelineModel
from max.pipelines.lib.interfaces import BatchProcessor

from verify.package.installed.moved import (
    is_passed,
    missing_attributes,
    missing_imports,
    parsed,
    release,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from verify.package.installed.found import Found

PASSED = (
    "pipeline_config", "session", "devices", "kv_cache_config", "weights", "adapter",
    "return_logits", "max_batch_size", "memory_plan",
)  # fmt: skip
"""What MAX passes to a pipeline model, by keyword (`max.pipelines.lib.pipeline_variants`)."""

CALLED: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "initialize": (1, ("model_config", "max_seq_len")),
    "calculate_max_seq_len": (2, ()),
    "construct_kv_params": (5, ()),
    "get_kv_params": (0, ()),
    "get_max_seq_len": (0, ()),
}
"""What MAX calls of a configuration class: how many arguments by position, and which by keyword."""

INSTEAD = {
    "huggingface_config": "read self.huggingface_config",
    "encoding": "read self.dtype, or pipeline_config.model.quantization_encoding",
    "memory_plan": "hand it on to super().__init__",
    "max_batch_size": "hand it on to super().__init__",
    "model_config": "where it is None, read pipeline_config.model",
    "max_seq_len": "keep it, in place of what the class computes",
}
"""By a parameter that has come or gone: what to do."""

UNCALLED = {
    "prepare_next_token_inputs": "every step's inputs are made by prepare_initial_token_inputs",
    "calculate_max_seq_len": "it is the configuration class's now",
    "estimate_kv_cache_size": "memory_planner of the architecture does it",
    "estimate_activation_memory": "memory_planner of the architecture does it",
    "estimate_weights_size": "memory_planner of the architecture does it",
    "infer_optimal_batch_size": "memory_planner of the architecture does it",
    "load_kv_manager": "MAX makes the cache from the configuration's get_kv_params",
    "get_num_layers": "it is the configuration class's now",
}
"""Methods of a pipeline model that older versions of MAX called."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A place where a package does not fit.

    Attributes:
        place: the class and method, or the file and line.
        sentence: what does not fit, and what to write.
        breaks: whether the package cannot work so; else it is code that is never called.
    """

    place: str
    sentence: str
    breaks: bool = True


def misfits(found: Found) -> Iterator[Misfit]:
    """Everything in which a package's classes do not fit the installed MAX."""
    architecture = found.architecture
    model, config, batching = (
        architecture.pipeline_model, architecture.config, architecture.batching,
    )  # fmt: skip
    if not issubclass(model, PipelineModel):
        yield Misfit(model.__name__, f"{model.__name__} is not a PipelineModel of MAX {release()}")
    else:
        yield from _constructor(model)
    for cls in filter(None, (model, batching)):
        yield from _abstract(cls)
        yield from _overridden(cls)
    yield from _uncalled(model)
    if isinstance(config, type):
        yield from _configuration(config, model)
    if batching is not None and not issubclass(batching, BatchProcessor):
        yield Misfit(batching.__name__, f"{batching.__name__} is not a BatchProcessor")
    if issubclass(model, PipelineModel) and getattr(model, "model_config_cls", None) is None:
        name = config.__name__ if isinstance(config, type) else "the configuration class"
        yield Misfit(
            model.__name__,
            f"{model.__name__} names no configuration: write model_config_cls = {name}",
        )
    yield from _unknown_fields(found.folder)
    yield from _unset_attributes(model, found.folder)
    if found.runs:
        for each in (*missing_imports(found.folder), *missing_attributes(found.folder)):
            yield Misfit(f"{each.file}:{each.line}", str(each))


def _constructor(model: type) -> Iterator[Misfit]:
    """What `__init__` of a pipeline model takes, against what MAX passes."""
    place = f"{model.__name__}.__init__"
    parameters = dict(list(inspect.signature(model.__init__).parameters.items())[1:])  # type: ignore[misc]
    if not _has(parameters, inspect.Parameter.VAR_KEYWORD):
        for name in PASSED:
            if name not in parameters:
                yield Misfit(place, _said(place, "does not take", name, "passes"))
    for name, each in parameters.items():
        if _required(each) and name not in PASSED:
            yield Misfit(place, _said(place, "needs", name, "no longer passes"))


def _said(place: str, verb: str, name: str, does: str) -> str:
    more = f": {INSTEAD[name]}" if name in INSTEAD else ""
    return f"{place} {verb} `{name}`, which MAX {release()} {does}{more}"


def _abstract(cls: type) -> Iterator[Misfit]:
    """Methods that are left to be written."""
    for name in sorted(getattr(cls, "__abstractmethods__", ())):
        yield Misfit(cls.__name__, f"{cls.__name__} has no {name}, which MAX {release()} calls")
    way = "load_model" if issubclass(cls, PipelineModel) else "prepare_initial_token_inputs"
    method = getattr(cls, way, None)
    called = _self_calls(method) if method is not None and _is_max(method) else set()
    if "graph_specs" in _own_names(cls):  # MAX's newer way to load, in place of this method
        called.discard("_build_graph_for_compile")
    for name in sorted(called):
        method = getattr(cls, name, None)
        if callable(method) and _is_max(method) and _raises_not_implemented(method):
            yield Misfit(cls.__name__, f"{cls.__name__} has no {name}, which MAX {release()} calls")


def _own_names(cls: type) -> set[str]:
    """What a class and its bases define that is not MAX's own."""
    return {name for each in cls.__mro__ if not _is_max(each) for name in vars(each)}


def _self_calls(function: Any) -> set[str]:
    return {
        node.func.attr
        for node in ast.walk(_tree(function))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "self"
    }


def _raises_not_implemented(function: Any) -> bool:
    """Whether nothing but `raise NotImplementedError` is in it."""
    tree = _tree(function)
    body = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.FunctionDef) else []
    return (
        bool(body)
        and isinstance(body[-1], ast.Raise)
        and "NotImplementedError" in ast.unparse(body[-1])
    )


def _tree(function: Any) -> ast.Module:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError, SyntaxError):
        return ast.Module([], [])


def _overridden(cls: type) -> Iterator[Misfit]:
    """Methods with other parameters than the one of MAX that they stand for."""
    loads_itself = not _is_max(getattr(cls, "load_model", cls.__base__))
    for name in dir(cls):
        if name.startswith("__") or (loads_itself and name.startswith("_")):
            continue
        owner = next((each for each in cls.__mro__ if name in vars(each)), None)
        if owner is None or _is_max(owner):
            continue
        behind = cls.__mro__[cls.__mro__.index(owner) + 1 :]
        base = next((each for each in behind if name in vars(each) and _is_max(each)), None)
        if base is not None:
            own, theirs = getattr(cls, name), getattr(base, name)
            if inspect.isroutine(own) and inspect.isroutine(theirs):
                yield from _other_parameters(f"{owner.__name__}.{name}", own, theirs)


def _other_parameters(place: str, own: Any, theirs: Any) -> Iterator[Misfit]:
    """Parameters that MAX passes and that are not taken, and those that it does not pass."""
    mine, expected = _parameters(own), _parameters(theirs)
    if any(_has(mine, kind) for kind in _VARIABLE):
        return
    needed = [name for name in mine if _required(mine[name]) and name not in expected]
    absent = [name for name in expected if _required(expected[name]) and name not in mine]
    if _places(mine, needed) == _places(expected, absent):  # other names in the same places
        method = place.rpartition(".")[2]
        absent = [name for name in absent if is_passed(method, name)]
        needed = []
    for name in needed:
        yield Misfit(place, f"{place} needs `{name}`, which MAX {release()} does not pass")
    for name in absent:
        yield Misfit(place, f"{place} does not take `{name}`, which MAX {release()} passes")


def _places(parameters: Mapping[str, inspect.Parameter], names: Sequence[str]) -> list[int | str]:
    """Where parameters stand; one that is taken by keyword alone is known by its name."""
    order = list(parameters)
    return [order.index(name) if parameters[name].kind is _BY_POSITION else name for name in names]


_BY_POSITION = inspect.Parameter.POSITIONAL_OR_KEYWORD
_VARIABLE = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def _parameters(function: Any) -> dict[str, inspect.Parameter]:
    try:
        parameters = dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return {}
    parameters.pop("self", None)
    return parameters


def _uncalled(model: type) -> Iterator[Misfit]:
    for cls in model.__mro__:
        for name in vars(cls).keys() & UNCALLED.keys() if not _is_max(cls) else ():
            place = f"{cls.__name__}.{name}"
            yield Misfit(
                place, f"{place} is never called by MAX {release()}: {UNCALLED[name]}", breaks=False
            )


def _configuration(config: type, model: type) -> Iterator[Misfit]:
    """What MAX calls of a configuration class."""
    for name, (count, keywords) in CALLED.items():
        if name == "construct_kv_params" and not _is_max(getattr(model, "get_kv_params", model)):
            continue  # the model makes them itself
        method = inspect.getattr_static(config, name, None)
        place = f"{config.__name__}.{name}"
        if method is None:
            yield Misfit(
                config.__name__, f"{config.__name__} has no {name}, which MAX {release()} calls"
            )
            continue
        instance = isinstance(method, type(_configuration))
        positions = (None,) * (count + instance)
        signature = inspect.signature(getattr(config, name))
        yield from _bound(place, signature, positions, keywords)


def _bound(
    place: str, signature: inspect.Signature, positions: Sequence[None], keywords: Sequence[str]
) -> Iterator[Misfit]:
    """Whether a call fits a signature."""
    parameters = signature.parameters
    lacking = [name for name in keywords if name not in parameters]
    if lacking and not _has(parameters, inspect.Parameter.VAR_KEYWORD):
        for name in lacking:
            yield Misfit(place, _said(place, "does not take", name, "passes"))
        return
    try:
        signature.bind(*positions, **dict.fromkeys(keywords))
    except TypeError as error:
        yield Misfit(place, f"{place} cannot be called as MAX {release()} does: {error}")


def _unknown_fields(folder: Path) -> Iterator[Misfit]:
    """What a package reads of `pipeline_config` that MAX's PipelineConfig does not have."""
    seen: set[str] = set()
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(parsed(file)):
            if not _reads_field(node) or node.attr in seen or _is_field(PipelineConfig, node.attr):
                continue
            seen.add(node.attr)
            yield Misfit(
                f"{file.relative_to(folder)}:{node.lineno}",
                f"`pipeline_config.{node.attr}` is read, which MAX {release()} does not have"
                + _where_field(node.attr),
            )


def _reads_field(node: ast.AST) -> TypeGuard[ast.Attribute]:
    """Whether it is `pipeline_config.NAME` or `self.pipeline_config.NAME`."""
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and ast.unparse(node.value) in ("pipeline_config", "self.pipeline_config")
    )


def _is_field(config: Any, name: str) -> bool:
    # pydantic's own `model_config` is not the model's configuration of older versions of MAX.
    return name != "model_config" and (name in config.model_fields or hasattr(config, name))


def _where_field(name: str) -> str:
    """Which part of MAX's configuration has a field of this name today."""
    parts = {
        "model": inspect.signature(PipelineConfig.model.fget).return_annotation,
        **{key: field.annotation for key, field in PipelineConfig.model_fields.items()},
    }
    if name == "model_config":
        return ": write `pipeline_config.model`"
    for part, annotation in parts.items():
        kind = _config_class(annotation)
        if kind is not None and name in kind.model_fields:
            return f": write `pipeline_config.{part}.{name}`"
    near = difflib.get_close_matches(name, PipelineConfig.model_fields, 1, 0.75)
    return f": nearest is `{near[0]}`" if near else ""


def _config_class(annotation: Any) -> Any:
    """The class of an annotation that is one part of the configuration; None for another."""
    if isinstance(annotation, str):
        import max.pipelines.lib as library

        annotation = getattr(library, annotation, None)
    return annotation if hasattr(annotation, "model_fields") else None


def _unset_attributes(model: type, folder: Path) -> Iterator[Misfit]:
    """Attributes of a pipeline model that its own methods read and nothing sets."""
    files = {cls: _source_of(cls) for cls in model.__mro__}
    own = {cls: file for cls, file in files.items() if file and file.is_relative_to(folder)}
    known = set(dir(model))
    for cls in model.__mro__:
        known |= set(vars(cls).get("__annotations__", ()))
        known |= _stored(cls)
    for cls, file in own.items():
        tree = _class_node(cls)
        known |= {str(each.value) for each in ast.walk(tree) if isinstance(each, ast.Constant)}
        for node in ast.walk(tree):
            if _reads_self(node) and node.attr not in known:
                known.add(node.attr)
                more = f": {INSTEAD[node.attr]}" if node.attr in INSTEAD else ""
                yield Misfit(
                    f"{file.name}:{node.lineno}",
                    f"`self.{node.attr}` is read in {cls.__name__}, and neither it nor MAX "
                    f"{release()} sets it{more}",
                )


def _reads_self(node: ast.AST) -> TypeGuard[ast.Attribute]:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


def _stored(cls: type) -> set[str]:
    """Attributes that a class's methods set on `self`."""
    return {
        node.attr
        for node in ast.walk(_class_node(cls))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def _class_node(cls: type) -> ast.AST:
    """A class's source; empty for one without source."""
    file = _source_of(cls)
    nodes = ast.walk(_parsed(file)) if file is not None else ()
    found = [each for each in nodes if isinstance(each, ast.ClassDef) and each.name == cls.__name__]
    return found[0] if found else ast.Module([], [])


@lru_cache(maxsize=256)
def _parsed(file: Path) -> ast.Module:
    return parsed(file)


def _source_of(cls: type) -> Path | None:
    """The file that a class's methods are written in; its module may have been forgotten."""
    for each in vars(cls).values():
        function: Any = inspect.unwrap(each.fget if isinstance(each, property) else each)  # type: ignore[arg-type]
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        if code is not None and Path(code.co_filename).is_file():
            return Path(code.co_filename).resolve()
    return None


def _is_max(thing: Any) -> bool:
    """Whether a class or function is of MAX's own library, and not of an architecture."""
    module = getattr(thing, "__module__", "") or ""
    return module.startswith("max.") and not module.startswith("max.pipelines.architectures.")


def _required(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty and parameter.kind not in _VARIABLE


def _has(parameters: Mapping[str, inspect.Parameter], kind: Any) -> bool:
    return any(each.kind is kind for each in parameters.values())
