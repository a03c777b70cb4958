"""Elementwise operations beside PyTorch's."""

import numpy as np
import torch
from max.graph import ops

from tests.verify.graph.families.family import Family, grid, tensor

t = torch.from_numpy
F = torch.nn.functional

EDGES = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 88.0, -88.0, 1e-20, np.inf, -np.inf, np.nan],
    np.float32,
)
SHAPES = [[a] for a in grid([(0, 3), (1, 1), (7, 5), (3, 4096)])]

UNARY = {
    "abs": (ops.abs, torch.abs),
    "negate": (ops.negate, torch.neg),
    "exp": (ops.exp, torch.exp),
    "erf": (ops.erf, torch.erf),
    "sin": (ops.sin, torch.sin),
    "cos": (ops.cos, torch.cos),
    "tanh": (ops.tanh, torch.tanh),
    "floor": (ops.floor, torch.floor),
    "ceil": (ops.ceil, torch.ceil),
    "round": (ops.round, torch.round),
    "trunc": (ops.trunc, torch.trunc),
    "is_nan": (ops.is_nan, torch.isnan),
    "is_inf": (ops.is_inf, torch.isinf),
    "relu": (ops.relu, torch.relu),
    "sigmoid": (ops.sigmoid, torch.sigmoid),
    "silu": (ops.silu, F.silu),
    "gelu": (lambda x: ops.gelu(x), lambda x: F.gelu(x)),
    "gelu_tanh": (lambda x: ops.gelu(x, "tanh"), lambda x: F.gelu(x, approximate="tanh")),
    "gelu_quick": (lambda x: ops.gelu(x, "quick"), lambda x: x * torch.sigmoid(1.702 * x)),
    "log_abs": (lambda x: ops.log(ops.abs(x)), lambda x: torch.log(x.abs())),
    "log1p_abs": (lambda x: ops.log1p(ops.abs(x)), lambda x: torch.log1p(x.abs())),
    "sqrt_abs": (lambda x: ops.sqrt(ops.abs(x)), lambda x: torch.sqrt(x.abs())),
    "rsqrt_abs": (lambda x: ops.rsqrt(ops.abs(x)), lambda x: torch.rsqrt(x.abs())),
    "atanh": (lambda x: ops.atanh(ops.tanh(x) * 0.9), lambda x: torch.atanh(torch.tanh(x) * 0.9)),
    "acos": (lambda x: ops.acos(ops.tanh(x)), lambda x: torch.acos(torch.tanh(x))),
}

BINARY = {
    "add": (lambda x, y: x + y, torch.add),
    "sub": (lambda x, y: x - y, torch.sub),
    "mul": (lambda x, y: x * y, torch.mul),
    "div": (lambda x, y: x / y, torch.div),
    "floor_div": (lambda x, y: x // y, lambda x, y: torch.floor(x / y)),
    "mod": (lambda x, y: x % y, torch.remainder),
    "max": (ops.max, torch.maximum),
    "min": (ops.min, torch.minimum),
    "pow_abs": (lambda x, y: ops.pow(ops.abs(x), y), lambda x, y: torch.pow(x.abs(), y)),
    "equal": (lambda x, y: x == y, torch.eq),
    "not_equal": (lambda x, y: x != y, torch.ne),
    "greater": (lambda x, y: x > y, torch.gt),
    "greater_equal": (lambda x, y: x >= y, torch.ge),
    "less": (lambda x, y: x < y, lambda x, y: ~torch.ge(x, y)),  # of NaN: true, as MAX writes it
    "less_equal": (lambda x, y: x <= y, lambda x, y: ~torch.gt(x, y)),
    "where": (lambda x, y: ops.where(x > y, x, y), lambda x, y: torch.where(x > y, x, y)),
    "square": (lambda x, y: x**2 + 0 * y, lambda x, y: x**2 + 0 * y),
}
BROADCAST = [((0, 3), (3,)), ((3, 0), (0,)), ((1, 5), (5,)), ((7, 5), (5,)), ((2, 33), (33,))]


def applied(table, side):
    return lambda *xs: {name: pair[side](*xs) for name, pair in table.items()}


def of_torch(table):
    return lambda *xs: applied(table, 1)(*map(t, xs))


INTEGER = {
    name: BINARY[name]
    for name in ("add", "sub", "mul", "max", "min", "equal", "greater", "less", "where")
} | {
    "floor_div": (lambda x, y: x // y, lambda x, y: torch.floor_divide(x, y)),
    "mod": (lambda x, y: x % y, torch.remainder),
}
LOGIC = {
    "and": (ops.logical_and, torch.logical_and),
    "or": (ops.logical_or, torch.logical_or),
    "xor": (ops.logical_xor, torch.logical_xor),
    "not": (lambda x, y: ops.logical_not(x), lambda x, y: torch.logical_not(x)),
    "equal": (lambda x, y: x == y, torch.eq),
}


def nonzero(arrays):
    return [np.where(a == 0, 3, a).astype(a.dtype) for a in arrays]


FAMILIES = [
    Family(
        "unary",
        [tensor("f32", "a", "b")],
        applied(UNARY, 0),
        of_torch(UNARY),
        SHAPES,
        unit=1.0,
        quick=True,
        unlike={"acos": "1e-4 of the angle near 0"},
    ),
    Family(
        "unary_edges",
        [tensor("f32", "a")],
        applied(UNARY, 0),
        of_torch(UNARY),
        [[EDGES]],
        unit=1.0,
        quick=True,
        unlike={
            "exp": "of NaN: infinity",
            "tanh": "of NaN: 1",
            "relu": "of NaN: 0",
            "sigmoid": "of NaN: 0",
            "atanh": "as tanh",
            "acos": "as tanh",
        },
    ),
    Family(
        "binary",
        [tensor("f32", "a", "b"), tensor("f32", "b")],
        applied(BINARY, 0),
        of_torch(BINARY),
        [grid(pair) for pair in BROADCAST],
        unit=1.0,
        quick=True,
    ),
    Family(
        "binary_edges",
        [tensor("f32", 15, 15), tensor("f32", 15)],
        applied(BINARY, 0),
        of_torch(BINARY),
        [[EDGES[:, None].repeat(15, 1), EDGES]],
        unit=1.0,
        quick=True,
        unlike={
            "mod": "by infinity: NaN",
            "max": "of a number and NaN: the number",
            "min": "of a number and NaN: the number",
            "pow_abs": "to NaN: infinity",
            "not_equal": "of NaN: false",
            "square": "0 * y is taken for 0, whatever y is",
        },
    ),
    *(
        Family(
            f"binary_{dtype}",
            [tensor(dtype, "a", "b"), tensor(dtype, "b")],
            applied(INTEGER, 0),
            of_torch(INTEGER),
            [nonzero(grid(pair, dtype)) for pair in BROADCAST],
            quick=dtype == "i64",
        )
        for dtype in ("i32", "i64", "u8")
    ),
    Family(
        "logic",
        [tensor("bool", "a", "b"), tensor("bool", "b")],
        applied(LOGIC, 0),
        of_torch(LOGIC),
        [grid(pair, "bool") for pair in BROADCAST],
        quick=True,
    ),
]
