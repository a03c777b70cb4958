"""Numbers that stand in the graph, and weights that are given to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from verify.graph.errors import ShapeError
from verify.graph.form import is_floating, weight_name
from verify.graph.operations.registry import meaning

if TYPE_CHECKING:
    from reference.trace import Array
    from verify.graph.scope import Scope


@meaning("mo.constant")
def constant(scope: Scope) -> Array:
    """As it stands in the graph; in float64, as it was before it was rounded."""
    value: Array = scope["value"]
    return value.astype(scope.dtype(), copy=False)


@meaning("mo.constant.external")
def weight(scope: Scope) -> Array:
    """A weight, by its name.

    Raises:
        ShapeError: if it has another shape or dtype than the graph declares.
    """
    name = weight_name(scope.operation, scope.prefix)
    declared = scope.operation.results[0]
    array = scope.weights.get(name, scope.dtype())
    held = scope.weights.arrays[name].dtype.name
    fits = held == declared.dtype or (
        scope.precision == "float64" and is_floating(held) and is_floating(declared.dtype)
    )
    if array.shape != scope.shape() or not fits:
        raise ShapeError(
            f"the weight {name} is {held}{list(array.shape)}, and the graph declares {declared}"
        )
    return array
