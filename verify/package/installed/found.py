"""Finding the architecture package that a user names: a folder, or a built-in of MAX.

A folder is imported as `max serve --custom-architectures` does it: its parent is appended to
`sys.path`, and its name is imported. Where that name is one of this project's own packages, or of a
package that was imported from elsewhere, it is imported under another name, which works unless its
files name it in full.

What is private here is two tables of MAX: `_lazy_architectures`, the built-ins that are not
imported yet, and `_imported_custom_arch_specs`, the packages that it need not import again.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import json
import os
import sys
import sysconfig
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from max.pipelines import PIPELINE_REGISTRY
from max.pipelines.lib import SupportedArchitecture
from max.pipelines.lib.arch_lookup import ARCH_LOOKUP
from max.pipelines.modeling.types import PipelineTask

from reports.commands import UsageError
from verify.candidate.guard import CandidateError, a, guarded
from verify.package.installed.moved import missing_attributes, missing_imports, release
from verify.package.installed.older import standing_in
from verify.package.names import V3

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

_PROJECT = Path(__file__).resolve().parents[2]
_OWN = {_PROJECT / name for name in ("bench", "impl", "reference", "reports", "tests", "verify")}
_ARCHITECTURES = "ARCHITECTURES"


@dataclass(frozen=True, slots=True)
class Found:
    """An architecture package.

    Attributes:
        name: as the user gave it.
        architectures: MAX's `SupportedArchitecture` of each model that the package declares.
        folder: where its code is.
        custom: as `max serve --custom-architectures` takes it; None for a built-in.
        missing: what keeps it from being imported on the installed MAX, a sentence each with its
            place; the classes of such a package may be read, and not run.
        unfit: what its declarations give that MAX does not take, and the reverse.
        widened: whether `widen` has declared float32 for it.
        note: on what was done to it, in words.
    """

    name: str
    architectures: tuple[Any, ...]
    folder: Path
    custom: str | None = None
    missing: tuple[tuple[str, str], ...] = ()
    unfit: tuple[str, ...] = ()
    widened: bool = False
    note: str = ""

    @property
    def runs(self) -> bool:
        """Whether the installed MAX can import it."""
        return not self.missing and not self.unfit

    @property
    def architecture(self) -> Any:
        """The architecture that is looked at; see `for_checkpoint`."""
        return self.architectures[0]

    @property
    def v3(self) -> bool:
        """Whether it is written in `max.experimental.nn`, and not in `max.nn`."""
        return self.architecture.name.endswith(V3) or any(
            each.__name__.startswith("ModuleV3") for each in self.architecture.pipeline_model.mro()
        )

    @property
    def preferred(self) -> bool:
        """What `open_package` is given as `v3`: MAX prefers by an architecture's name alone."""
        return bool(self.architecture.name.endswith(V3))

    @property
    def customs(self) -> list[str]:
        """What `open_package` is given as `custom`."""
        return [] if self.custom is None else [self.custom]


def find(path_or_name: str) -> Found:
    """The package that a user names.

    Args:
        path_or_name: a folder whose `__init__.py` has `ARCHITECTURES`, or the name of a built-in
            architecture of MAX.

    Raises:
        CandidateError: where there is none, it is not for the generation of text, or its code
            raises.
    """
    folder = _folder(path_or_name)
    return _built_in(path_or_name) if folder is None else _custom(path_or_name, folder)


def for_checkpoint(found: Found, folder: Path) -> Found:
    """The package with the one architecture that a checkpoint asks for.

    Args:
        found: the package.
        folder: the checkpoint's, in Hugging Face's form.

    Raises:
        UsageError: where the folder is no checkpoint.
        CandidateError: where the package has no such architecture.
    """
    asked = asked_architecture(folder)
    fitting = [each for each in found.architectures if each.name in (asked, asked + V3)]
    if not fitting:
        declared = " and ".join(each.name for each in found.architectures)
        raise CandidateError(
            f"{folder / 'config.json'} asks for {asked}, and {found.name} declares {declared}"
        )
    return replace(found, architectures=(fitting[0],))


def asked_architecture(folder: Path) -> str:
    """The architecture that a checkpoint's config.json names.

    Raises:
        UsageError: where there is no folder, no config.json, no architecture in it or no weights.
    """
    if not folder.exists():
        raise UsageError(f"there is no folder {folder}")
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file: --model takes the folder that it is in")
    config = read_config(folder)
    names = config.get("architectures") or [None]
    if not isinstance(names[0], str):
        raise UsageError(f"{folder / 'config.json'} names no architecture (`architectures`)")
    if not any(folder.glob("*.safetensors")):
        raise UsageError(f"{folder} has no weights (*.safetensors)")
    return names[0]


def read_config(folder: Path) -> dict[str, Any]:
    """A checkpoint's config.json.

    Raises:
        UsageError: where it is not there, or no JSON object.
    """
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{folder} has no config.json") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise UsageError(f"{file} is not a JSON object")
    return config


def widen(found: Found, encoding: str) -> Found:
    """The package with a checkpoint's encoding among its own, so that it can be opened.

    What a package computes does not depend on it: its graph is evaluated in float64. Whether it
    holds in the bits that it declares is another question.
    """
    architecture = found.architecture
    declared = set(architecture.supported_encodings)
    if encoding in declared:
        return found
    architecture.supported_encodings = declared | {encoding}
    if (of_config := getattr(architecture.config, "SUPPORTED_ENCODINGS", None)) is not None:
        architecture.config.SUPPORTED_ENCODINGS = {*of_config, encoding}
    note = (
        f"{architecture.name} declares {', '.join(sorted(map(str, declared)))}: {encoding}, which "
        "the checkpoint has, was added so that its mathematics can be evaluated"
    )
    return replace(found, widened=True, note=note)


def _folder(text: str) -> Path | None:
    """The folder that is meant; None for the name of a built-in."""
    path = Path(text).expanduser()
    if path.is_dir():
        return path.resolve()
    if path.is_file():
        raise CandidateError(f"{text} is a file: a package is the folder with its __init__.py")
    parent, colon, name = text.rpartition(":")  # as MAX takes it too
    if colon and (Path(parent) / name).is_dir():
        return (Path(parent) / name).resolve()
    if os.sep in text or text.startswith((".", "~")):
        raise CandidateError(f"there is no folder {text}")
    return None


def _built_in(name: str) -> Found:
    entries = ARCH_LOOKUP._lazy_architectures.get(name)
    if name not in built_in_names():
        near = _near(name)
        raise CandidateError(
            f"{name} is neither a folder nor an architecture of MAX {release()}"
            + (f"; did you mean {' or '.join(near)}?" if near else "")
        )
    try:
        with guarded(f"importing MAX's {name}"):
            architecture = ARCH_LOOKUP.resolve(name, PipelineTask.TEXT_GENERATION)
    except CandidateError:
        if entries:  # MAX forgets a built-in whose import failed
            ARCH_LOOKUP._lazy_architectures[name] = entries
        raise
    _check_task(name, [architecture])
    source = Path(sys.modules[architecture.pipeline_model.__module__].__file__ or "").parent
    return Found(name, (architecture,), source)


def built_in_names() -> set[str]:
    """The architectures that MAX knows, imported or not."""
    return {*ARCH_LOOKUP.architectures, *ARCH_LOOKUP._lazy_architectures}


def _near(name: str) -> list[str]:
    """Built-ins that are spelt alike, by their names or by the folders of their code."""
    names = {each.casefold(): each for each in sorted(built_in_names())}
    for each, entries in ARCH_LOOKUP._lazy_architectures.items():
        names.setdefault(entries[0][0].lstrip(".").casefold(), each)
    near = difflib.get_close_matches(name.casefold(), names, 3, 0.6)
    return list(dict.fromkeys(names[each] for each in near))


def _custom(name: str, folder: Path) -> Found:
    if not (folder / "__init__.py").is_file():
        inside = [each.parent.name for each in sorted(folder.glob("*/__init__.py"))]
        raise CandidateError(
            f"{name} has no __init__.py, and so no {_ARCHITECTURES}"
            + (f"; is {Path(name) / inside[0]} meant?" if inside else "")
        )
    module, spec = _place(folder)
    if str(folder.parent) not in sys.path:
        sys.path.append(str(folder.parent))
    try:
        imported = _imported(module, folder)
        found = Found(name, _declared(imported, name), folder, spec)
    except CandidateError as error:
        found = _older(name, module, folder, error)
    _check_task(name, found.architectures)
    if found.runs:
        _register(found)
    return found


def _register(found: Found) -> None:
    """MAX takes the package's architectures, in the place of built-ins of their names too."""
    with guarded(f"registering {found.name}"):
        for each in found.architectures:
            ARCH_LOOKUP.architectures.pop(each.name, None)  # so that MAX logs no warning
            PIPELINE_REGISTRY.register(each, allow_override=True)
    ARCH_LOOKUP._imported_custom_arch_specs.update(found.customs)


def _place(folder: Path) -> tuple[str, str]:
    """The name under which a package is imported, and what `max serve` is told to import.

    Raises:
        CandidateError: where MAX would import a library of that name in its place.
    """
    name = folder.name
    if not name.isidentifier():
        raise CandidateError(f"{folder} cannot be imported: {name!r} is not a module's name")
    taken = _origin(name)
    if taken is None or (taken == folder and folder not in _OWN):
        return name, str(folder)
    libraries = [Path(sysconfig.get_path(each)).resolve() for each in ("stdlib", "purelib")]
    if not taken.is_relative_to(_PROJECT) and any(map(taken.is_relative_to, libraries)):
        raise CandidateError(
            f"{name} is also the name of {taken}, which MAX imports in its place: rename the folder"
        )
    other = f"{name}_{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    return other, f"{folder.parent}:{other}"


def _origin(name: str) -> Path | None:
    """The folder or file that a module of this name is imported from at present."""
    if name in sys.builtin_module_names:
        return Path(sysconfig.get_path("stdlib")).resolve() / name
    module = sys.modules.get(name)
    spec = module.__spec__ if module is not None else importlib.util.find_spec(name)
    if spec is None:
        return None
    if spec.origin is None or not Path(spec.origin).is_absolute():
        places = list(spec.submodule_search_locations or ())
        return Path(places[0]).resolve() if places else None
    file = Path(spec.origin).resolve()
    return file.parent if file.name == "__init__.py" else file


def _imported(module: str, folder: Path) -> ModuleType:
    """The package, imported anew; where it fails, nothing of it is left behind."""
    _forget(module)
    init = folder / "__init__.py"
    spec = importlib.util.spec_from_file_location(
        module, init, submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[module] = made
    try:
        with guarded(f"importing {folder.name}"):
            spec.loader.exec_module(made)
    except BaseException:
        _forget(module)
        raise
    return made


def _forget(module: str) -> None:
    for name in [each for each in sys.modules if each == module or each.startswith(f"{module}.")]:
        del sys.modules[name]


def _declared(module: ModuleType, name: str) -> tuple[Any, ...]:
    """The package's `ARCHITECTURES`."""
    declared = getattr(module, _ARCHITECTURES, None)
    if declared is None:
        raise CandidateError(f"{name} has no {_ARCHITECTURES} in its __init__.py")
    if not isinstance(declared, list):
        raise CandidateError(f"{_ARCHITECTURES} of {name} is {a(declared)}; MAX takes a list")
    if not declared:
        raise CandidateError(f"{_ARCHITECTURES} of {name} is an empty list")
    for each in declared:
        if not isinstance(each, SupportedArchitecture):
            raise CandidateError(
                f"{_ARCHITECTURES} of {name} has {a(each)} in it; each is a SupportedArchitecture"
            )
        if not isinstance(each.pipeline_model, type):
            raise CandidateError(
                f"pipeline_model of {each.name} is {a(each.pipeline_model)}, not a class"
            )
    return tuple(declared)


def _check_task(name: str, architectures: Sequence[Any]) -> None:
    for each in architectures:
        if each.task is not None and each.task != PipelineTask.TEXT_GENERATION:
            task = str(getattr(each.task, "value", each.task)).replace("_", " ")
            raise CandidateError(
                f"{name} is for {task}; only packages for text generation can be checked"
            )


def _older(name: str, module: str, folder: Path, error: CandidateError) -> Found:
    """What can be read of a package that the installed MAX cannot import.

    Raises:
        CandidateError: the first one, where the reason is not MAX's, or nothing can be read.
    """
    missing = [*missing_imports(folder), *missing_attributes(folder)]
    own = f"No module named '{folder.name}"
    if own in str(error) and module != folder.name:
        raise CandidateError(
            f"{name} names itself in full, and {folder.name} is also a package of this project: "
            "rename the folder, or import with `from .model import ...`"
        ) from None
    listed = tuple((f"{each.file}:{each.line}", str(each)) for each in missing)
    try:
        with standing_in(missing) as unfit:
            declared = _declared(_imported(module, folder), name)
    except CandidateError:
        for place, sentence in listed:
            error.add_note(f"  {place}: {sentence}")
        raise error from None
    finally:
        _forget(module)
    if not listed and not unfit:
        raise error
    return Found(name, declared, folder, None, listed, tuple(dict.fromkeys(unfit)))
