"""The process that compiles graphs: `python -m verify.reduce.child FOLDER`.

MAX may end the process that it compiles in, and hears nothing meanwhile, so that it gets one of its
own. The folder holds what `verify.reduce.trials` wrote: `graphs.py`, a function for each graph, and
`job.json` and `arrays.npz`, what each is run on. What comes back are `results.npz` and
`errors.json`, by the names of graphs.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from max.driver import CPU
from max.engine import InferenceSession
from max.graph import Module

from reference.dtypes import DTYPES
from verify.candidate.program import to_array, to_buffer

if TYPE_CHECKING:
    from types import ModuleType

    from reference.trace import Array

JOB, GRAPHS, ARRAYS = "job.json", "graphs.py", "arrays.npz"
RESULTS, ERRORS = "results.npz", "errors.json"

NARROW = "bfloat16"
"""A dtype that NumPy's files do not keep: its bits are saved as uint16."""


def save_arrays(path: Path, arrays: dict[str, Array]) -> None:
    """Save arrays by name; the name of one in bfloat16 gets that as its end."""
    with path.open("wb") as file:
        saved: dict[str, Any] = dict(_saved(name, array) for name, array in arrays.items())
        np.savez(file, **saved)


def _saved(name: str, array: Array) -> tuple[str, Array]:
    if array.dtype == DTYPES[NARROW]:
        return f"{name}:{NARROW}", array.view(np.uint16)
    return name, array


def load_arrays(path: Path) -> dict[str, Array]:
    """Read what `save_arrays` wrote."""
    with np.load(path) as saved:
        return dict(_loaded(name, saved[name]) for name in saved.files)


def _loaded(name: str, array: Array) -> tuple[str, Array]:
    plain, colon, _ = name.partition(":")
    return plain, array.view(DTYPES[NARROW]) if colon else array


def main(folder: Path) -> None:
    """Compile the graphs of a folder together, and run each."""
    job = json.loads((folder / JOB).read_text())
    arrays = load_arrays(folder / ARRAYS)
    errors: dict[str, str] = {}
    program = _staged(_imported(folder / GRAPHS), list(job["graphs"]), errors)
    results: dict[str, Array] = {}
    if len(errors) < len(job["graphs"]):
        session = InferenceSession(devices=[CPU()])
        compiled = session.compile(program, custom_extensions=job["libraries"])
        registry = {name: to_buffer(arrays[key]) for name, key in job["weights"].items()}
        for name, model in session.init_all(compiled, weights_registry=registry).items():
            _run(name, model, job["graphs"][name], arrays, results, errors)
    save_arrays(folder / RESULTS, results)
    (folder / ERRORS).write_text(json.dumps(errors))


def _imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("graphs", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _staged(graphs: ModuleType, names: list[str], errors: dict[str, str]) -> Module:
    """A program of the graphs that MAX takes; one that it does not is staged nowhere else."""
    program = Module()
    for name in names:
        add = getattr(graphs, name)
        try:
            add(Module())
        except Exception as error:  # MAX raises errors of many kinds
            errors[name] = f"MAX does not take it: {_first_line(error)}"
        else:
            add(program)
    return program


def _run(
    name: str,
    model: Any,
    runs: list[list[str]],
    arrays: dict[str, Array],
    results: dict[str, Array],
    errors: dict[str, str],
) -> None:
    """Run a graph on each set of its arrays."""
    for index, keys in enumerate(runs):
        try:
            (result,) = model.execute(*(to_buffer(arrays[key]) for key in keys))
        except (RuntimeError, ValueError, TypeError) as error:
            errors[name] = f"MAX does not run it: {_first_line(error)}"
            return
        results[f"{name}/{index}"] = to_array(result)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:200]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
