"""A package's modules, paired with those of transformers.

A module of the package stands for the module of transformers that holds the same weights: which
those are, their values tell, whatever an adapter renamed, stacked or transposed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from reference.taps import is_input
from verify.graph.schedule import reads
from verify.package.computing.served import differs
from verify.package.computing.traced import PackageProgram, is_token_wise, logits_output, outlined
from verify.pairing.counterpart import Counterpart, Pairing
from verify.pairing.modules import corrected_places, pair_places
from verify.pairing.outline import BATCH, LENGTH, CandidateOutline
from verify.pairing.translated import PairedCandidate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from reference.decoder import Decoder
    from reference.trace import Array
    from verify.graph.form import Graph
    from verify.package.opening.driven import Requests
    from verify.pairing.file import Corrections
    from verify.pairing.outline import ReferenceOutline

SAMPLED = 3
"""Rows of a tensor that are looked for."""

SIZE = (2, 9)
"""Batch and length of the run that tells where modules are cut elsewhere."""

ELSEWHERE = "it shows something else than its counterpart, and what follows from it is right"


class PairedPackage(PairedCandidate):
    """An opened package under the names of transformers.

    Args:
        requests: of the package; none may be live.
        reference: what it is compared with.
        weights: of the reference, by name.
        oracle: the reference in float64.
        corrections: what a pairing file says of places.
    """

    def __init__(
        self, requests: Requests, reference: ReferenceOutline, weights: Mapping[str, Array],
        oracle: Decoder, corrections: Corrections | None = None,
    ) -> None:  # fmt: skip
        self._requests = requests
        self._held = held = requests.model.weights
        every_token = is_token_wise(requests.model, logits_output(requests))
        outline = CandidateOutline(
            parameters=(),
            calls=tuple(outlined(requests.model)),
            gives=(BATCH * LENGTH, reference.places[reference.head[0]][-1] if every_token else 0),
        )
        pairing = _pairing(outline, _comparable(reference), origins(held, weights), corrections)
        super().__init__(_Opened(requests), outline, pairing, reference)
        if elsewhere := self._cut_elsewhere(oracle):
            loose = {**pairing.loose, **dict.fromkeys(elsewhere, ELSEWHERE)}
            places = {call: c for call, c in pairing.places.items() if call not in elsewhere}
            pairing = replace(pairing, places=places, loose=loose)
            super().__init__(_Opened(requests), outline, pairing, reference)

    @property
    def program(self) -> PackageProgram:
        """The package's graphs."""
        return cast("PackageProgram", self.candidate)

    def _cut_elsewhere(self, oracle: Decoder) -> list[str]:
        """Calls that show something else than their counterpart, and what follows is right.

        MAX's Gemma scales embeddings after the module that holds them, transformers' within it.
        """
        ids = np.random.default_rng(0).integers(0, oracle.model.config.vocab_size, SIZE)
        truth = oracle.trace(ids)
        _, found = self.evaluated(self._held).trace(ids)
        alike = [tap for tap in found if _comparable_arrays(found[tap], truth[tap])]
        wrong = [tap for tap in alike if differs(found[tap], truth[tap])]
        right = [tap for tap in alike if tap not in wrong]
        numbers = self.program.places
        reached = {number for tap in right for own in self.readers[tap] if own in numbers
                   for number in behind(self._requests.model.graph, numbers[own])}  # fmt: skip
        return [
            own for tap in wrong if not is_input(tap)
            for own in self.readers[tap] if numbers.get(own) in reached
        ]  # fmt: skip

    def weights_of(self, weights: Mapping[str, Array]) -> dict[str, Array]:  # noqa: ARG002
        """The package's weights, as its own adapter made them; `weights` are not looked at."""
        return dict(self._held)


class _Opened:
    """Traces an opened package."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def candidate(self, cut: Collection[str], _: str | None) -> Any:
        """The package's graphs."""
        return PackageProgram(self._requests, cut.__contains__)


def _comparable_arrays(found: Array, truth: Array) -> bool:
    """Whether two arrays are of floats, and of one shape."""
    return found.shape == truth.shape and truth.dtype.kind == "f"


def behind(graph: Graph, number: int) -> set[int]:
    """The numbers of the values that one is computed from, not its own."""
    made = {
        value.number: operation for operation in graph.operations for value in operation.results
    }
    seen: set[int] = set()
    open_numbers = [number]
    while open_numbers:
        operation = made.get(open_numbers.pop())
        for taken in reads(operation) if operation else ():
            if taken not in seen:
                seen.add(taken)
                open_numbers.append(taken)
    return seen


def _comparable(reference: ReferenceOutline) -> ReferenceOutline:
    """The reference with the places that have a row for each token."""
    places = {tap: shape for tap, shape in reference.places.items() if shape[:2] == (BATCH, LENGTH)}
    return replace(reference, places=places)


def _pairing(
    outline: CandidateOutline, reference: ReferenceOutline, held: Mapping[str, Sequence[str]],
    corrections: Corrections | None,
) -> Pairing:  # fmt: skip
    weights = {
        f"{own}~{index}": Counterpart(name, why="value")
        for own, names in held.items()
        for index, name in enumerate(names)
    }
    places, loose = pair_places(outline, reference, weights)
    if corrections is not None:
        places, loose = corrected_places(places, loose, corrections.places, outline, reference)
    found = {name for names in held.values() for name in names}
    unheld = tuple(name for name in reference.parameters if name not in found)
    return Pairing(weights={}, places=places, loose=loose, unheld=unheld)


def origins(held: Mapping[str, Array], weights: Mapping[str, Array]) -> dict[str, list[str]]:
    """By a package's parameter, those of the reference whose values it holds.

    A tensor of the reference is held where some of its rows, or columns, are rows of a parameter.

    Args:
        held: the package's parameters.
        weights: of the reference.
    """
    rows: dict[bytes, list[str]] = {}
    for own, array in held.items():
        for row in _rows(array):
            rows.setdefault(row, []).append(own)
    found: dict[str, list[str]] = {}
    for name, array in weights.items():
        for own in _nearest(name, _holders(array, rows)):
            found.setdefault(own, []).append(name)
    return found


def _rows(array: Array) -> Iterator[bytes]:
    wide = np.asarray(array, np.float32)
    if wide.ndim < 2:
        yield wide.tobytes()
        return
    flat = wide.reshape(-1, wide.shape[-1])
    yield from (row.tobytes() for row in flat)
    if wide.ndim == 2:
        yield from (np.ascontiguousarray(column).tobytes() for column in wide.T)


def _holders(array: Array, rows: Mapping[bytes, Sequence[str]]) -> set[str]:
    """The parameters that hold sampled rows of an array, as they are or transposed."""
    wide = np.asarray(array, np.float32)
    forms = [wide] if wide.ndim < 2 else [wide, wide.T]
    holders: set[str] = set()
    for form in forms:
        flat = form.reshape(1, -1) if form.ndim < 2 else form.reshape(-1, form.shape[-1])
        at = np.linspace(0, len(flat) - 1, SAMPLED).astype(int)
        sets = [set(rows.get(np.ascontiguousarray(flat[i]).tobytes(), ())) for i in at]
        holders |= set.intersection(*sets)
    return holders


def _nearest(name: str, holders: set[str]) -> list[str]:
    """Of parameters with equal values, those whose names have most words of the name."""
    words = set(name.split("."))
    most = max((len(words & set(own.split("."))) for own in holders), default=0)
    return [own for own in sorted(holders) if len(words & set(own.split("."))) == most]
