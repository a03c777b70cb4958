"""MAX on a CPU computes attention without its causal mask, in silence.

    softmax(query @ key^T + mask) @ value,    mask[i, j] = -inf where j > i, else 0

MAX replaces these four operations by one kernel for masked attention. Where the graph makes the
mask by comparing two broadcast position vectors, `where(j > i, -inf, 0)`, the result is attention
WITHOUT a mask: every query sees every key. Nothing is raised and nothing is logged.

The mask itself is computed correctly: when the graph also returns it, the result is right, so that
looking for the fault hides it. `band_part`, which describes the same matrix, is right too.

Seen with MAX 26.7.0 on x86-64 where the length is symbolic and there are several heads or rows,
with tensors of rank 3 and 4, positions of int32 and int64, a mask of -inf and of -1e9. The result
was right with a static length and with a single head in a single row.

    python verify/max_bugs/where_mask.py

prints the largest distance of each result to NumPy's attention without and with the mask, and exits
with 1 while the bug is there, with 0 when it is gone.
"""

import importlib.metadata
import math
import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from max.driver import CPU, Buffer
from max.dtype import DType
from max.engine import InferenceSession
from max.graph import DeviceRef, Dim, Graph, Module, TensorType, TensorValue, ops

HEADS, LENGTH, FEATURES = 2, 9, 16
TOLERANCE = 1e-5
"""float32 sums of 16 products round by about 1e-7; leaving out the mask changes results by 1."""

Array = npt.NDArray[np.float32]
MaskBuilder = Callable[[Dim], TensorValue]


def where_mask(length: Dim) -> TensorValue:
    """`[length, length]` by comparing positions."""
    cpu = DeviceRef.CPU()
    position = ops.range(0, length, 1, out_dim=length, dtype=DType.int64, device=cpu)
    ahead = ops.unsqueeze(position, 0) > ops.unsqueeze(position, 1)  # j > i
    blocked = ops.constant(-math.inf, DType.float32, device=cpu)
    return ops.where(ahead, blocked, ops.constant(0.0, DType.float32, device=cpu))


def band_part_mask(length: Dim) -> TensorValue:
    """`[length, length]` by cutting a triangle out of a constant."""
    blocked = ops.constant(-math.inf, DType.float32, device=DeviceRef.CPU())
    square = ops.broadcast_to(blocked, [length, length])
    return ops.band_part(square, num_lower=None, num_upper=0, exclude=True)


def add_attention(
    program: Module, name: str, mask_of: MaskBuilder, *, return_mask: bool = False
) -> None:
    """Add one attention to the program, as a graph of this name."""
    kind = TensorType(DType.float32, [HEADS, "length", FEATURES], DeviceRef.CPU())
    with Graph(name, input_types=[kind, kind, kind], module=program) as graph:
        query, key, value = (graph_input.tensor for graph_input in graph.inputs)
        mask = mask_of(query.shape[-2])
        scores = query @ ops.transpose(key, -2, -1) + mask
        result = ops.softmax(scores) @ value
        graph.output(*((result, mask) if return_mask else (result,)))


def numpy_attention(query: Array, key: Array, value: Array, *, masked: bool) -> Array:
    """The same in NumPy."""
    scores = query @ key.swapaxes(-2, -1)
    if masked:
        scores = np.where(np.tri(LENGTH, dtype=bool), scores, np.float32(-np.inf))
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    result: Array = weights / weights.sum(axis=-1, keepdims=True) @ value
    return result


def measure() -> dict[str, tuple[float, float]]:
    """Largest distances of MAX's result to attention without and with the mask, by graph."""
    program = Module()
    add_attention(program, "where", where_mask)
    add_attention(program, "where_returned", where_mask, return_mask=True)
    add_attention(program, "band_part", band_part_mask)
    session = InferenceSession(devices=[CPU()])
    models = session.init_all(session.compile(program), weights_registry={})

    shape = (3, HEADS, LENGTH, FEATURES)
    query, key, value = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    buffers = [Buffer.from_numpy(np.ascontiguousarray(a)) for a in (query, key, value)]
    references = [numpy_attention(query, key, value, masked=masked) for masked in (False, True)]
    distances = {}
    for name, model in models.items():
        found = model.execute(*buffers)[0].to_numpy()
        unmasked, masked = (float(np.abs(found - reference).max()) for reference in references)
        distances[name] = (unmasked, masked)
    return distances


def main() -> int:
    """Print the distances; returns 1 while the mask is dropped."""
    print(f"max {importlib.metadata.version('max')}")
    distances = measure()
    for name, (unmasked, masked) in distances.items():
        print(f"{name:15} distance to unmasked {unmasked:.1e}, to masked {masked:.1e}")
    return int(any(not masked <= TOLERANCE for _, masked in distances.values()))


if __name__ == "__main__":
    sys.exit(main())
