"""Where a compiled candidate is wrong: the stage, or the whole graph, that a reduction begins with.

The candidate is compiled as `python -m verify` compiles it, so that MAX's cache has it. Every stage
alone, then the graph that ships, is compared with what the traced graph means on the same input. No
oracle takes part: whether the model is the right one is another question.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from reference.taps import in_words
from verify.graph.form import numpy_dtype
from verify.reduce.deviation import deviation, standard
from verify.reduce.source import needed
from verify.reduce.specimen import Specimen, pruned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from reference.trace import Array
    from verify.candidate.model_graphs import BoundCandidate, Candidate


@dataclass(frozen=True, slots=True)
class Suspect:
    """What a reduction may begin with.

    Attributes:
        specimen: its graph, cut to what is returned there.
        where: the stage, in words.
        used: error over allowed.
    """

    specimen: Specimen
    where: str
    used: float


def suspects(
    candidate: Candidate,
    bound: BoundCandidate,
    weights: Mapping[str, Array],
    ids: Array,
    folder: Path,
) -> Iterator[Suspect]:
    """Every stage alone, then the whole graph: how far the compiled result is from what it means.

    Args:
        candidate: traced.
        bound: compiled, with the weights.
        weights: by the candidate's names, in the dtypes that it declares.
        ids: token ids.
        folder: where the sources of Mojo kernels are looked for.

    Raises:
        verify.graph.errors.GraphError: if the graph cannot be evaluated.
    """
    named = {f"{candidate.name}{name}": array for name, array in weights.items()}
    libraries = tuple(source_of(path, folder) for path in candidate.libraries)
    forced = candidate.graphs[f"{candidate.name}forced"]
    given = _given(candidate, weights, ids)
    stages = Specimen(forced, (ids, *given.values()), named, libraries)
    found = bound.forced_trace(ids, given)
    for tap, number in zip(candidate.forced_taps, forced.outputs, strict=True):
        yield from _suspect(_returning(stages, number), found[tap], in_words(tap))
    plain = candidate.graphs[f"{candidate.name}plain"]
    whole = Specimen(plain, (ids,), named, libraries)
    yield from _suspect(pruned(whole), bound.logits(ids), "the graph that ships")


def _given(candidate: Candidate, weights: Mapping[str, Array], ids: Array) -> dict[str, Array]:
    """What the stages are fed with: the graph's own activations, in the dtypes that it declares."""
    _, trace = candidate.evaluated(weights, rounding=False).trace(ids)
    declared = candidate.graphs[f"{candidate.name}forced"].inputs[1:]
    return {
        tap: np.ascontiguousarray(trace[tap].astype(numpy_dtype(value.dtype)))
        for tap, value in zip(candidate.given_taps, declared, strict=True)
    }


def _returning(specimen: Specimen, number: int) -> Specimen:
    graph = specimen.graph
    block = replace(graph.block, outputs=(number,))
    return pruned(replace(specimen, graph=replace(graph, block=block)))


def _suspect(specimen: Specimen, found: Array, where: str) -> Iterator[Suspect]:
    if not needed(specimen.graph):  # an input that is passed on
        return
    yield Suspect(specimen, where, deviation(found, standard(specimen)).used)


def source_of(library: Path, folder: Path) -> str:
    """The folder of Mojo that MAX compiled into a library, if it is found; else the library.

    MAX names what it compiles by a hash of the folder's path.
    """
    for found in _mojo_folders(folder):
        if hashlib.md5(str(found.absolute()).encode(), usedforsecurity=False).hexdigest() in str(
            library
        ):
            return str(found.absolute())
    return str(library)


def _mojo_folders(folder: Path) -> Sequence[Path]:
    return [path.parent for path in sorted(folder.rglob("__init__.mojo"))]
