"""Mixtures of experts: rows gathered by expert, multiplied by its weights, and put back.

    order, starts, restore, experts, usage = moe.create.indices(chosen)
    rows of expert e = starts[e] to starts[e + 1] of tokens[order // experts per token]
    result[token] = sum over k of weight[token, k] * rows[restore[token * experts per token + k]]

Read in `max/nn/kernels.py`. MAX 26.7 has these kernels for accelerators alone, so that they are
tested against PyTorch, not against MAX's own. Within an expert MAX leaves the order of rows open;
here they stand in the order of tokens, and what is put back does not depend on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verify.graph.errors import UnknownOperationError
from verify.graph.operations.registry import custom

if TYPE_CHECKING:
    from reference.trace import Array
    from verify.graph.scope import Scope


@custom("mo.moe.create.indices", parameters=())
def indices(scope: Scope, chosen: Array) -> tuple[Array, ...]:
    """How rows are gathered by expert.

    Args:
        scope: declares how many experts there are.
        chosen: int32 `[rows]`, the expert of each.

    Returns:
        The rows in the order of their experts, uint32 `[rows]`; where each expert's begin, uint32
        `[experts + 1]`; where each row went, uint32 `[rows]`; the experts, int32 `[experts]`; and
        uint32 `[2]`: the most rows of an expert, and the number of experts.

    Raises:
        UnknownOperationError: for a row that belongs to none of them.
    """
    (experts,) = scope.shape(3)
    if chosen.size and not 0 <= chosen.min() <= chosen.max() < experts:
        raise UnknownOperationError("mo.moe.create.indices of an expert that is not there")
    order = np.argsort(chosen, kind="stable")
    counts = np.bincount(chosen, minlength=experts)
    starts = np.concatenate([[0], np.cumsum(counts)])
    usage = np.array([counts.max(initial=0), experts])
    made = order, starts, np.argsort(order, kind="stable"), np.arange(experts), usage
    return tuple(array.astype(scope.dtype(at)) for at, array in enumerate(made))


@custom("mo.grouped.matmul.ragged", parameters=())
def grouped_product(
    scope: Scope, rows: Array, weights: Array, starts: Array, experts: Array, usage: Array
) -> Array:
    """Each group of rows by the transposed weight of its expert.

    Args:
        scope: has no parameters.
        rows: `[rows, in]`, group g at `starts[g]` to `starts[g + 1]`.
        weights: `[experts, out, in]`.
        starts: uint32 `[groups + 1]` at least.
        experts: int32, the expert of each group.
        usage: uint32 `[2]`: the most rows of a group, and the number of groups.

    Returns:
        `[rows, out]`.

    Raises:
        UnknownOperationError: for a group without an expert.
    """
    result = np.zeros((len(rows), weights.shape[1]), rows.dtype)
    for group, expert in enumerate(experts[: int(usage[1])]):
        own = slice(int(starts[group]), int(starts[group + 1]))
        if expert < 0:
            raise UnknownOperationError("mo.grouped.matmul.ragged of a group without an expert")
        result[own] = rows[own] @ weights[expert].T
    return result


@custom("mo.moe.finalize", parameters=())
def finalize(scope: Scope, rows: Array, restore: Array, weights: Array) -> Array:
    """The weighted sum of what a token's experts returned.

    Args:
        scope: has no parameters.
        rows: `[tokens * experts per token, features]`, by expert.
        restore: uint32 `[tokens * experts per token]`, the row of each token's each expert.
        weights: `[tokens, experts per token]`.

    Returns:
        `[tokens, features]`.
    """
    own = rows[restore.astype(np.int64)].reshape(*weights.shape, rows.shape[1])
    return np.asarray(np.einsum("tkf,tk->tf", own, weights))


@custom("ep.fused_silu", parameters=("interleaved", "activation", "swiglu_alpha", "swiglu_limit"))
def gated(scope: Scope, rows: Array, starts: Array) -> Array:
    """A gated activation: silu(gate) * up, with s(x) = 1 / (1 + exp(-x)) and silu(x) = x s(x).

    With a limit l other than 0, gate is min(gate, l) and up is clamped to [-l, l] before. With the
    activation `swigluoai` it is gate * s(alpha * gate) * (up + 1).

    Args:
        scope: its parameters: the name of the activation, alpha, the limit, and whether gate and up
            are `interleaved`; else gate is the first half of the features.
        rows: `[rows, 2 * features]`.
        starts: uint32 `[experts + 1]`: rows after the last of them hold nothing, and are 0 here.

    Returns:
        `[rows, features]`.

    Raises:
        UnknownOperationError: for another activation.
    """
    parameters = scope["parameters"]
    name, limit = parameters["activation"], float(parameters["swiglu_limit"])
    half = rows.shape[1] // 2
    interleaved = parameters["interleaved"]
    gate, up = (rows[:, 0::2], rows[:, 1::2]) if interleaved else (rows[:, :half], rows[:, half:])
    if limit:
        gate, up = np.minimum(gate, limit), np.clip(up, -limit, limit)
    match name:
        case "silu":
            made = gate / (1 + np.exp(-gate)) * up
        case "swigluoai":
            made = gate / (1 + np.exp(-float(parameters["swiglu_alpha"]) * gate)) * (up + 1)
        case _:
            raise UnknownOperationError(f"ep.fused_silu of {name}, which is not known here")
    made[int(starts[-1]) :] = 0
    return np.asarray(made)
