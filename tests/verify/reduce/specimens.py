"""Small graphs as specimens, and their texts run."""

import math

import numpy as np
from max.dtype import DType
from max.graph import DeviceRef, Dim, Graph, Module, TensorType, ops

from verify.graph.adapter import noting, read
from verify.reduce.source import in_max, meanings, weights_of, written
from verify.reduce.specimen import Specimen, pruned

CPU = DeviceRef.CPU()
F32 = DType.float32


def tensor(*shape, dtype=F32):
    return TensorType(dtype, list(shape), CPU)


def specimen_of(build, types, arrays, weights=None):
    """The specimen of what `build` makes of symbolic tensors."""
    program = Module()
    with noting(places=False) as notes:
        with Graph("made", input_types=types, module=program) as graph:
            graph.output(build(*(value.tensor for value in graph.inputs)))
        (form,) = read(program, notes)
    return pruned(Specimen(form, tuple(arrays), weights or {}))


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def read_back(specimen):
    """The specimen whose graph is read from the text of another's."""
    names = {"np": np, "DType": DType, "Graph": Graph, "TensorType": TensorType, "Dim": Dim}
    names |= {"ops": ops, "cpu": CPU, "program": Module(), "libraries": []}
    with noting(places=False) as notes:
        exec(in_max(specimen.graph, "made"), names)
        (form,) = read(names["program"], notes)
    own = weights_of(specimen.graph)
    weights = {f"w{index}": specimen.weights[name] for index, name in enumerate(own)}
    return Specimen(form, specimen.arrays, weights)


def in_numpy(specimen):
    """What the NumPy text of a specimen computes in float64."""
    source = written(specimen.graph, "numpy", specimen.sizes)
    arrays = [wide(array) for array in specimen.arrays]
    weights = [wide(specimen.weights[name]) for name in weights_of(specimen.graph)]
    names = {"np": np, "math": math, "weights": {f"w{i}": w for i, w in enumerate(weights)}}
    names |= dict(zip(source.inputs, arrays, strict=True))
    exec("\n".join([*meanings(specimen.graph), *source.lines]), names)
    return names[source.outputs[0]]


def wide(array):
    return array.astype(np.float64) if array.dtype.kind == "f" else array
