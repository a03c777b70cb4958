"""Functions: an operator, an activation, a reduction or a norm in place of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from verify.mutants import meanings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verify.mutants.change import Change, Site

OPERATORS = {
    "mo.add": ("mo.sub",),
    "mo.sub": ("mo.add",),
    "mo.mul": ("mo.div", "mo.add"),
    "mo.div": ("mo.mul",),
    "mo.max": ("mo.min",),
    "mo.min": ("mo.max",),
    "mo.and": ("mo.or",),
    "mo.or": ("mo.and",),
    "mo.xor": ("mo.or",),
    "mo.equal": ("mo.not_equal",),
    "mo.not_equal": ("mo.equal",),
    "mo.greater": ("mo.greater_equal",),
    "mo.greater_equal": ("mo.greater",),
    "mo.sin": ("mo.cos",),
    "mo.cos": ("mo.sin",),
    "mo.sqrt": ("mo.rsqrt",),
    "mo.rsqrt": ("mo.sqrt",),
    "mo.floor": ("mo.ceil",),
    "mo.ceil": ("mo.floor",),
    "mo.reduce.mul": ("mo.reduce.add",),
    "mo.reduce.arg_max": ("mo.reduce.arg_min",),
    "mo.reduce.arg_min": ("mo.reduce.arg_max",),
    "mo.top_k": ("mo.bottom_k",),
    "mo.bottom_k": ("mo.top_k",),
}
"""By kind, the kinds that it is mistaken for."""

ACTIVATIONS = (
    "mo.gelu_tanh",
    "mo.gelu",
    "mo.gelu_quick",
    "mo.silu",
    "mo.relu",
    "mo.tanh",
    "mo.sigmoid",
)
"""Each is put in place of each other one."""

REDUCTIONS = ("mo.reduce.add", "mo.reduce.mean", "mo.reduce.max", "mo.reduce.min")
"""Each is put in place of each other one."""

ALONG = ("mo.reduce.softmax", "mo.reduce.logsoftmax", "mo.cumsum")
"""Kinds that keep the shape, along whichever axis they work."""

LAYER_NORM = {
    "mean": "the mean is not taken off",
    "unbiased": "the variance is over one number less",
    "outside": "epsilon is added outside of the square root",
    "gamma": "the gain is left out",
    "beta": "the bias is left out",
}
RMS_NORM = {
    "centred": "the mean is taken off",
    "outside": "epsilon is added outside of the square root",
    "weight": "the gain is left out",
}


def operators(site: Site) -> Iterator[Change]:
    """Another operator on the same operands."""
    for kind in OPERATORS.get(site.kind, ()):
        draft = site.draft()
        draft.result(kind, site.operation.operands, **site.operation.attributes)
        yield draft.change("operator", f"{_plain(kind)} in its place")


def activations(site: Site) -> Iterator[Change]:
    """Another activation; none at all is an operation left out."""
    if site.kind in ACTIVATIONS:
        for kind in ACTIVATIONS:
            if kind != site.kind:
                draft = site.draft()
                draft.result(kind, site.operation.operands)
                yield draft.change("activation", f"{_plain(kind)} in its place")


def reductions(site: Site) -> Iterator[Change]:
    """Another reduction along the same axis."""
    if site.kind in REDUCTIONS:
        for kind in REDUCTIONS:
            if kind != site.kind:
                draft = site.draft()
                draft.result(kind, site.operation.operands, **site.operation.attributes)
                yield draft.change("reduction", f"{_plain(kind)} in its place")


def axes(site: Site) -> Iterator[Change]:
    """A softmax, or a sum that goes on, along another axis."""
    if site.kind not in ALONG:
        return
    shape = site.result.shape or ()
    own = site.operation.attributes["axis"] % len(shape)
    for axis in range(len(shape)):
        if axis != own and shape[axis] != 1:
            draft = site.draft()
            draft.with_operands({}, axis=axis)
            yield draft.change("axis", f"along axis {axis} in place of {own}")


def norms(site: Site) -> Iterator[Change]:
    """A norm with a part wrong; its epsilon is a number like others."""
    if site.kind == "mo.reduce.layer_norm":
        symbol, parts = meanings.LAYER_NORM, LAYER_NORM
    elif site.kind == "mo.reduce.rms_norm":
        symbol, parts = meanings.RMS_NORM, RMS_NORM
    else:
        return
    for part, found in parts.items():
        draft = site.draft()
        attributes = {**site.operation.attributes, "symbol": symbol, "part": part}
        draft.result("mo.custom", site.operation.operands, **attributes)
        yield draft.change("norm", found)


def _plain(kind: str) -> str:
    return kind.removeprefix("mo.").removeprefix("reduce.")
