"""What each operation means, in NumPy.

registry     which function is the meaning of which operation, custom ones too
elementwise  each element by itself: arithmetic, comparison, logic, casts, activations
reductions   along an axis: sums, extremes, softmax, normalisation
products     products of matrices
shapes       computes shapes, or gives an array another one
indexing     picks, places and arranges elements
windows      slides over space: convolution, pooling
ragged       ragged batches over a paged cache, which the next four share
paged        attention over a paged cache
rotary       rotary position embeddings
norms        RMSNorm of keys and values where they are kept
projected    projections whose keys and values go into the cache
experts      mixtures of experts
collectives  several devices, of which there is one
flow         branches, loops and calls
buffers      arrays that a graph writes to
constants    numbers that stand in the graph, and weights
refused      what has no meaning here, with the reason
"""

from verify.graph.operations import (
    buffers,
    collectives,
    constants,
    elementwise,
    experts,
    flow,
    indexing,
    norms,
    paged,
    products,
    projected,
    reductions,
    rotary,
    shapes,
    windows,
)
from verify.graph.operations.registry import CUSTOM, MEANINGS, custom, meaning

__all__ = [
    "CUSTOM",
    "MEANINGS",
    "buffers",
    "collectives",
    "constants",
    "custom",
    "elementwise",
    "experts",
    "flow",
    "indexing",
    "meaning",
    "norms",
    "paged",
    "products",
    "projected",
    "reductions",
    "rotary",
    "shapes",
    "windows",
]
