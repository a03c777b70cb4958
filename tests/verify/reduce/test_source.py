"""A graph as text: what is read back from it computes the same, and so does NumPy."""

import numpy as np
import pytest
from max.dtype import DType
from max.graph import Dim, TensorType, ops

from tests.verify.reduce.specimens import CPU, F32, in_numpy, normal, read_back, specimen_of, tensor
from verify.reduce.source import in_max, written
from verify.reduce.words import UnwritableError

X = tensor("a", 4, 6)
ARRAY = normal(3, 4, 6)
I64 = DType.int64


def positions(length):
    return ops.range(0, length, 1, out_dim=length, dtype=I64, device=CPU)


OF_ONE = {
    "abs": ops.abs, "negate": ops.negate, "exp": ops.exp, "erf": ops.erf, "sin": ops.sin,
    "cos": ops.cos, "tanh": ops.tanh, "floor": ops.floor, "ceil": ops.ceil, "round": ops.round,
    "trunc": ops.trunc, "relu": ops.relu, "sigmoid": ops.sigmoid, "silu": ops.silu,
    "gelu": ops.gelu, "is nan": ops.is_nan, "is inf": ops.is_inf,
    "gelu tanh": lambda x: ops.gelu(x, "tanh"),
    "gelu quick": lambda x: ops.gelu(x, "quick"),
    "sqrt": lambda x: ops.sqrt(ops.abs(x)),
    "rsqrt": lambda x: ops.rsqrt(ops.abs(x)),
    "log": lambda x: ops.log(ops.abs(x)),
    "log1p": lambda x: ops.log1p(ops.abs(x)),
    "atanh": lambda x: ops.atanh(ops.tanh(x)),
    "number before": lambda x: 3.25 / x,
    "number after": lambda x: x * 0.1 - 1e-7,
    "negative number": lambda x: x - ops.constant(-2.5, F32, CPU),
    "power": lambda x: ops.abs(x) ** 0.3,
    "remainder": lambda x: x % 0.7,
    "compared": lambda x: ops.where(x > 0.5, x, 0.25),
    "both": lambda x: ops.where(ops.logical_and(x > -1.0, ops.logical_not(x >= 1.0)), x, 0.0),
    "either": lambda x: ops.where(ops.logical_or(x > 1.0, ops.equal(x, x)), x, 0.0),
    "unlike": lambda x: ops.where(ops.logical_xor(x > 1.0, ops.not_equal(x, x)), x, 0.0),
    "largest of two": lambda x: ops.min(ops.max(x, -x), x + 1.0),
    "two numbers": lambda x: ops.where(
        x > 0.0, ops.constant(-np.inf, F32, CPU), ops.constant(0.0, F32, CPU)
    ),
    "sum": lambda x: ops.sum(x, axis=1),
    "mean": lambda x: ops.mean(x, axis=0),
    "product": lambda x: ops.prod(x, axis=-1),
    "max": lambda x: ops.max(x, axis=1),
    "min": lambda x: ops.min(x, axis=-1),
    "argmax": lambda x: ops.argmax(x, axis=1),
    "argmin": lambda x: ops.argmin(x),
    "softmax": ops.softmax,
    "softmax of rows": lambda x: ops.softmax(x, axis=1),
    "logsoftmax": ops.logsoftmax,
    "to integers": lambda x: ops.cast(x * 10.0, DType.int32),
    "to 16 bits": lambda x: ops.cast(ops.cast(x, DType.bfloat16), F32),
    "reshape": lambda x: ops.reshape(x, [Dim("a") * 2, 2, 6]),
    "broadcast": lambda x: ops.broadcast_to(x, [2, "a", 4, 6]),
    "permute": lambda x: ops.permute(x, [2, 0, 1]),
    "rebind": lambda x: ops.rebind(x, [Dim("a"), 4, 6]),
    "slice": lambda x: x[:, 1:3, ::2],
    "slice from one": lambda x: x[1:],
    "last": lambda x: x[:, -2],
    "split": lambda x: ops.split(x, [2, 3, 1], axis=2)[1],
    "concat": lambda x: ops.concat([x, -x], axis=1),
    "tile": lambda x: ops.tile(x, [1, 2, 3]),
    "pad": lambda x: ops.pad(x, [0, 0, 1, 2, 3, 0], value=2.5),
    "lower band": lambda x: ops.band_part(x, num_lower=None, num_upper=0),
    "band": lambda x: ops.band_part(x, num_lower=1, num_upper=2),
    "outside of a band": lambda x: ops.band_part(x, num_lower=None, num_upper=0, exclude=True),
    "product with itself": lambda x: x @ ops.transpose(x, -1, -2),
    "product with a matrix": lambda x: x @ ops.constant(normal(6, 5), F32, CPU),
    "positions": lambda x: ops.cast(positions(x.shape[0]), F32) + x[:, 0, 0],
    "size as a number": lambda x: x / ops.cast(
        ops.shape_to_tensor([x.shape[0]]).reshape(()), F32
    ),
}  # fmt: skip


@pytest.mark.parametrize("build", OF_ONE.values(), ids=OF_ONE)
def test_what_is_read_back_and_numpy_compute_the_same(build):
    specimen = specimen_of(build, [X], [ARRAY])
    right = specimen.right()
    back = read_back(specimen)
    np.testing.assert_allclose(back.right(), right, rtol=1e-13, atol=1e-15)
    assert back.output.shape == specimen.output.shape
    np.testing.assert_allclose(in_numpy(specimen), right, rtol=1e-12, atol=1e-14)


OF_MORE = {
    "layer norm": (lambda x, g, b: ops.layer_norm(x, g, b, 1e-5), [X, tensor(6), tensor(6)]),
    "rms norm": (lambda x, g: ops.rms_norm(x, g, 1e-6), [X, tensor(6)]),
    "rms norm of Gemma": (
        lambda x, g: ops.rms_norm(x, g, 1e-6, weight_offset=1.0, multiply_before_cast=True),
        [X, tensor(6)],
    ),
    "row added": (lambda x, row: x + row, [X, tensor(6)]),
    "column added": (lambda x, column: x + column, [X, tensor(4, 1)]),
    "batches": (lambda x, y: x @ y, [X, tensor("a", 6, 5)]),
    "matrix for all": (lambda x, y: x @ y, [X, tensor(6, 5)]),
    "vector": (lambda x, y: x @ y, [tensor("a", 6), tensor(6)]),
}


@pytest.mark.parametrize(("build", "types"), OF_MORE.values(), ids=OF_MORE)
def test_the_same_holds_where_there_are_several_inputs(build, types):
    arrays = [
        normal(*(3 if not isinstance(size, int) else size for size in map(number, kind.shape)))
        for kind in types
    ]
    specimen = specimen_of(build, types, arrays)
    right = specimen.right()
    np.testing.assert_allclose(read_back(specimen).right(), right, rtol=1e-13)
    np.testing.assert_allclose(in_numpy(specimen), right, rtol=1e-12)


def number(dim):
    try:
        return int(dim)
    except TypeError:
        return str(dim)


def test_rows_are_gathered_by_integers():
    types = [X, TensorType(I64, ["i"], CPU)]
    specimen = specimen_of(
        lambda x, i: ops.gather(x, i, axis=1), types, [ARRAY, np.array([3, 0, 1])]
    )
    right = specimen.right()
    assert np.array_equal(read_back(specimen).right(), right)
    assert np.array_equal(in_numpy(specimen), right)


def test_weights_are_numbered_in_the_order_in_which_they_are_read():
    def build(x):
        gain = ops.constant_external("h.0.gain", tensor(6))
        return x * gain + ops.constant_external("h.0.bias", tensor(6))

    weights = {"h.0.bias": normal(6, seed=1), "h.0.gain": normal(6, seed=2)}
    specimen = specimen_of(build, [X], [ARRAY], weights)
    right = specimen.right()
    assert np.array_equal(read_back(specimen).right(), right)
    assert np.array_equal(in_numpy(specimen), right)
    assert '"w0"' in in_max(specimen.graph, "made")
    assert '"part/w1"' in in_max(specimen.graph, "made", weights="part/")


def test_a_line_stands_for_an_operation_and_shapes_for_none():
    specimen = specimen_of(lambda x: ops.softmax(x * 2.0 + x[:1]), [X], [ARRAY])
    assert written(specimen.graph, "numpy", specimen.sizes).lines[-1].startswith("softmax1 = ")


def test_an_operation_without_a_phrase_is_named():
    specimen = specimen_of(cumulative, [X], [ARRAY])
    with pytest.raises(UnwritableError, match=r"mo\.cumsum"):
        in_max(specimen.graph, "made")


def cumulative(x):
    return ops.cumsum(x, axis=1)


def test_bounds_that_depend_on_an_input_cannot_be_written():
    types = [TensorType(I64, [], CPU)]

    def build(end):
        return ops.range(0, end, 1, out_dim="n", dtype=I64, device=CPU)

    specimen = specimen_of(build, types, [np.array(2)])
    with pytest.raises(UnwritableError, match="computed"):
        in_max(specimen.graph, "made")
