"""Multiplies in pairs and tiles of bfloat16; see test_tiles.py.

Reads factors and weights from the folder that it is given, and writes results there: each in every
body that this CPU has, `emulated` always and `real` where its instruction is. Then six products
with each of the faults that NumPy's model names, planted in the emulated body.
"""

from std.ffi import external_call
from std.memory import alloc, bitcast
from std.sys import argv

from kernels.activation import NONE
from kernels.attention import Attention
from kernels.form import AVX512, FLOATS, PAIRS, TILES, TILES_EMULATED
from kernels.linear import Linear
from kernels.narrow import Patches
from kernels.pairs import (
    HAS_PAIRS, Pairs, bfloat16_bits, even, flushed, odd, pair_row, pair_weights, product_of_pairs,
)
from kernels.team import Counters, Worker
from kernels.tile import F32, Floats, W, floats, product_and
from kernels.tiles import (
    BLOCK_ROWS, COLUMNS, CORRECTIONS, HAS_TILES, ONE, TERMS, TILE_ROWS, TILE_STEPS, add_tiles,
    configure_tiles, pitch, release_tiles, split_row, split_weights, whole_steps,
)

comptime ROWS = 40
comptime DEPTH = 320
comptime OUTPUTS = 75
comptime PANELS = 3
comptime STRIP = 256


def folder() -> String:
    return String(argv()[1]) + "/"


def read(name: String) raises -> Int:
    """A file's bytes, at a page's beginning, with room for what is prefetched after them."""
    var file = open(folder() + name, "r")
    var data = file.read_bytes()
    var to = alloc[UInt8](len(data) + 8192, alignment=4096)
    for i in range(len(data)):
        to[i] = data[i]
    return Int(to)


def floats_of(name: String) raises -> Floats:
    return Floats(unsafe_from_address=read(name))


def write(name: String, x: Floats, count: Int) raises:
    var bytes = List[UInt8](capacity=4 * count)
    for i in range(count):
        var bits = bitcast[DType.uint32, 1](x.unsafe_load(i))
        for byte in range(4):
            bytes.append(UInt8(bits >> UInt32(8 * byte) & 0xFF))
    with open(folder() + name, "w") as file:
        file.write_bytes(bytes)


def pairs_at(x: Floats) -> Pairs:
    return Pairs(unsafe_from_address=Int(x))


def one_worker(own: Int) -> Worker:
    var counters = Counters(unsafe_from_address=Int(alloc[Int64](1024, alignment=64)))
    for i in range(1024):
        counters.unsafe_store(i, Int64(0))
    return Worker(counters, 0, 1, floats(own + 64))


def in_pairs[real: Bool](a: Floats, b: Floats) raises -> Floats:
    """`[40, 320]` by `[320, 32]` of bfloat16, by the unit for pairs."""
    var weights = alloc[UInt16](DEPTH * COLUMNS)
    for i in range(DEPTH * COLUMNS):
        weights[i] = bfloat16_bits(b.unsafe_load(i)).cast[DType.uint16]()
    var strip = floats(DEPTH * COLUMNS)
    pair_weights({unsafe_from_address = Int(weights)}, DEPTH, pairs_at(strip))
    var row, y = floats(DEPTH), floats(ROWS * COLUMNS)
    for i in range(ROWS):
        pair_row(a.unsafe_offset(i * DEPTH), DEPTH, row)
        comptime for half in range(2):
            var sum = F32(0)
            for k in range(DEPTH // 2):
                var x = SIMD[DType.uint32, W](pairs_at(row).unsafe_load(k))
                var place = k * COLUMNS + half * W
                sum = product_of_pairs[real=real](x, pairs_at(strip).unsafe_load[width=W](place), sum)
            y.unsafe_store(i * COLUMNS + half * W, sum)
    return y


# Faults: what a product of six is made of, and how one of them goes wrong.

comptime RIGHT = 0
comptime THREE = 1
comptime ALONE = 2
comptime NO_CORRECTIONS = 3
comptime CUT = 4
comptime KEPT = 5
comptime STALE = 6

comptime FIRST_CORRECTIONS: List[Tuple[Int, Int]] = [(0, 1), (1, 0)]


def six[fault: Int, real: Bool = False](a: Floats, b: Floats) -> Floats:
    """`[32, 320]` by `[320, 32]` of float32."""
    var words = pitch(DEPTH)
    var rows, strip = floats(TERMS * BLOCK_ROWS * words), floats(TERMS * STRIP * COLUMNS)
    var sums, y = floats(2 * BLOCK_ROWS * COLUMNS), floats(BLOCK_ROWS * COLUMNS)
    for i in range(BLOCK_ROWS):
        var to, apart = pairs_at(rows.unsafe_offset(i * words)), BLOCK_ROWS * words
        _ = split_row[TERMS](a.unsafe_offset(i * DEPTH), DEPTH, words, to, apart)
        comptime if fault == CUT:
            cut_first_term(a.unsafe_offset(i * DEPTH), to, apart)
    for start in range(0, DEPTH, STRIP):
        var steps = min(STRIP, DEPTH - start)
        var apart = whole_steps(steps) // 2 * COLUMNS
        split_weights[TERMS](b.unsafe_offset(start * COLUMNS), steps, pairs_at(strip), apart)
        var left, right = pairs_at(rows.unsafe_offset(start // 2)), pairs_at(strip)
        var corrections = sums.unsafe_offset(BLOCK_ROWS * COLUMNS)
        var more = start > 0
        comptime if fault == KEPT:
            kept_tiles[ONE](left, words, right, apart, steps, sums, more)
            kept_tiles[CORRECTIONS](left, words, right, apart, steps, corrections, more)
            continue
        add_tiles[ONE, real](left, words, BLOCK_ROWS * words, right, apart, steps, sums, more)
        var skipped = fault == ALONE or fault == NO_CORRECTIONS and start > 0
        var corrected = 0 if skipped else steps
        comptime if fault == THREE:
            add_tiles[FIRST_CORRECTIONS, real](
                left, words, BLOCK_ROWS * words, right, apart, corrected, corrections, more
            )
        else:
            add_tiles[CORRECTIONS, real](
                left, words, BLOCK_ROWS * words, right, apart, corrected, corrections, more
            )
    for i in range(0, BLOCK_ROWS * COLUMNS, W):
        var sum = sums.unsafe_load[width=W](i)
        sum += sums.unsafe_load[width=W](BLOCK_ROWS * COLUMNS + i)
        y.unsafe_store(i, sum)
    comptime if fault == STALE:  # as a configuration of 9 rows leaves the others
        for i in range(BLOCK_ROWS):
            if i % TILE_ROWS >= 9:
                for c in range(COLUMNS):
                    y.unsafe_store(i * COLUMNS + c, Float32(0))
    return y


def cut_first_term(x: Floats, to: Pairs, apart: Int):
    """As `split_row`, the first term cut off in place of being rounded."""
    var halves = Pointer[UInt16, MutUntrackedOrigin](unsafe_from_address=Int(to))
    for k in range(DEPTH):
        var left = x.unsafe_load(k)
        comptime for term in range(TERMS):
            var bits = bfloat16_bits(left)
            comptime if term == 0:
                bits = bitcast[DType.uint32, 1](left) >> 16
            halves.unsafe_store(term * 2 * apart + k, bits.cast[DType.uint16]())
            left -= bitcast[DType.float32, 1](bits << 16)


def kept_tiles[
    products: List[Tuple[Int, Int]]
](a: Pairs, words: Int, b: Pairs, apart: Int, steps: Int, sums: Floats, more: Bool):
    """As `add_tiles`, but numbers below 2^-126 count."""
    for row in range(BLOCK_ROWS):
        for half in range(2):
            var to = sums.unsafe_offset(row * COLUMNS + half * W)
            if not more:
                to.unsafe_store(0, F32(0))
            for k in range(0, steps, TILE_STEPS):
                comptime for i in range(len(products)):
                    comptime left, right = products[i][0], products[i][1]
                    var even_sum, odd_sum = F32(0), F32(0)
                    for pair in range(k // 2, (k + TILE_STEPS) // 2):
                        var from_ = left * BLOCK_ROWS * words + row * words + pair
                        var x = SIMD[DType.uint32, W](a.unsafe_load(from_))
                        var y = b.unsafe_load[width=W](right * apart + pair * COLUMNS + half * W)
                        even_sum = product_and(number(x << 16), number(y << 16), even_sum)
                        odd_sum = product_and(
                            number(x & 0xFFFF0000), number(y & 0xFFFF0000), odd_sum
                        )
                    to.unsafe_store(0, to.unsafe_load[width=W](0) + (even_sum + odd_sum))


def number(bits: SIMD[DType.uint32, W]) -> F32:
    return bitcast[DType.float32, W](bits)


def layer[dtype: DType, form: Int, unit: Int](x: Floats, weights: String, rows: Int) raises -> Floats:
    """A linear layer of the kernels, whose packed weights have this name: `[rows, 75]`."""
    var y, patches = floats(rows * OUTPUTS), read(weights + ".patches")
    var zeros = floats(OUTPUTS)
    for i in range(OUTPUTS):
        zeros.unsafe_store(i, Float32(0))
    var linear = Linear[dtype, False, NONE, False, form, unit](
        x, x, x, Float32(0), {unsafe_from_address = read(weights + ".words")},
        floats_of(weights + ".scale"),
        Patches(
            {unsafe_from_address = patches}, {unsafe_from_address = patches + 4 * (PANELS + 1)}
        ),
        zeros, x, y, rows, DEPTH, OUTPUTS,
    )
    var worker = one_worker(linear.own())
    linear.walk(worker, floats(linear.scratch() + 64))
    return y


def layers[form: Int](body: String) raises:
    """What the layers of a body give: six products, one, and rows that no terms hold."""
    var x, count = floats_of("a"), ROWS * OUTPUTS
    write("six." + body, layer[DType.float32, form, FLOATS](x, "float32", ROWS), count)
    write("six-narrow." + body, layer[DType.uint32, form, FLOATS](x, "narrow-float32", ROWS), count)
    write("one." + body, layer[DType.bfloat16, form, PAIRS](x, "bfloat16", ROWS), count)
    write("one-narrow." + body, layer[DType.uint16, form, PAIRS](x, "narrow-bfloat16", ROWS), count)
    write("three-rows." + body, layer[DType.float32, form, FLOATS](x, "float32", 3), 3 * OUTPUTS)
    var strange = floats_of("strange")
    write("strange." + body, layer[DType.float32, form, FLOATS](strange, "float32", ROWS), count)


def main() raises:
    var a, b = floats_of("a"), floats_of("b")
    write("pairs.emulated", in_pairs[False](a, b), ROWS * COLUMNS)
    comptime if HAS_PAIRS:
        write("pairs.real", in_pairs[True](a, b), ROWS * COLUMNS)
    layers[TILES_EMULATED]("emulated")
    write("float32.vectors", layer[DType.float32, AVX512, FLOATS](a, "float32", ROWS), ROWS * OUTPUTS)
    write("pairs.vectors", layer[DType.bfloat16, AVX512, PAIRS](a, "bfloat16", ROWS), ROWS * OUTPUTS)
    write("strange.vectors", layer[DType.float32, AVX512, FLOATS](
        floats_of("strange"), "float32", ROWS
    ), ROWS * OUTPUTS)
    var small, small_b = floats_of("small"), floats_of("small_b")
    comptime for fault in range(STALE + 1):
        write("fault." + String(fault), six[fault](small, small_b), BLOCK_ROWS * COLUMNS)
    comptime if HAS_TILES:
        # Linux gives leave once a process, as impl/choosing/tiles.py asks for it.
        if external_call["syscall", Int](158, 0x1023, 18) == 0:
            configure_tiles()
            layers[TILES]("real")
            write("fault.real", six[RIGHT, True](small, small_b), BLOCK_ROWS * COLUMNS)
            release_tiles()
