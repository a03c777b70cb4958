"""Casts from every dtype to every other, and arithmetic at 16 and fewer bits."""

import numpy as np
from max.graph import ops

from tests.verify.graph.families.family import DTYPES, Family, grid, tensor

FLOATS = ("f64", "f32", "f16", "bf16")
INTEGERS = ("i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64")
TO = (*FLOATS, "i32", "i64", "u8", "bool")
FROM = (*FLOATS, "i32", "i64", "u8", "bool")

HALVES = np.array([[0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.999, 127.0, 0.1]])
HUGE = np.array([[65504.0, 65520.0, 70000.0, 3e38, -3e38, 1e-7, 6e-8, 1e-45, np.inf, np.nan]])


def casts(x):
    return {dtype: x.cast(DTYPES[dtype]) for dtype in TO}


def numbers_for(dtype):
    held = grid([(3, 5)], dtype)[0]
    sets = [[held], [held[:0]]]
    if dtype in FLOATS:
        sets.append([np.abs(HALVES).astype(held.dtype)])
    return sets


def narrowed(x):
    return {dtype: x.cast(DTYPES[dtype]) for dtype in ("f16", "bf16", "f8", "f8e5")}


def sums_16(x, w):
    return {
        "sum": ops.sum(x), "mean": ops.mean(x), "softmax": ops.softmax(x),
        "gelu": ops.gelu(x, "tanh"), "exp": ops.exp(x), "product": x @ w, "add": x + x[:1] * 3,
        "back": x.cast(DTYPES["f32"]),
    }  # fmt: skip


FAMILIES = [
    *(
        Family(
            f"cast_{dtype}", [tensor(dtype, "a", "b")], casts, lambda x: {}, numbers_for(dtype)
        )
        for dtype in FROM
    ),
    Family(
        "narrow",
        [tensor("f32", "a", "b")],
        narrowed,
        lambda x: {},
        [[HUGE.astype(np.float32)], grid([(7, 33)]), [HALVES.astype(np.float32)]],
    ),
    *(
        Family(
            f"sums_{dtype}",
            [tensor(dtype, "a", "b"), tensor(dtype, "b", 4)],
            sums_16,
            lambda x, w: {},
            [grid([(3, 64), (64, 4)], dtype)],
        )
        for dtype in ("bf16", "f16")
    ),
]
