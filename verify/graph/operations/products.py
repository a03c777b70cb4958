"""Products of matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verify.graph.operations.registry import meaning

if TYPE_CHECKING:
    from reference.trace import Array
    from verify.graph.scope import Scope


def product(a: Array, b: Array) -> Array:
    """`a @ b`; a matrix that is repeated for every batch is multiplied once with all rows."""
    if b.ndim == 2 or a.size == 0 or b.size == 0 or not _is_repeated(b):
        return np.matmul(a, b)
    rows = np.ascontiguousarray(a).reshape(-1, a.shape[-1])
    return (rows @ b[(0,) * (b.ndim - 2)]).reshape(*a.shape[:-1], b.shape[-1])


def _is_repeated(b: Array) -> bool:
    """Whether the matrices of a batch are all the same memory."""
    return all(n == 1 or s == 0 for n, s in zip(b.shape[:-2], b.strides[:-2], strict=True))


@meaning("mo.matmul", "mo.batch_matmul")
def matmul(scope: Scope, a: Array, b: Array) -> Array:
    """`a @ b`, or `a @ b^T` where the operation says so."""
    return product(a, b.swapaxes(-1, -2) if scope.get("transpose_b") else b)
