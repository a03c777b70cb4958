"""Rows of activations: normalised, and laid out for a tile."""

from std.math import sqrt

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


def pack(x: Floats, rows: Int, height: Int, depth: Int, packed: Floats):
    """Rows as [depth, height], the order in which a tile reads them; zeros behind the last."""
    for i in range(rows):
        for k in range(depth):
            packed.unsafe_store(k * height + i, x.unsafe_load(i * depth + k))
    for i in range(rows, height):
        for k in range(depth):
            packed.unsafe_store(k * height + i, Float32(0))
