"""Where a fault may lie that comes to light at a place: there, or at one that is not shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference.taps import is_input, module_of, with_layer
from verify.explain.variants import PLACES
from verify.faults.catalogue import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verify.explain.failure import Failure
    from verify.faults.base import Fault


def where(failure: Failure) -> Iterator[tuple[str, list[int | None]]]:
    """Places where a fault may lie that is seen at a failure.

    Args:
        failure: of a GPT-2.

    Yields:
        The place, with `{layer}` for a block's number, and the blocks to look at, the likeliest
        first; None stands for every block at once.
    """
    own, pattern = failure.layer, with_layer(failure.tap, "{layer}")
    yield pattern, [own or 0]
    if pattern != failure.tap:
        yield failure.tap, [own]
    others = (
        *PLACES,
        *(fault.tap for fault in catalogue(failure.expected.dtype, failure.expected.oracle.config)),
    )
    for place in dict.fromkeys(others):
        if place not in (pattern, failure.tap) and failure.budget.left > 0:
            layers = [layer for layer in _layers(place, failure) if _hidden(place, layer, failure)]
            if layers:
                yield place, layers


def _layers(place: str, failure: Failure) -> list[int | None]:
    """The blocks in which a hidden place may hold what is seen."""
    own = failure.layer
    if "{layer}" not in place:
        return [0]
    if own is not None:
        return [own, own - 1] if own else [own]
    return [None, *range(failure.expected.oracle.config.n_layer)]


def _hidden(place: str, layer: int | None, failure: Failure) -> bool:
    """Whether a place is not shown, and is computed before that of the failure."""
    tap = place.format(layer=layer or 0)
    order = list(failure.expected.isolated)
    if tap in failure.visible or tap not in failure.expected.isolated:
        return False
    return order.index(tap) < order.index(failure.tap) and not _cut_off(tap, failure)


def _cut_off(tap: str, failure: Failure) -> bool:
    """Whether what a place computes is replaced before it reaches that of the failure."""
    own, seen = module_of(tap), module_of(failure.tap)
    return any(
        f"{own}.".startswith(f"{given}.") and not f"{seen}.".startswith(f"{given}.")
        for given in failure.expected.given
        if not is_input(tap) or own != given
    )


def hidden_in(failure: Failure, fault: Fault, layer: int | None) -> str:
    """The block of a fault, where the place at which it is seen does not tell it."""
    if "{layer}" not in fault.tap or (failure.layer is not None and failure.layer == layer):
        return ""
    return " in every block" if layer is None else f" in block {layer}"
