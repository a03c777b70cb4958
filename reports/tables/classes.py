"""Float32, bfloat16 or 8 bits: what a user would run instead of an arm has results as exact as its.

An arm belongs to the class of the dtype in which it holds its weights and multiplies them. In which
class its results are is measured (`bench.worker.referee`): a runtime may compute in another dtype
than it is asked for, and say nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.tables.numbers import figure, scientific

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CLASSES = {
    "float32": "float32", "bfloat16": "bfloat16", "bfloat16-products": "bfloat16",
    "bfloat16-cache": "bfloat16", "int8": "8 bits",
}  # fmt: skip
"""By the dtype of an arm. MAX in bfloat16 rounds weights, with products of it activations too, with
a cache of it keys and values besides."""

EXACT = ("float32", "float16", "bfloat16", "int8")
"""What an error can be as large as, the smallest first. TF32 has as many bits as float16."""

ERRORS = {"float32": "float32's", "float16": "float16's or TF32's", "bfloat16": "bfloat16's",
          "int8": "that of 8 bits"}  # fmt: skip
"""What sentences call them: its error is ..."""

ROUNDED = " weights"
"""Ends what arms are judged by whose weights alone are coarse: `bfloat16 weights`."""

ENDS = ("-bf16-products", "-bf16-cache", "-bf16", "-int8", "-q8_0")
"""With which the name of an arm in another dtype than float32 ends."""


def class_of(dtype: str) -> str:
    """The class of an arm's dtype; a dtype that no class has is one of its own."""
    return CLASSES.get(dtype, dtype)


def family_of(arm: str) -> str:
    """An arm without its dtype: `max-bf16` is `max`."""
    return next((arm.removesuffix(end) for end in ENDS if arm.endswith(end)), arm)


def coarser(found: str, allowed: str) -> bool:
    """Whether an error is that of a coarser dtype than is allowed.

    Args:
        found: one of `EXACT`, or empty where it is larger than all of theirs.
        allowed: what an arm is judged by; `bfloat16 weights` is as coarse as `bfloat16`.
    """
    return _rank(found) > _rank(allowed)


def finer_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The arms of a coarser class whose error is float32's all the same, each once.

    Between coarser classes there is nothing to say: bfloat16 weights alone err like float16, and
    many a runtime in 8 bits like bfloat16.
    """
    lines = {}
    for row in rows:
        judged, relative = str(row.get("judged_as") or ""), figure(row.get("error_relative"))
        exact = row.get("error_class") == "float32" and relative is not None
        if exact and judged and coarser(judged, "float32"):
            arm = str(row.get("arm"))
            lines[arm] = (
                f"{arm}: its error is float32's ({scientific(relative)} of the largest "
                f"logit): more exact than {judged.removesuffix(ROUNDED)} asks."
            )
    return list(lines.values())


def _rank(name: str) -> int:
    exact = name.removesuffix(ROUNDED)
    return EXACT.index(exact) if exact in EXACT else len(EXACT)
