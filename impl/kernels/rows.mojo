"""Rows of activations: normalised, and laid out for a tile."""

from std.math import sqrt
from std.utils.index import IndexList

from .tile import F32, Floats, W


def normalise(x: Floats, gamma: Floats, beta: Floats, eps: Float32, size: Int, y: Floats):
    """LayerNorm of one row: y = (x - mean) / sqrt(variance + eps) * gamma + beta, two passes."""
    var whole = size // W * W
    var total = F32(0)
    for k in range(0, whole, W):
        total += x.unsafe_load[width=W](k)
    var sum = total.reduce_add()
    for k in range(whole, size):
        sum += x.unsafe_load(k)
    var mean = sum / Float32(size)
    total = F32(0)
    for k in range(0, whole, W):
        var d = x.unsafe_load[width=W](k) - mean
        total = d.fma(d, total)
    sum = total.reduce_add()
    for k in range(whole, size):
        var d = x.unsafe_load(k) - mean
        sum += d * d
    var scale = 1 / sqrt(sum / Float32(size) + eps)
    for k in range(0, whole, W):
        var d = (x.unsafe_load[width=W](k) - mean) * scale
        y.unsafe_store(k, d.fma(gamma.unsafe_load[width=W](k), beta.unsafe_load[width=W](k)))
    for k in range(whole, size):
        var d = (x.unsafe_load(k) - mean) * scale
        y.unsafe_store(k, d * gamma.unsafe_load(k) + beta.unsafe_load(k))


def pack[lanes: Int](x: Floats, rows: Int, height: Int, depth: Int, packed: Floats):
    """Rows as [depth, height], the order in which a tile reads them; zeros after the last.

    Squares of `lanes` rows and features are turned in registers, where `height` is more than half
    of it.
    """
    var k = 0
    if height > lanes // 2 and height <= lanes:
        k = pack_squares[lanes](x, rows, height, depth, packed)
    for i in range(rows):
        for l in range(k, depth):
            packed.unsafe_store(l * height + i, x.unsafe_load(i * depth + l))
    for i in range(rows, height):
        for l in range(k, depth):
            packed.unsafe_store(l * height + i, Float32(0))


def pack_squares[
    lanes: Int
](x: Floats, rows: Int, height: Int, depth: Int, packed: Floats) -> Int:
    """The same, by squares; returns how many features are laid out.

    A vector of `lanes` rows is stored where `height` of them belong: what is too much lies where
    the next one goes. So the last features are left, whose next belongs to another tile.
    """
    comptime Vector = SIMD[DType.float32, lanes]
    var squares = max(0, (depth - 1) // lanes)
    for square in range(squares):
        var lines = Array[Vector, lanes](fill=Vector(0))
        comptime for i in range(lanes):
            if i < rows:
                lines[i] = x.unsafe_load[width=lanes](i * depth + square * lanes)
        transpose(lines)
        comptime for k in range(lanes):
            packed.unsafe_store((square * lanes + k) * height, lines[k])
    return squares * lanes


@always_inline
def transpose[lanes: Int](mut lines: Array[SIMD[DType.float32, lanes], lanes]):
    """A square: halves change places, then quarters within them, and so on."""
    comptime for apart in [8, 4, 2, 1]:
        comptime for i in range(lanes):
            comptime if apart < lanes and i & apart == 0:
                var upper, lower = lines[i], lines[i + apart]
                lines[i] = upper.shuffle[mask=exchanged[lanes, apart](0)](lower)
                lines[i + apart] = upper.shuffle[mask=exchanged[lanes, apart](apart)](lower)


def exchanged[lanes: Int, apart: Int](first: Int) -> IndexList[lanes]:
    """Columns of two lines: those with the bit `apart` as `first` has it, of both by turns."""
    var mask = IndexList[lanes]()
    for c in range(lanes):
        var column = c & ~apart | first
        mask[c] = column + lanes if c & apart else column
    return mask
