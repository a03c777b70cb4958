"""Results and weights that lose bits on the way: a cast to a narrower dtype, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from verify.graph.form import is_floating
from verify.mutants.change import PASSING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verify.graph.form import Value
    from verify.mutants.change import Change, Draft, Site

NARROWER = {
    "float32": ("float16", "bfloat16"),
    "bfloat16": ("float8_e4m3fn", "float8_e5m2"),
    "float16": ("float8_e4m3fn", "float8_e5m2"),
}
"""By the precision that a candidate declares, what has fewer bits of fraction."""

MOVING = ("mo.slice", "mo.split", "mo.concat", "mo.linalg.band_part")
"""Kinds that compute nothing: what they move is rounded where it is computed."""


def casts(site: Site) -> Iterator[Change]:
    """The result in fewer bits; where a weight is read first, the weight."""
    narrower = NARROWER.get(site.source.declared, ())
    for k, value in enumerate(site.operands):
        maker = site.source.makers.get(value.number)
        if maker is not None and maker.kind == "mo.constant.external":
            for dtype in narrower[-1:] if is_floating(value.dtype) else ():
                draft = site.draft()
                narrow = draft.make("mo.cast", (value.number,), (dtype, value.shape or ()))
                draft.with_operands({k: draft.make("mo.cast", (narrow,), value)})
                yield draft.change("cast", f"{maker.attributes['name']} held in {dtype}")
    if not site.is_floating or site.kind.startswith("mo.constant"):
        return
    if site.kind not in (*PASSING, *MOVING):
        for dtype in narrower:
            draft = site.draft()
            _through(draft, site.result, dtype)
            yield draft.change("cast", f"its result rounded to {dtype}")


def _through(draft: Draft, result: Value, dtype: str) -> None:
    exact = draft.before()
    narrow = draft.make("mo.cast", (exact,), (dtype, result.shape or ()))
    draft.result("mo.cast", (narrow,))
