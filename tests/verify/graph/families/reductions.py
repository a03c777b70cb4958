"""Operations along an axis beside PyTorch's."""

import numpy as np
import torch
from max.graph import ops

from tests.verify.graph.families.family import Family, grid, tensor

t = torch.from_numpy
F = torch.nn.functional

SHAPES = [(1, 1, 1), (2, 3, 5), (3, 1, 33), (1, 7, 257)]


def along(x):
    made = {}
    for axis in (0, 1, -1):
        made |= {
            f"sum {axis}": ops.sum(x, axis=axis),
            f"mean {axis}": ops.mean(x, axis=axis),
            f"prod {axis}": ops.prod(x, axis=axis),
            f"max {axis}": ops.max(x, axis=axis),
            f"min {axis}": ops.min(x, axis=axis),
            f"argmax {axis}": ops.argmax(x, axis=axis),
            f"argmin {axis}": ops.argmin(x, axis=axis),
        }
    return made


def along_torch(x):
    x, made = t(x), {}
    for axis in (0, 1, -1):
        made |= {
            f"sum {axis}": x.sum(axis, keepdim=True, dtype=x.dtype),
            f"mean {axis}": x.mean(axis, keepdim=True) if x.is_floating_point() else None,
            f"prod {axis}": x.prod(axis, keepdim=True, dtype=x.dtype),
            f"max {axis}": x.amax(axis, keepdim=True),
            f"min {axis}": x.amin(axis, keepdim=True),
            f"argmax {axis}": x.argmax(axis, keepdim=True),
            f"argmin {axis}": x.argmin(axis, keepdim=True),
        }
    return made


def distributions(x):
    made = {}
    for axis in (0, 1, -1):
        made |= {
            f"softmax {axis}": ops.softmax(x, axis=axis),
            f"logsoftmax {axis}": ops.logsoftmax(x, axis=axis),
        }
        for exclusive in (False, True):
            for reverse in (False, True):
                name = f"cumsum {axis} {exclusive} {reverse}"
                made[name] = ops.cumsum(x, axis=axis, exclusive=exclusive, reverse=reverse)
    return made


def cumsum_torch(x, axis, exclusive, reverse):
    x = x.flip(axis) if reverse else x
    if exclusive:
        x = torch.cat([torch.zeros_like(x.narrow(axis, 0, 1)), x], axis).narrow(
            axis, 0, x.shape[axis]
        )
    sums = x.cumsum(axis)
    return sums.flip(axis) if reverse else sums


def distributions_torch(x):
    x, made = t(x), {}
    for axis in (0, 1, -1):
        made |= {
            f"softmax {axis}": F.softmax(x, axis),
            f"logsoftmax {axis}": F.log_softmax(x, axis),
        }
        for exclusive in (False, True):
            for reverse in (False, True):
                name = f"cumsum {axis} {exclusive} {reverse}"
                made[name] = cumsum_torch(x, axis, exclusive, reverse)
    return made


def norms(x, gamma, beta):
    return {
        "layer_norm": ops.layer_norm(x, gamma, beta, 1e-5),
        "rms_norm": ops.rms_norm(x, gamma, 1e-6),
        "rms_norm of Gemma": ops.rms_norm(
            x, gamma, 1e-6, weight_offset=1.0, multiply_before_cast=True
        ),
    }


def norms_torch(x, gamma, beta):
    x, gamma, beta = t(x), t(gamma), t(beta)
    width = [x.shape[-1]]
    return {
        "layer_norm": F.layer_norm(x, width, gamma, beta, 1e-5),
        "rms_norm": F.rms_norm(x, width, gamma, 1e-6),
        "rms_norm of Gemma": F.rms_norm(x, width, gamma + 1, 1e-6),
    }


def groups(x, gamma, beta):
    return {
        "two": ops.group_norm(x, gamma, beta, num_groups=2, epsilon=1e-5),
        "four": ops.group_norm(x, gamma, beta, num_groups=4, epsilon=1e-5),
    }


def groups_torch(x, gamma, beta):
    x, gamma, beta = t(x), t(gamma), t(beta)
    return {
        "two": F.group_norm(x, 2, gamma, beta, 1e-5),
        "four": F.group_norm(x, 4, gamma, beta, 1e-5),
    }


TIES = np.array([[[1.0, 3.0, 3.0, 1.0], [-2.0, -2.0, 0.0, 0.0]]], np.float32)
ROWS = np.array([[[-np.inf, 0.0, 1e4, 88.0]], [[-1e30, 1.0, -np.inf, 2.0]]], np.float32)

FAMILIES = [
    Family(
        "along",
        [tensor("f32", "a", "b", "c")],
        along,
        along_torch,
        [*([a] for a in grid(SHAPES)), [TIES]],
    ),
    Family(
        "along_i32",
        [tensor("i32", "a", "b", "c")],
        along,
        along_torch,
        [[a] for a in grid(SHAPES[:3], "i32")],
    ),
    Family(
        "last_i32",
        [tensor("i32", "a", "b", "c")],
        lambda x: {name: one for name, one in along(x).items() if name.endswith("-1")},
        lambda x: {name: one for name, one in along_torch(x).items() if name.endswith("-1")},
        [[a] for a in grid(SHAPES[:3], "i32")],
    ),
    Family(
        "distributions",
        [tensor("f32", "a", "b", "c")],
        distributions,
        distributions_torch,
        [*([a] for a in grid(SHAPES)), [ROWS]],
    ),
    Family(
        "shares",
        [tensor("f32", "a", "b", "c")],
        lambda x: {"softmax": ops.softmax(x), "sum": ops.sum(x), "mean": ops.mean(x)},
        lambda x: {
            "softmax": F.softmax(t(x), -1),
            "sum": x.sum(-1, keepdims=True),
            "mean": x.mean(-1, keepdims=True),
        },
        [*([a] for a in grid(SHAPES)), [ROWS]],
        quick=True,
    ),
    Family(
        "norms",
        [tensor("f32", "a", "b", 33), tensor("f32", 33), tensor("f32", 33)],
        norms,
        norms_torch,
        [grid([(2, n, 33), (33,), (33,)]) for n in (0, 1, 5)],
        quick=True,
    ),
    Family(
        "groups",
        [tensor("f32", "a", 4, "b", "c"), tensor("f32", 4), tensor("f32", 4)],
        groups,
        groups_torch,
        [grid([(2, 4, n, 3), (4,), (4,)]) for n in (1, 5)],
    ),
]
