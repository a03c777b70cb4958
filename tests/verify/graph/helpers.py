"""Graphs made by hand."""

import numpy as np
from max.dtype import DType
from max.graph import BufferType, DeviceRef, Graph, Module, TensorType

from verify.graph.adapter import noting, read

CPU = DeviceRef.CPU()


def kind(*shape, dtype=DType.float32):
    """The type of a tensor."""
    return TensorType(dtype, list(shape), CPU)


def buffer(*shape, dtype=DType.float32):
    """The type of a buffer."""
    return BufferType(dtype, list(shape), CPU)


def staged(build, *types, places=True):
    """The graph that a function over graph values makes."""
    program = Module()
    with noting(places=places) as notes, Graph("made", input_types=types, module=program) as graph:
        made = build(*graph.inputs)
        graph.output(*(made if isinstance(made, list | tuple) else [made]))
    (found,) = read(program, notes)
    return found


def floats(*shape, seed=0):
    """Normal numbers in float32."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
