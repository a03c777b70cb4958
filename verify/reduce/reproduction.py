"""One file of MAX and NumPy that shows a fault: what a MAX engineer wants in a bug report.

It needs nothing of this project. It prints what is right and what MAX computes, and exits with 1
while the two differ, with 0 once they do not.
"""

from __future__ import annotations

import math
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reports.saved.environment import collect
from verify.graph.form import is_floating
from verify.reduce.arrays import made, named_arrays
from verify.reduce.deviation import standard
from verify.reduce.edits import window
from verify.reduce.source import (
    indented,
    meanings,
    needed,
    taken,
    written,
)
from verify.reduce.words import tensor_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from verify.reduce.arrays import Named
    from verify.reduce.search import Found
    from verify.reduce.specimen import Specimen
    from verify.reduce.trials import Trials

WIDTH = 100

MOST_MOJO_LINES = 120
"""Lines of Mojo that are written into the file; more of them stay where they are."""

BITS = """def to_max(x):  # bfloat16 is the upper half of a float32
    bits = (x.view(np.uint32) >> 16).astype(np.uint16)
    return Buffer.from_numpy(bits).view(DType.bfloat16)
""".splitlines()
"""NumPy has no bfloat16 of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What is told of a fault besides its graph.

    Attributes:
        origin: where it was found, one sentence.
        reason: whether an operation by itself is wrong, or only several together; empty where
            nobody has looked.
    """

    origin: str
    reason: str = ""


def alone_or_together(found: Found, trials: Trials, limit: float) -> str:
    """Whether an operation is wrong by itself, or what MAX makes of several, in a sentence.

    Args:
        found: the smallest specimen.
        trials: compiles and judges.
        limit: error over allowed from which a result is wrong.
    """
    operations = [one for one in needed(found.specimen.graph) if one.operands]
    if len(operations) == 1:
        return "The operation is wrong by itself."
    alone = [window(found.specimen, operation, 1) for operation in operations]
    wrong = [
        _word(operation)
        for operation, trial in zip(operations, trials.judged(alone), strict=True)
        if trial.used > limit
    ]
    if wrong:
        return f"By itself, this is wrong too: {', '.join(wrong)}."
    return (
        f"Each of the {len(operations)} operations by itself is right on the same numbers: what "
        "MAX makes of them together is wrong."
    )


def reproduction(found: Found, story: Story, name: str) -> str:
    """The text of the file.

    Args:
        found: the specimen, wrong as compiled.
        story: what is told of it.
        name: of the file.

    Raises:
        verify.reduce.words.UnwritableError: for an operation that has no phrase.
    """
    specimen = found.specimen
    arrays, weights = named_arrays(specimen)
    body = [
        *_functions(specimen, [*arrays, *weights]),
        "cpu = DeviceRef.CPU()",
        *_libraries(specimen),
        *made(specimen, [*arrays, *weights]),
        "",
        *_in_max(specimen, arrays, weights),
        "",
        *_in_numpy(specimen, arrays, weights),
        "",
        *_ending(found),
    ]
    text = "\n".join(body)
    return "\n".join([*_docstring(specimen, story, name), "", *_imports(text), "", text, ""])


# ---- above --------------------------------------------------------------------------------------


def _docstring(specimen: Specimen, story: Story, name: str) -> list[str]:
    kinds = ", ".join(dict.fromkeys(map(_word, needed(specimen.graph))))
    return [
        *_wrapped(f'"""MAX computes something else than its graph says: {kinds}.'),
        "",
        *_wrapped(f"{story.reason} {story.origin}".strip()),
        *_wrapped(_environment()),
        "",
        f"`python {name}` prints what is right and what MAX computes; exit 1 while they differ.",
        '"""',
    ]


def _word(operation: Any) -> str:
    """An operation in a word."""
    if operation.kind == "mo.custom":
        return str(operation.attributes["symbol"])
    return str(operation.kind.rpartition(".")[2])


def _environment() -> str:
    machine = collect()
    versions = machine["versions"]
    return (
        f"Seen with MAX {versions['max']}, Python {versions['python']}, NumPy {versions['numpy']}, "
        f"{machine['system']}, {machine['cpu']}."
    )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _imports(text: str) -> list[str]:
    """The imports that a text needs."""

    def used(name: str, after: str = r"\b") -> bool:
        return re.search(rf"\b{name}{after}", text) is not None

    modules = [one for one in ("base64", "math", "sys", "tempfile", "zlib") if used(one, r"\.")]
    names = [one for one in ("DeviceRef", "Dim", "Graph", "TensorType", "ops") if used(one)]
    return [
        *(f"import {module}" for module in modules),
        "from importlib.metadata import version",
        *(["from pathlib import Path"] if used("Path", r"\(") else []),
        "",
        "import numpy as np",
        "from max.driver import CPU, Buffer",
        "from max.dtype import DType",
        "from max.engine import InferenceSession",
        f"from max.graph import {', '.join(names)}",
    ]


def _functions(specimen: Specimen, arrays: list[Named]) -> Iterator[str]:
    """Functions that the file needs, each with the blank lines around it."""
    lines = meanings(specimen.graph)
    if any(one.value.dtype == "bfloat16" for one in arrays):
        lines += [*BITS, "", ""]
    if lines:
        yield from ("", *lines)


def _libraries(specimen: Specimen) -> Iterator[str]:
    """The Mojo of custom operations, as text where it is short."""
    if not specimen.libraries:
        return
    made = []
    for index, library in enumerate(map(Path, specimen.libraries)):
        files = mojo_files(library)
        if not files or sum(len(text.splitlines()) for text in files.values()) > MOST_MOJO_LINES:
            made.append(f'Path("{library}")')
            continue
        yield f'kernels{index} = Path(tempfile.mkdtemp()) / "{library.stem}"'
        yield f"kernels{index}.mkdir()"
        for name, text in files.items():
            yield f"(kernels{index} / {name!r}).write_text({_quoted(text)})"
        made.append(f"kernels{index}")
    yield f"libraries = [{', '.join(made)}]"


def mojo_files(library: Path) -> Mapping[str, str]:
    """The Mojo files of a folder, by name; none of a library that is compiled already."""
    if not library.is_dir():
        return {}
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(library.glob("*.mojo"))}


def _quoted(text: str) -> str:
    """A text of several lines as a literal."""
    escaped = text.replace("\\", "\\\\").replace("'''", "\\'\\'\\'")
    return f"'''{escaped}'''"


# ---- both results -------------------------------------------------------------------------------


def _in_max(specimen: Specimen, arrays: list[Named], weights: list[Named]) -> Iterator[str]:
    """Lines that build, compile and run the graph."""
    graph = specimen.graph
    source = written(graph, "max")
    own = ", custom_extensions=libraries" if specimen.libraries else ""
    yield from _types([tensor_type(value) for value in graph.inputs])
    yield f'with Graph("reduced", input_types=types{own}) as graph:'
    yield from indented([*taken(source), *source.lines, f"graph.output({source.outputs[0]})"])
    registry = ", ".join(f'"{one.name.lower()}": {one.buffer}' for one in weights)
    more = f", weights_registry={{{registry}}}" if weights else ""
    yield f"model = InferenceSession(devices=[CPU()]).load(graph{more})"
    run = f"model.execute({', '.join(one.buffer for one in arrays)})[0]"
    if specimen.output.dtype == "bfloat16":
        yield f"bits = {run}.view(DType.uint16).to_numpy().astype(np.uint32)"
        yield "found = (bits << 16).view(np.float32)"
    else:
        yield f"found = {run}.to_numpy()"


def _types(types: list[str]) -> Iterator[str]:
    """What the graph takes, on a line where it fits."""
    line = f"types = [{', '.join(types)}]"
    if len(types) > 1 and len(set(types)) == 1:
        line = f"types = [{types[0]}] * {len(types)}"
    if len(line) <= WIDTH:
        yield line
    else:
        yield from ("types = [", *(f"    {kind}," for kind in types), "]")


def _in_numpy(specimen: Specimen, arrays: list[Named], weights: list[Named]) -> Iterator[str]:
    """Lines that compute the same in NumPy, in float64."""
    source = written(specimen.graph, "numpy", specimen.sizes)
    named = ", ".join(one.wide for one in arrays)
    if arrays:
        yield f"{', '.join(source.inputs)} = {named}"
    if weights:
        each = ", ".join(f'"{one.name.lower()}": {one.wide}' for one in weights)
        yield f"weights = {{{each}}}"
    *lines, last = source.lines
    made, _, text = last.partition(" = ")
    yield from lines
    yield from (
        [f"right = {text}"] if made == source.outputs[0] else [last, f"right = {source.outputs[0]}"]
    )


# ---- below --------------------------------------------------------------------------------------


def _ending(found: Found) -> Iterator[str]:
    """Both results one after the other, and the exit code."""
    specimen = found.specimen
    expected = standard(specimen)
    error = found.trial.deviation.error if found.trial.deviation else math.inf
    if not is_floating(specimen.output.dtype):
        yield "error = np.mean(found != right)"
    elif np.isfinite(expected.right).all():
        yield "error = np.sqrt(np.mean((found - right) ** 2) / np.mean(right**2))"
    else:
        yield 'with np.errstate(invalid="ignore"):  # an infinity that is right is no difference'
        yield "    difference = np.where(found == right, 0.0, found - right)"
        yield "error = np.sqrt(np.mean(difference**2) / np.mean(right[np.isfinite(right)] ** 2))"
    yield "np.set_printoptions(precision=4, suppress=True, threshold=24)"
    yield 'print("MAX", version("max"), found.ravel(), "right", right.ravel(), sep="\\n")'
    limit = tolerance(expected.allowed, error)
    explained = f"rounding explains {expected.allowed:.2g}"
    yield f'print(f"error {{error:.2g}} of what is right; {explained}")'
    yield f"sys.exit(int(not error <= {limit:.0e}))"


def tolerance(allowed: float, error: float) -> float:
    """Between what rounding explains and what MAX does: their geometric mean."""
    largest = min(error, 1.0) if math.isfinite(error) else 1.0
    return math.sqrt(max(allowed, 1e-9) * largest)
