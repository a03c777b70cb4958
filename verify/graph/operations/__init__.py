"""What each operation means, in NumPy.

registry     which function is the meaning of which operation, custom ones too
elementwise  each element by itself: arithmetic, comparison, logic, casts, activations
reductions   along an axis: sums, extremes, softmax, normalisation
products     products of matrices
shapes       computes shapes, or gives an array another one
indexing     picks, places and arranges elements
buffers      arrays that a graph writes to
constants    numbers that stand in the graph, and weights
"""

from verify.graph.operations import (
    buffers,
    constants,
    elementwise,
    indexing,
    products,
    reductions,
    shapes,
)
from verify.graph.operations.registry import CUSTOM, MEANINGS, custom, meaning

__all__ = [
    "CUSTOM",
    "MEANINGS",
    "buffers",
    "constants",
    "custom",
    "elementwise",
    "indexing",
    "meaning",
    "products",
    "reductions",
    "shapes",
]
