"""Operations that pick and place elements beside NumPy's and PyTorch's."""

import numpy as np
import torch
from max.graph import ops

from tests.verify.graph.families.family import Family, grid, tensor

t = torch.from_numpy


def sliced(x):
    return {
        "from one": x[1:],
        "last": x[:, -2],
        "every other": x[..., ::2],
        "three": x[:, :3],
        "first": x[0],
        "new axis": x[:, None, -3:-1],
        "one element": x[-1, 2, 3],
        "split": ops.concat(ops.split(x, [2, 3, 1], axis=2)[::-1], axis=2),
        "chunk": ops.concat(ops.chunk(x, 3, axis=-1)[::-1], axis=-1),
        "concat": ops.concat([x, x[:, :1]], axis=1),
        "concat rows": ops.concat([x, x], axis=0),
    }


def sliced_numpy(x):
    parts, chunks = np.split(x, [2, 5], axis=2), np.split(x, 3, axis=-1)
    return {
        "from one": x[1:],
        "last": x[:, -2],
        "every other": x[..., ::2],
        "three": x[:, :3],
        "first": x[0],
        "new axis": x[:, None, -3:-1],
        "one element": x[-1, 2, 3],
        "split": np.concatenate(parts[::-1], axis=2),
        "chunk": np.concatenate(chunks[::-1], axis=-1),
        "concat": np.concatenate([x, x[:, :1]], axis=1),
        "concat rows": np.concatenate([x, x], axis=0),
    }


def gathered(x, i):
    return {
        "rows": ops.gather(x, i, axis=0),
        "middle": ops.gather(x, i, axis=1),
        "last": ops.gather(x, i, axis=-1),
        "vectors": ops.gather_nd(x, ops.abs(i)),
        "vectors by batch": ops.gather_nd(x, ops.abs(i)[:3], batch_dims=1),
    }


def gathered_numpy(x, i):
    return {
        "rows": x[i],
        "middle": x[:, i],
        "last": x[:, :, i],
        "vectors": x[abs(i[:, 0]), abs(i[:, 1])],
        "vectors by batch": np.stack([x[b][abs(i[b, 0]), abs(i[b, 1])] for b in range(3)]),
    }


def scattered(x, u, i):
    plain = ops.scatter(x, u, i, axis=0)
    ends = {
        "add": ops.scatter_add, "max": ops.scatter_max, "min": ops.scatter_min,
        "mul": ops.scatter_mul,
    }  # fmt: skip
    made = {f"{name} {a}": f(x, u, i, axis=a) for name, f in ends.items() for a in (0, 1)}
    return {"plain": plain, **made}


REDUCE = {"add": "sum", "max": "amax", "min": "amin", "mul": "prod"}


def scattered_torch(x, u, i):
    x, u, i = t(x), t(u), t(i)
    made = {
        f"{name} {a}": x.scatter_reduce(a, i, u, reduce=how)
        for name, how in REDUCE.items()
        for a in (0, 1)
    }
    return {"plain": x.scatter(0, i, u), **made}


def scattered_nd(x, u, i):
    return {
        "plain": ops.scatter_nd(x, u, i),
        "add": ops.scatter_nd_add(x, u, i),
        "max": ops.scatter_nd_max(x, u, i),
        "min": ops.scatter_nd_min(x, u, i),
        "mul": ops.scatter_nd_mul(x, u, i),
    }


def scattered_nd_torch(x, u, i):
    index = np.broadcast_to(i, u.shape).copy()
    made = {
        name: t(x).scatter_reduce(0, t(index), t(u), reduce=how) for name, how in REDUCE.items()
    }
    return {"plain": t(x).scatter(0, t(index), t(u)), **made}


def ranked(x):
    top, bottom = ops.top_k(x, 3, -1), ops.bottom_k(x, 3, 1)
    other = ops.top_k(x, 2, 0)
    flat = ops.flatten(x)
    return {
        "top": top[0], "top places": top[1], "bottom": bottom[0], "bottom places": bottom[1],
        "rows": other[0], "row places": other[1],
        "argsort": ops.argsort(flat), "argsort down": ops.argsort(flat, ascending=False),
        "nonzero": ops.nonzero(x, "count"),
    }  # fmt: skip


def ranked_torch(x):
    up = np.argsort(x, axis=1, kind="stable")[:, :3]
    down = t(x).sort(dim=1, descending=True, stable=True)
    rows = t(x).sort(dim=0, descending=True, stable=True)
    flat = t(x.ravel())
    return {
        "top": down.values[:, :3], "top places": down.indices[:, :3],
        "bottom": np.take_along_axis(x, up, 1), "bottom places": up,
        "rows": rows.values[:2], "row places": rows.indices[:2],
        "argsort": flat.sort(stable=True).indices,
        "argsort down": flat.sort(stable=True, descending=True).indices,
        "nonzero": torch.nonzero(t(x)),
    }  # fmt: skip


def banded(x):
    made = {}
    for lower, upper in ((None, 0), (0, None), (1, 2), (0, 0), (None, None)):
        for exclude in (False, True):
            name = f"{lower} {upper} {exclude}"
            made[name] = ops.band_part(x, num_lower=lower, num_upper=upper, exclude=exclude)
    return made


def banded_numpy(x):
    below = np.arange(x.shape[-2])[:, None] - np.arange(x.shape[-1])
    made = {}
    for lower, upper in ((None, 0), (0, None), (1, 2), (0, 0), (None, None)):
        kept = (below <= (np.inf if lower is None else lower)) & (
            -below <= (np.inf if upper is None else upper)
        )
        for exclude in (False, True):
            made[f"{lower} {upper} {exclude}"] = np.where(kept ^ exclude, x, 0)
    return made


INDICES = np.array([[0, 1], [2, 2], [-1, 0], [1, -2]])
DISTINCT = np.array([[0, 1, 2], [3, 2, 1]])

FAMILIES = [
    Family(
        "sliced",
        [tensor("f32", "a", 4, 6)],
        sliced,
        sliced_numpy,
        [[a] for a in grid([(1, 4, 6), (3, 4, 6)])],
        quick=True,
    ),
    Family(
        "gathered",
        [tensor("f32", 3, 4, 5), tensor("i64", 4, 2)],
        gathered,
        gathered_numpy,
        [[*grid([(3, 4, 5)]), INDICES]],
        quick=True,
    ),
    Family(
        "scattered",
        [tensor("f32", "a", 3), tensor("f32", "u", 3), tensor("i64", "u", 3)],
        scattered,
        scattered_torch,
        [[*grid([(4, 3), (2, 3)]), np.minimum(DISTINCT, 2)]],
    ),
    Family(
        "scattered_nd",
        [tensor("f32", "a", 5), tensor("f32", "u", 5), tensor("i64", "u", 1)],
        scattered_nd,
        scattered_nd_torch,
        [[*grid([(4, 5), (2, 5)]), np.array([[1], [3]])]],
    ),
    Family(
        "ranked",
        [tensor("f32", "a", 7)],
        ranked,
        ranked_torch,
        [
            *([a] for a in grid([(3, 7), (33, 7)])),
            [np.array([[0, 1, 1, 0, 2, 2, 1], [0, 0, 0, 0, 0, 0, 0]], np.float32)],
        ],
    ),
    Family(
        "banded",
        [tensor("f32", "b", "m", "n")],
        banded,
        banded_numpy,
        [[a] for a in grid([(1, 1, 1), (2, 5, 5), (1, 3, 7), (1, 7, 3)])],
        quick=True,
    ),
]
