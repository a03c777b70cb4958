"""Tries specimens: many graphs compiled in one program, each compared with what it means."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from verify.graph.errors import GraphError
from verify.reduce.child import (
    ARRAYS,
    ERRORS,
    GRAPHS,
    JOB,
    RESULTS,
    load_arrays,
    save_arrays,
)
from verify.reduce.deviation import Deviation, Standard, deviation, standard
from verify.reduce.source import in_max, indented, weights_of
from verify.reduce.words import UnwritableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reference.trace import Array
    from verify.reduce.specimen import Specimen

HEADER = """from pathlib import Path

import numpy as np
from max.dtype import DType
from max.graph import DeviceRef, Dim, Graph, TensorType, ops

cpu = DeviceRef.CPU()
libraries = [Path(name) for name in {libraries}]
"""


MOST_GRAPHS = 12
"""Graphs in one program: each takes 5 to 10 seconds of CPU time, on two cores of an AMD EPYC."""


class TimeUpError(Exception):
    """The time that a reduction may take is over."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a specimen.

    Attributes:
        deviation: of the compiled result; None where there is none.
        problem: why there is none, one sentence.
    """

    deviation: Deviation | None
    problem: str = ""

    @property
    def used(self) -> float:
        """Error over allowed; 0 where nothing was computed."""
        return self.deviation.used if self.deviation else 0.0


@dataclass(slots=True)
class _Program:
    """A graph with all the specimens that are runs of it."""

    text: str
    runs: list[tuple[str, Specimen, Standard]] = field(default_factory=list)


class Trials:
    """Compiles and judges; what was tried once is known from then on.

    Args:
        time_limit_s: after that, a trial raises `TimeUpError`; None for as long as it takes.
        say: called with a few words before each program is compiled.
    """

    def __init__(
        self, time_limit_s: float | None = None, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._end = None if time_limit_s is None else time.monotonic() + time_limit_s
        self._say = say
        self._known: dict[str, Trial] = {}
        self._standards: dict[str, Standard] = {}
        self.programs = 0
        """How many were compiled."""
        self.graphs = 0
        """How many graphs were in them."""

    def judged(self, specimens: Sequence[Specimen]) -> list[Trial]:
        """What becomes of each specimen.

        Raises:
            TimeUpError: when the time is over.
        """
        keys = [self._prepared(specimen) for specimen in specimens]
        programs: dict[str, _Program] = {}
        for key, specimen in dict(zip(keys, specimens, strict=True)).items():
            if key in self._known:
                continue
            text = in_max(specimen.graph, "NAME")
            run = (key, specimen, self._standards[key])
            programs.setdefault(text, _Program(text)).runs.append(run)
        waiting = list(programs.values())
        for start in range(0, len(waiting), MOST_GRAPHS):
            self._compile(waiting[start : start + MOST_GRAPHS])
        return [self._known[key] for key in keys]

    def _prepared(self, specimen: Specimen) -> str:
        """The key of a specimen; one that cannot be tried is known at once."""
        try:
            key = _digest(in_max(specimen.graph, "NAME"), specimen)
            if key not in self._known and key not in self._standards:
                self._standards[key] = standard(specimen)
        except (GraphError, UnwritableError) as error:
            key = f"{id(specimen)}: {error}"
            self._known[key] = Trial(None, str(error))
        return key

    def _compile(self, programs: Sequence[_Program]) -> None:
        """Compile graphs together; where that ends MAX, by halves."""
        self._say(f"compiling {len(programs)} graphs in one program")
        self.programs += 1
        self.graphs += len(programs)
        with tempfile.TemporaryDirectory(prefix="reduce-") as name:
            folder = Path(name)
            _write_job(folder, programs)
            problem = self._child(folder)
            if not problem:
                self._keep(programs, folder)
                return
        if len(programs) == 1:
            for key, _, _ in programs[0].runs:
                self._known[key] = Trial(None, problem)
            return
        middle = len(programs) // 2
        self._compile(programs[:middle])
        self._compile(programs[middle:])

    def _child(self, folder: Path) -> str:
        """Run the child; returns what went wrong, or nothing."""
        command = [sys.executable, "-m", "verify.reduce.child", str(folder)]
        with (folder / "stderr").open("wb") as errors:
            child = subprocess.Popen(command, env=dict(os.environ), stdout=errors, stderr=errors)
            try:
                code = child.wait(self._left())
            except subprocess.TimeoutExpired:
                raise TimeUpError from None
            finally:
                if child.poll() is None:
                    child.kill()
                    child.wait()
        if code == 0:
            return ""
        lines = (folder / "stderr").read_text(errors="replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"MAX cannot compile it (exit code {code}): {last[:200]}"

    def _left(self) -> float | None:
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeUpError
        return left

    def _keep(self, programs: Sequence[_Program], folder: Path) -> None:
        results = load_arrays(folder / RESULTS)
        errors = json.loads((folder / ERRORS).read_text())
        for place, program in enumerate(programs):
            for index, (key, _, expected) in enumerate(program.runs):
                found = results.get(f"g{place}/{index}")
                if found is None:
                    self._known[key] = Trial(None, errors.get(f"g{place}", "no result"))
                else:
                    self._known[key] = Trial(deviation(found, expected))


def programs(specimens: Sequence[Specimen]) -> list[list[Specimen]]:
    """Specimens in groups, each of as many graphs as one program has; equal graphs together.

    Those that cannot be written are left out.
    """
    by_text: dict[str, list[Specimen]] = {}
    for specimen in specimens:
        with suppress(UnwritableError):
            by_text.setdefault(in_max(specimen.graph, "NAME"), []).append(specimen)
    alike = list(by_text.values())
    groups = (alike[start : start + MOST_GRAPHS] for start in range(0, len(alike), MOST_GRAPHS))
    return [[one for some in group for one in some] for group in groups]


def _digest(text: str, specimen: Specimen) -> str:
    digest = hashlib.sha256(text.encode())
    weights = (specimen.weights[name] for name in weights_of(specimen.graph))
    for array in (*specimen.arrays, *weights):
        digest.update(repr((array.dtype, array.shape)).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _write_job(folder: Path, programs: Sequence[_Program]) -> None:
    """What `verify.reduce.child` reads."""
    arrays: dict[str, Array] = {}
    names: dict[int, str] = {}

    def saved(array: Array) -> str:
        if id(array) not in names:
            names[id(array)] = f"a{len(names)}"
            arrays[names[id(array)]] = array
        return names[id(array)]

    job: dict[str, dict[str, object]] = {"graphs": {}, "weights": {}}
    libraries: dict[str, None] = {}
    functions = []
    for place, program in enumerate(programs):
        name = f"g{place}"
        specimen = program.runs[0][1]
        libraries.update(dict.fromkeys(specimen.libraries))
        job["graphs"][name] = [[saved(a) for a in one.arrays] for _, one, _ in program.runs]
        text = in_max(specimen.graph, name, weights=f"{name}/")
        for index, weight in enumerate(weights_of(specimen.graph)):
            job["weights"][f"{name}/w{index}"] = saved(specimen.weights[weight])
        functions += ["", "", f"def {name}(program):", *indented(text.splitlines())]
    save_arrays(folder / ARRAYS, arrays)
    (folder / JOB).write_text(json.dumps({**job, "libraries": list(libraries)}))
    header = HEADER.format(libraries=list(libraries))
    (folder / GRAPHS).write_text(header + "\n".join(functions) + "\n")
    with suppress(OSError):
        (folder / "stderr").touch()
