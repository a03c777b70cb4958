"""Casts from every dtype to every other, and arithmetic at 16 and fewer bits."""

import numpy as np
from max.graph import ops

from tests.verify.graph.families.family import DTYPES, Family, grid, tensor

FLOATS = ("f64", "f32", "f16", "bf16")
DTYPE_NAMES = (*FLOATS, "i32", "i64", "u8", "bool")

HALVES = np.array([[0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.999, 127.0, 0.1]])
HUGE = np.array([[65504.0, 65520.0, 70000.0, 3e38, -3e38, 1e-7, 6e-8, 1e-45, np.inf, np.nan]])


def casts(x):
    return {dtype: x.cast(DTYPES[dtype]) for dtype in DTYPE_NAMES}


def truth_of_casts(x):
    """In float64 no cast to floating-point numbers rounds."""
    whole = np.trunc(x) if x.dtype.kind == "f" else x
    made = {dtype: whole.astype(DTYPES[dtype].name) for dtype in ("i32", "i64")}
    floats = {dtype: x.astype(np.float64) for dtype in FLOATS}
    return {**made, **floats, "bool": x != 0}


def numbers_for(dtype):
    held = grid([(3, 5)], dtype)[0]
    sets = [[held], [held[:0]]]
    if dtype in FLOATS:
        sets.append([np.abs(HALVES).astype(held.dtype)])
    return sets


def narrowed(x):
    return {dtype: x.cast(DTYPES[dtype]) for dtype in ("f16", "bf16")}


def sums_16(x, w):
    return {
        "sum": ops.sum(x), "mean": ops.mean(x), "softmax": ops.softmax(x),
        "gelu": ops.gelu(x, "tanh"), "exp": ops.exp(x), "product": x @ w, "add": x + x[:1] * 3,
        "back": x.cast(DTYPES["f32"]),
    }  # fmt: skip


FAMILIES = [
    *(
        Family(
            f"cast_{dtype}",
            [tensor(dtype, "a", "b")],
            casts,
            truth_of_casts,
            numbers_for(dtype),
            quick=dtype == "f32",
        )
        for dtype in DTYPE_NAMES
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
            unlike=dict.fromkeys(("sum", "mean"), "sums are kept in 16 bits"),
            rounding=4e-3 if dtype == "bf16" else 5e-4,
        )
        for dtype in ("bf16", "f16")
    ),
]
