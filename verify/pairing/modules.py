"""Which module of a candidate stands for which place of the reference.

Modules follow from their parameters: a module that holds h.3.mlp.c_fc's weight and bias is that
stage, and one that holds all of h.3's is that block. A module without parameters is known by where
it is called. What has no counterpart is listed with the reason.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from verify.pairing.counterpart import PARTS, Counterpart, PairingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from verify.pairing.outline import Call, CandidateOutline, ReferenceOutline, Shape


def pair_places(
    candidate: CandidateOutline, reference: ReferenceOutline, weights: Mapping[str, Counterpart]
) -> tuple[dict[str, Counterpart], dict[str, str]]:
    """Each call's counterpart, or why it has none."""
    atoms = {c.name: _held(c, weights, reference) for c in candidate.calls}
    known = frozenset().union(*(a for w in weights.values() for a in [atoms_of(w, reference)]))
    places: dict[str, Counterpart] = {}
    for target, part, wanted in _wanted(reference, known):
        found = [c for c in candidate.calls if c.name not in places and atoms[c.name] == wanted]
        found = [c for c in found if fits(c.gives, _shape_at(target, part, reference))]
        if found:
            call = _chosen(found, target, reference)
            same = f".{target}".endswith(f".{call.path}") and not part
            places[call.name] = Counterpart(target, part, why="path" if same else "parameters")
    _pair_activations(candidate, reference, places, atoms)
    places = {c.name: places[c.name] for c in candidate.calls if c.name in places}
    taken = {str(c): name for name, c in places.items()}
    loose = {
        c.name: _loose(c, atoms[c.name], taken, reference, known)
        for c in candidate.calls
        if c.name not in places
    }
    return places, loose


def _held(
    call: Call, weights: Mapping[str, Counterpart], reference: ReferenceOutline
) -> frozenset[str]:
    """The reference's parameters that a call's module holds."""
    prefix = f"{call.path}."
    return frozenset(
        atom
        for name, counterpart in weights.items()
        if name.startswith(prefix)
        for atom in atoms_of(counterpart, reference)
    )


def atoms_of(counterpart: Counterpart, reference: ReferenceOutline) -> list[str]:
    """The parameters of the reference that a counterpart stands for, fused ones as thirds."""
    if not counterpart.name:
        return []
    layers = range(reference.n_layer) if "*" in counterpart.name else (0,)
    names = [counterpart.name.replace("*", str(layer)) for layer in layers]
    return [atom for name in names for atom in reference.thirds(name, counterpart.part)]


def _wanted(
    reference: ReferenceOutline, known: frozenset[str]
) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Places, and thirds of fused ones, with those of their parameters that anything holds."""
    for place in reference.modules:
        if wanted := reference.atoms(place) & known:
            yield place, "", wanted
        if any(name.startswith(f"{place}.") and name.count(".") == place.count(".") + 1
               for name in reference.fused):  # fmt: skip
            for part in PARTS:
                third = frozenset(a for a in wanted if a.endswith(f"[{part}]"))
                if third:
                    yield place, part, third


def _shape_at(target: str, part: str, reference: ReferenceOutline) -> Shape:
    shape = reference.places[target]
    return (*shape[:-1], shape[-1] // len(PARTS)) if part else shape


def fits(shape: Shape | None, expected: Shape) -> bool:
    """Whether an array of one shape can stand for one of the other.

    Leading axes of size 1 may be missing, batch and length may share an axis, and all rows of a
    batch may hold what the reference has once.
    """
    if not shape or shape[-1] != expected[-1]:
        return not shape and not expected
    if len(shape) == len(expected):
        return all(a in (b, 0) or b == 1 for a, b in zip(shape, expected, strict=True))
    return len(shape) < len(expected)


def _chosen(found: list[Call], target: str, reference: ReferenceOutline) -> Call:
    """Of several calls that hold the same parameters, the one that stands for the place.

    The same path comes first; else it is the outermost for a block and for the whole, and the
    innermost for anything smaller, which a wrapper may add to.
    """
    for call in found:
        if f".{target}".endswith(f".{call.path}"):
            return call
    names = {c.name for c in found}
    whole = target == reference.inner or re.fullmatch(
        re.escape(reference.block).replace(r"\{layer\}", r"\d+"), target
    )
    if whole:
        return next(c for c in found if c.within not in names)
    around = {c.within for c in found}
    return next(c for c in found if c.name not in around)


def _pair_activations(
    candidate: CandidateOutline,
    reference: ReferenceOutline,
    places: dict[str, Counterpart],
    atoms: Mapping[str, frozenset[str]],
) -> None:
    """A module without parameters between the MLP's two linear layers is the activation."""
    order = [c.name for c in candidate.calls]
    call_at = {c.name: name for name, c in places.items() if not c.part}
    for target in reference.modules:
        if reference.atoms(target) or target in call_at:
            continue
        before, after = _neighbours(target, reference)
        if before not in call_at or after not in call_at:
            continue
        between = slice(order.index(call_at[before]) + 1, order.index(call_at[after]))
        shape = reference.places[target]
        for call in candidate.calls[between]:
            if not atoms[call.name] and call.takes == call.gives and fits(call.gives, shape):
                same = f".{target}".endswith(f".{call.path}")
                places[call.name] = Counterpart(target, why="path" if same else "structure")
                break


def _neighbours(target: str, reference: ReferenceOutline) -> tuple[str, str]:
    """The places with parameters before and after a place without."""
    leaves = [t for t in reference.modules if _is_leaf(t, reference)]
    at = leaves.index(target)
    before = [t for t in leaves[:at] if reference.atoms(t)]
    after = [t for t in leaves[at:] if reference.atoms(t)]
    return (before or [""])[-1], (after or [""])[0]


def _is_leaf(place: str, reference: ReferenceOutline) -> bool:
    return not any(other.startswith(f"{place}.") for other in reference.modules)


def _loose(
    call: Call,
    held: frozenset[str],
    taken: Mapping[str, str],
    reference: ReferenceOutline,
    known: frozenset[str],
) -> str:
    """Why a call has no counterpart."""
    if call.gives is None:
        return "it returns no tensor"
    for target, part, wanted in _wanted(reference, known):
        if held == wanted and (other := taken.get(str(Counterpart(target, part)))):
            return f"{other} stands for {target} already"
    return "the reference has no such place" if held else "it holds no parameter"


def corrected_places(
    places: dict[str, Counterpart],
    loose: dict[str, str],
    corrections: Mapping[str, Counterpart],
    candidate: CandidateOutline,
    reference: ReferenceOutline,
) -> tuple[dict[str, Counterpart], dict[str, str]]:
    """The places with a file's corrections."""
    calls = {c.name: c for c in candidate.calls}
    for own, counterpart in corrections.items():
        if own not in calls:
            raise PairingError(f"--pairing: the candidate calls no module {own}")
        places.pop(own, None)
        loose.pop(own, None)
        if not counterpart.name:
            loose[own] = "the pairing file says so"
            continue
        if counterpart.name not in reference.modules:
            raise PairingError(f"--pairing: the reference has no place {counterpart.name}")
        expected = _shape_at(counterpart.name, counterpart.part, reference)
        if not fits(calls[own].gives, expected):
            raise PairingError(
                f"--pairing: {own} returns {list(calls[own].gives or ())}; "
                f"{counterpart} has {list(expected)} (batch 3, sequence 5)"
            )
        for other in [n for n, c in places.items() if str(c) == str(counterpart)]:
            loose[other] = f"{own} stands for {places.pop(other)} already"
        places[own] = counterpart
    return {name: places[name] for name in calls if name in places}, loose
