"""What each operation means, in NumPy.

registry     which function is the meaning of which operation, custom ones too
elementwise  each element by itself: arithmetic, comparison, logic, casts, activations
reductions   along an axis: sums, extremes, softmax, normalisation
products     products of matrices
shapes       computes shapes, or gives an array another one
indexing     picks, places and arranges elements
windows      slides over space: convolution, pooling
paged        attention over a paged cache, for ragged batches
flow         branches, loops and calls
buffers      arrays that a graph writes to
constants    numbers that stand in the graph, and weights
refused      what has no meaning here, with the reason
"""

from verify.graph.operations import (
    buffers,
    constants,
    elementwise,
    flow,
    indexing,
    paged,
    products,
    reductions,
    shapes,
    windows,
)
from verify.graph.operations.registry import CUSTOM, MEANINGS, custom, meaning

__all__ = [
    "CUSTOM",
    "MEANINGS",
    "buffers",
    "constants",
    "custom",
    "elementwise",
    "flow",
    "indexing",
    "meaning",
    "paged",
    "products",
    "reductions",
    "shapes",
    "windows",
]
