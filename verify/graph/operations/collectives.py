"""Collective operations, on one device: what each device has is what all have together.

Some of MAX's decoders always speak to several devices, and to one as a list of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from verify.graph.errors import UnknownOperationError
from verify.graph.operations.registry import custom, meaning

if TYPE_CHECKING:
    from reference.trace import Array
    from verify.graph.scope import Scope


@meaning("mo.distributed.allgather", "mo.distributed.allreduce.sum", "mo.distributed.broadcast")
def alone(scope: Scope, array: Array, *others: Any) -> tuple[Array, None]:
    """The array of the one device.

    Args:
        scope: declares the results: the array, and a chain.
        array: what the device has.
        others: the buffer by which it would signal, and a chain.

    Raises:
        UnknownOperationError: for several devices.
    """
    results = len(scope.operation.results) - 1
    if results != 1:
        kind = scope.operation.kind
        raise UnknownOperationError(f"{kind} among {results} devices; one is known here")
    return array, None


@custom("mo.shard_and_stack")
def shard_and_stack(scope: Scope, *arrays: Array) -> tuple[Array, ...]:
    """Of each array the part of each device, stacked along a new first axis.

    Args:
        scope: its parameter `axis` is the one that arrays are split along; it declares a result for
            each device.
        arrays: of one shape.

    Raises:
        UnknownOperationError: for another parameter.
    """
    parameters = scope["parameters"]
    if unknown := sorted(parameters.keys() - {"axis"}):
        raise UnknownOperationError(f"mo.shard_and_stack with the parameter {unknown[0]}")
    stacked = np.stack(arrays)
    parts = len(scope.operation.results)
    return tuple(np.split(stacked, parts, axis=int(parameters["axis"]) + 1))
