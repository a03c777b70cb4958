"""Products of matrices beside NumPy's."""

import numpy as np
from max.graph import ops

from tests.verify.graph.families.family import Family, grid, tensor

SIZES = [
    {"b": 1, "m": 1, "k": 1, "n": 1},
    {"b": 2, "m": 3, "k": 33, "n": 5},
    {"b": 3, "m": 1, "k": 7, "n": 129},
    {"b": 2, "m": 0, "k": 4, "n": 3},
]


def by_shape(*shapes):
    """Sets of inputs for symbolic shapes: each of `SIZES` gives numbers to the symbols."""
    return [
        grid([tuple(one.get(size, size) for size in shape) for shape in shapes]) for one in SIZES
    ]


PAIRS = {
    "matrices": (("m", "k"), ("k", "n")),
    "rows_by_matrix": (("b", "m", "k"), ("k", "n")),
    "batches": (("b", "m", "k"), ("b", "k", "n")),
    "batches_of_heads": (("b", 3, "m", "k"), ("b", 3, "k", "n")),
    "heads_repeated": (("b", 1, "m", "k"), (3, "k", "n")),
    "matrix_by_vector": (("m", "k"), ("k",)),
}

FAMILIES = [
    *(
        Family(
            name,
            [tensor("f32", *left), tensor("f32", *right)],
            lambda x, y: {"product": x @ y},
            lambda x, y: {"product": np.matmul(x, y)},
            by_shape(left, right),
            quick=name in ("matrices", "batches_of_heads"),
        )
        for name, (left, right) in PAIRS.items()
    ),
    Family(
        "transposed",
        [tensor("f32", "b", "m", "k"), tensor("f32", "b", "n", "k")],
        lambda x, y: {
            "batch": x @ ops.transpose(y, -1, -2),
            "weight": x @ ops.transpose(y[0], 0, 1),
        },
        lambda x, y: {"batch": x @ y.swapaxes(-1, -2), "weight": x @ y[0].T},
        by_shape(("b", "m", "k"), ("b", "n", "k")),
    ),
    Family(
        "outer",
        [tensor("f32", "m"), tensor("f32", "n")],
        lambda x, y: {"product": ops.outer(x, y)},
        lambda x, y: {"product": np.outer(x, y)},
        by_shape(("m",), ("n",)),
    ),
]
