"""Operations on shapes beside NumPy's."""

import numpy as np
from max.graph import ops

from tests.verify.graph.families.family import CPU, DTYPES, Family, grid, tensor

SHAPES = [(1, 4, 6), (3, 4, 6), (0, 4, 6)]


def reshaped(x):
    length = x.shape[0]
    return {
        "permute": ops.permute(x, [2, 0, 1]),
        "transpose": ops.transpose(x, 0, -1),
        "reshape": x.reshape([length * 2, 2, 6]),
        "inferred": x.reshape([-1, 12]),
        "unsqueeze": ops.unsqueeze(x, 1),
        "squeeze": ops.squeeze(ops.unsqueeze(x, -1), -1),
        "flatten": ops.flatten(x, 1, 2),
        "broadcast": ops.broadcast_to(x, [2, length, 4, 6]),
        "stack": ops.stack([x, x + 1], axis=1),
        "tile": ops.tile(x, [1, 2, 3]),
        "repeat": ops.repeat_interleave(x, 3, axis=1),
        "repeat last": ops.repeat_interleave(x, 2, axis=-1),
        "pad": ops.pad(x, [0, 0, 1, 2, 3, 0], value=2.5),
        "pad reflect": ops.pad(x, [0, 0, 1, 2, 3, 0], mode="reflect"),
        "pad edge": ops.pad(x, [0, 0, 1, 2, 3, 0], mode="edge"),
        "shape": ops.shape_to_tensor(x.shape),
    }


def reshaped_numpy(x):
    n = len(x)
    pads = [(0, 0), (1, 2), (3, 0)]
    return {
        "permute": x.transpose(2, 0, 1),
        "transpose": x.swapaxes(0, -1),
        "reshape": x.reshape(n * 2, 2, 6),
        "inferred": x.reshape(2 * n, 12),
        "unsqueeze": x[:, None],
        "squeeze": x,
        "flatten": x.reshape(n, 24),
        "broadcast": np.broadcast_to(x, (2, *x.shape)),
        "stack": np.stack([x, x + 1], axis=1),
        "tile": np.tile(x, [1, 2, 3]),
        "repeat": x.repeat(3, axis=1),
        "repeat last": x.repeat(2, axis=-1),
        "pad": np.pad(x, pads, constant_values=2.5),
        "pad reflect": np.pad(x, pads, mode="reflect"),
        "pad edge": np.pad(x, pads, mode="edge"),
        "shape": np.array(x.shape),
    }


def numbers(x):
    length = x.shape[0]
    return {
        "up": ops.range(0, length, 1, out_dim=length, dtype=DTYPES["i64"], device=CPU),
        "floats": ops.range(0, length, 1, out_dim=length, dtype=DTYPES["f32"], device=CPU),
        "halves": ops.range(0.0, 2.0, 0.5, dtype=DTYPES["f32"], device=CPU),
        "hann": ops.hann_window(7, CPU),
        "square": ops.broadcast_to(ops.constant(3, DTYPES["i64"], CPU), [length, length]),
    }


def numbers_numpy(x):
    n = len(x)
    return {
        "up": np.arange(n),
        "floats": np.arange(float(n)),
        "halves": np.arange(0, 2, 0.5),
        "hann": 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(7) / 7),
        "square": np.full((n, n), 3),
    }


FAMILIES = [
    Family(
        "reshaped", [tensor("f32", "a", 4, 6)], reshaped, reshaped_numpy,
        [[a] for a in grid(SHAPES)],
    ),
    Family(
        "numbers", [tensor("f32", "a")], numbers, numbers_numpy,
        [[a] for a in grid([(0,), (1,), (9,)])], rounding=1e-5, quick=True,
    ),
]  # fmt: skip
