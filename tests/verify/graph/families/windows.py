"""Convolution and pooling beside PyTorch's."""

import torch
from max.graph import ops

from tests.verify.graph.families.family import Family, grid, tensor

t = torch.from_numpy
F = torch.nn.functional


def last(x):
    """Channels last, as MAX has them."""
    return x.movedim(1, -1)


def convolved(x, w):
    grouped = w[:, :, :2]
    return {
        "plain": ops.conv2d(x, w),
        "strides": ops.conv2d(x, w, stride=(2, 1), padding=(1, 0, 2, 1)),
        "dilated": ops.conv2d(x, w, dilation=(2, 1), padding=(1, 1, 1, 1)),
        "groups": ops.conv2d(x, grouped, groups=2, padding=(1, 1, 1, 1)),
    }


def convolved_torch(x, w):
    x, w = t(x).movedim(-1, 1), t(w).permute(3, 2, 0, 1)
    padded = F.pad(x, (2, 1, 1, 0))
    return {
        "plain": last(F.conv2d(x, w)),
        "strides": last(F.conv2d(padded, w, stride=(2, 1))),
        "dilated": last(F.conv2d(x, w, dilation=(2, 1), padding=1)),
        "groups": last(F.conv2d(x, w[:, :2], groups=2, padding=1)),
    }


def pooled(x):
    return {
        "max": ops.max_pool2d(x, (2, 2), stride=2),
        "max padded": ops.max_pool2d(x, (3, 3), stride=1, padding=1),
        "max to the end": ops.max_pool2d(x, (2, 2), stride=2, ceil_mode=True),
        "mean": ops.avg_pool2d(x, (2, 2), stride=2),
        "mean padded": ops.avg_pool2d(x, (3, 3), stride=2, padding=1),
        "mean inside": ops.avg_pool2d(x, (3, 3), stride=1, padding=1, count_boundary=False),
    }


def pooled_torch(x):
    x = t(x).movedim(-1, 1)
    return {
        "max": last(F.max_pool2d(x, 2, 2)),
        "max padded": last(F.max_pool2d(x, 3, 1, 1)),
        "max to the end": last(F.max_pool2d(x, 2, 2, ceil_mode=True)),
        "mean": last(F.avg_pool2d(x, 2, 2)),
        "mean padded": last(F.avg_pool2d(x, 3, 2, 1)),
        "mean inside": last(F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)),
    }


FAMILIES = [
    Family(
        "convolved",
        [tensor("f32", "a", 7, 6, 4), tensor("f32", 3, 2, 4, 6)],
        convolved,
        convolved_torch,
        [grid([(n, 7, 6, 4), (3, 2, 4, 6)]) for n in (1, 3)],
    ),
    Family(
        "convolved_once",
        [tensor("f32", "a", 7, 6, 4), tensor("f32", 3, 2, 4, 6)],
        lambda x, w: {"strides": convolved(x, w)["strides"]},
        lambda x, w: {"strides": convolved_torch(x, w)["strides"]},
        [grid([(n, 7, 6, 4), (3, 2, 4, 6)]) for n in (1, 3)],
    ),
    Family(
        "pooled",
        [tensor("f32", "a", 7, 5, 3)],
        pooled,
        pooled_torch,
        [grid([(n, 7, 5, 3)]) for n in (1, 2)],
    ),
]
