"""Operations that are known and have no meaning here, each with the reason.

`tests/verify/graph/operations/test_registry.py` holds that every operation of the installed MAX
either has a meaning or is named here, so that a new one shows.
"""

from __future__ import annotations

RANDOM = ("mo.random.normal", "mo.random.uniform")
"""No input decides what they return: dropout at inference, mostly."""

_DEVICES = "works on several devices"
_FUSED = "is made by MAX's compiler, not by a graph"
_IMAGES = "belongs to image models"

WITHOUT_MEANING = {
    **dict.fromkeys(
        (
            "mo.bundled.allreduce.sum",
            "mo.bundled.expand",
            "mo.distributed.ep.combine",
            "mo.distributed.ep.dispatch",
            "mo.distributed.ep.dispatch.block.scaled.nv",
            "mo.distributed.ep.dispatch.block.scaled.nv.dyn_global_scales",
            "mo.distributed.ep.dispatch.fp8",
            "mo.distributed.ep.dispatch.mxfp4",
            "mo.distributed.reducescatter.sum",
            "mo.distributed.scatter",
            "mo.parallel",
            "mo.tensor.bundle",
            "mo.tensor.unbundle",
        ),
        _DEVICES,
    ),
    **dict.fromkeys(
        ("mo.constant.scalar", "mo.guard", "mo.invoke_shape_func", "mo.layout.transform"), _FUSED
    ),
    **dict.fromkeys(
        (
            "mo.conv_transpose",
            "mo.non_maximum_suppression",
            "mo.resize.bicubic",
            "mo.resize.linear",
            "mo.resize.nearest",
            "mo.roi_align",
        ),
        _IMAGES,
    ),
}
"""By kind. Every `mo.composite.` operation is made by MAX's compiler too."""


def reason(kind: str) -> str:
    """Why an operation has no meaning here; empty for one that is not known at all."""
    return _FUSED if kind.startswith("mo.composite.") else WITHOUT_MEANING.get(kind, "")
