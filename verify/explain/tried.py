"""Faults and families, tried at the failing places of a run: which of them is what was found."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reference.taps import with_layer
from verify.explain.closed_forms import in_numbers
from verify.explain.explanation import Explanation
from verify.explain.families import explains_all, fitted, values_tried
from verify.explain.hidden import hidden_in, where
from verify.explain.variants import VALUES, families_at, faults_at, last_resorts
from verify.faults.catalogue import catalogue
from verify.faults.configured import expected_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from reference.trace import Array
    from verify.explain.failure import Failure
    from verify.explain.families import Family
    from verify.faults.base import Fault

KINDS = {"layer_norm": "LayerNorm", "linear": "linear layer"}
"""By method of the oracle, what it computes."""

SHARED = frozenset((
    "ln_eps_1e-6", "ln_eps_1e-12", "ln_eps_outside", "ln_unbiased_var", "ln_no_affine",
    "ln_no_mean", "bias_dropped", "bias_twice", "weights_bf16", "matmul_tf32", "matmul_bf16",
))  # fmt: skip
"""Faults that all LayerNorms or linear layers of a model may have at once."""

BLOCKS_TRIED = 2
"""Blocks in which all families are fitted; in the others those alone that were found in these."""


def catalogued(failures: Mapping[int | None, Sequence[Failure]]) -> list[Explanation]:
    """Faults of the catalogue that are found in the likeliest blocks.

    Args:
        failures: by block, the most telling first.
    """
    return _faults(failures, _known, likeliest=True)


def uncatalogued(failures: Mapping[int | None, Sequence[Failure]]) -> list[Explanation]:
    """Other faults without a number to be fitted that are found in the likeliest blocks.

    Args:
        failures: as in `catalogued`.
    """
    return _faults(failures, _unknown, likeliest=True)


def in_other_blocks(failures: Mapping[int | None, Sequence[Failure]]) -> list[Explanation]:
    """Faults of the catalogue in a block that the place of a failure does not tell.

    A model that shows none of its blocks is run once for each of them.

    Args:
        failures: as in `catalogued`.
    """
    return _faults(failures, _known, likeliest=False)


def resorts(failures: Mapping[int | None, Sequence[Failure]]) -> list[Explanation]:
    """Faults with several numbers that are found in the likeliest blocks.

    Args:
        failures: as in `catalogued`.
    """
    return _faults(failures, last_resorts, likeliest=True)


def _known(place: str, failure: Failure) -> Iterator[Fault]:
    ids = {fault.id for fault in catalogue(failure.expected.dtype, failure.expected.oracle.config)}
    return (fault for fault in faults_at(place, failure) if fault.id in ids)


def _unknown(place: str, failure: Failure) -> Iterator[Fault]:
    ids = {fault.id for fault in catalogue(failure.expected.dtype, failure.expected.oracle.config)}
    return (fault for fault in faults_at(place, failure) if fault.id not in ids)


def _faults(
    failures: Mapping[int | None, Sequence[Failure]],
    at: Callable[[str, Failure], Iterator[Fault]],
    *,
    likeliest: bool,
) -> list[Explanation]:
    """Faults that are found in some block, each with its blocks."""
    held: dict[tuple[str, str, int | None], tuple[Fault, int | None, list[int | None]]] = {}
    for own, (failure, *_) in failures.items():
        # What was found in a block before comes first, and is enough where it is found again.
        again = [(fault, _at(failure, owns[0], layer)) for fault, layer, owns in held.values()]
        found = [pair for pair in again if failure.explained_by(failure.variant(*pair))]
        for fault, layer in found or _found(failure, at, likeliest=likeliest):
            key = (fault.found, fault.tap, _away(own, layer))
            held.setdefault(key, (fault, layer, []))[2].append(own)
    return [_explanation(fault, layer, owns, failures) for fault, layer, owns in held.values()]


def _found(
    failure: Failure, at: Callable[[str, Failure], Iterator[Fault]], *, likeliest: bool
) -> Iterator[tuple[Fault, int | None]]:
    """Each fault that a failure may be, with its block: the likeliest one, or all others."""
    for place, layers in where(failure):
        for layer in layers[:1] if likeliest else layers[1:]:
            for fault in at(place, failure):
                for wide in (fault, *_everywhere(fault, layer)):
                    if failure.explained_by(failure.variant(wide, layer)):
                        yield wide, layer


def _everywhere(fault: Fault, layer: int | None) -> Iterator[Fault]:
    """The fault in every layer of its kind, where no block is shown: all LayerNorms share it."""
    if layer is None and fault.id in SHARED and fault.within:
        yield replace(fault, within="", found=f"{fault.found}, in every {KINDS[fault.method]}")


def _away(own: int | None, layer: int | None) -> int | None:
    """How many blocks lie between a fault and where it is seen; its block, outside of blocks."""
    return layer if own is None or layer is None else layer - own


def _at(failure: Failure, own: int | None, layer: int | None) -> int | None:
    """The block of a fault, seen at the place of another failure."""
    if layer is None or own is None or failure.layer is None:
        return layer
    return failure.layer + layer - own


def _explanation(
    fault: Fault,
    layer: int | None,
    owns: list[int | None],
    failures: Mapping[int | None, Sequence[Failure]],
) -> Explanation:
    first = failures[owns[0]][0]

    def computed(failure: Failure) -> Array | None:
        return failure.variant(fault, _at(failure, owns[0], layer))

    return Explanation(
        id=fault.id,
        found=fault.found + _value(fault, owns, first),
        expected=expected_by(first.expected.oracle.config, fault.expected),
        layers=tuple(owns),
        left=lambda failure: failure.unexplained(computed(failure)),
        hidden_in=hidden_in(first, fault, layer),
        nothing_in=lambda block: _nothing_in(block, first, computed),
    )


def _nothing_in(block: int, failure: Failure, computed: Callable[[Failure], Array | None]) -> bool:
    """Whether a fault changes nothing at the same place of another block."""
    tap = with_layer(failure.tap, block)
    if tap == failure.tap or tap not in failure.expected.isolated:
        return False
    other = replace(failure, tap=tap)
    result = computed(other)
    return result is not None and bool((result == other.truth).all())


def _value(fault: Fault, owns: list[int | None], failure: Failure) -> str:
    """The number of a fault of the catalogue that has one."""
    if fault.id not in VALUES:
        return ""
    form, right = VALUES[fault.id]
    config = failure.expected.oracle.config
    values = {own or 0: form.value(config, own or 0) for own in owns}
    return f" (times {in_numbers(values, config, (form,))}, not {right.value(config, 0):.6g})"


# ---- families ------------------------------------------------------------------------------------


def families(failures: Mapping[int | None, Sequence[Failure]]) -> list[Explanation]:
    """Families whose number could be fitted in some block.

    Args:
        failures: as in `catalogued`.
    """
    held: dict[tuple[str, str, str], tuple[Family, int | None, dict[int | None, float]]] = {}
    for turn, (own, several) in enumerate(failures.items()):
        again = [family for family, _, _ in held.values()]
        for family, layer in _families(several[0], again, turn < BLOCKS_TRIED):
            value = fitted(family, list(several), layer)
            if value is not None:
                key = (family.id, family.tap, family.within)
                held.setdefault(key, (family, layer, {}))[2][own] = value
    return [_fitted(family, layer, values, failures) for family, layer, values in held.values()]


def _families(
    failure: Failure, again: list[Family], every: bool
) -> Iterator[tuple[Family, int | None]]:
    """Families that a failure may be of; those that fit in a block before are enough."""
    if not failure.comparable:
        return
    for place, layers in where(failure):
        seen = place == with_layer(failure.tap, "{layer}")
        for family in families_at(place):
            asked = (family in again if again else every) and not (seen and family.unseen)
            if asked and failure.expected.case.ids.shape[1] >= family.least_length:
                yield family, layers[0]
                if layers[0] is None and family.method in KINDS and family.within:
                    found = f"{family.found}, in every {KINDS[family.method]}"
                    yield replace(family, within="", found=found), None


def _agreed(
    family: Family,
    layer: int | None,
    values: dict[int | None, float],
    failures: Mapping[int | None, Sequence[Failure]],
) -> dict[int | None, float]:
    """One value for all blocks, where one explains them all; else each block's own.

    Where scores decide little, each block's input tells a number between far bounds alone.
    """
    own = next(iter(values))
    fitted_ = sorted(set(values.values()), key=list(values.values()).count, reverse=True)
    first = failures[own][0]
    for value in dict.fromkeys([*fitted_, *values_tried(family, first, layer)]):
        if all(
            explains_all(family, value, list(several), _at(several[0], own, layer))
            for several in failures.values()
        ):
            return dict.fromkeys(failures, value)
    return values


def _fitted(
    family: Family,
    layer: int | None,
    fits: dict[int | None, float],
    failures: Mapping[int | None, Sequence[Failure]],
) -> Explanation:
    values = _agreed(family, layer, fits, failures)
    owns = list(values)
    first = failures[owns[0]][0]
    config = first.expected.oracle.config
    words = in_numbers({own or 0: value for own, value in values.items()}, config, family.forms)
    if values[owns[0]] not in fits.values():
        words = f"about {values[owns[0]]:.0e}"
    right = family.right(config, 0) if family.right else None
    named = family.fault(values[owns[0]], words, right)

    def left(failure: Failure) -> float:
        fault = family.fault(values[failure.layer])
        return failure.unexplained(failure.variant(fault, _at(failure, owns[0], layer)))

    return Explanation(
        id=family.id,
        found=named.found,
        expected=named.expected,
        layers=tuple(owns),
        left=left,
        hidden_in=hidden_in(first, named, layer),
    )
