"""Masks: bands of other limits, conditions shifted by one, turned round or taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from verify.mutants import meanings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verify.mutants.change import Change, Site

BANDS = ((-1, 0), (-1, 1), (-1, -1), (0, -1), (1, 0))
"""Widths below and above the diagonal; -1 has no end."""


def bands(site: Site) -> Iterator[Change]:
    """Another band: wider by one, without a limit, the other triangle, or its complement."""
    if site.kind != "mo.linalg.band_part":
        return
    limits = [site.source.constant(value.number) for value in site.operands[1:]]
    if any(limit is None for limit in limits):
        return
    lower, upper, exclude = (int(limit.item()) for limit in limits if limit is not None)
    for widths in BANDS:
        if widths != (lower, upper):
            draft = site.draft()
            draft.with_operands({k + 1: draft.constant(width) for k, width in enumerate(widths)})
            found = f"a band of {widths[0]} below and {widths[1]} above the diagonal"
            yield draft.change("mask", f"{found} in place of {lower} and {upper}")
    draft = site.draft()
    draft.with_operands({3: draft.constant(not exclude, "bool")})
    yield draft.change("mask", "the inside of the band in place of the outside, or the reverse")


def conditions(site: Site) -> Iterator[Change]:
    """The condition of a choice, shifted by one place along each of its last two axes."""
    if site.kind != "mo.select" or len(site.operands[0].shape or ()) < 2:
        return
    condition = site.operands[0]
    for axis in (-1, -2):
        for step in (1, -1):
            draft = site.draft()
            shifted = draft.custom(
                meanings.ROLLED, (condition.number,), condition, axis=axis, step=step
            )
            draft.with_operands({0: shifted})
            where = f"axis {len(condition.shape or ()) + axis}"
            yield draft.change("mask", f"the condition shifted by {step} along {where}")
