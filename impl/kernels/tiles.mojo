"""Products of bfloat16 in tiles, by AMX or by its rules, and float32 out of six of them.

A tile product adds `[16, 32]` by `[32, 16]` bfloat16 to `[16, 16]` float32. For each result the 16
even and the 16 odd steps of the depth make a chain of FMAs each; the two are added up, and their
sum to the result. Numbers below 2^-126 count as zero everywhere. `TDPBF16PS` of AMX does it in one
instruction, 16 times as many multiply-adds a cycle as two FMAs of 16 lanes do; `emulated_products`
does the same in vectors, on any CPU and bit for bit, and is what tests compare.

Float32 is the sum of three bfloat16 terms, each the nearest to what is left of the number. Of the
nine products of two such sums six are taken (`ONE` and `CORRECTIONS`); the other three are below
float32's rounding.
The leading products and the five corrections are added up apart over the whole depth, and then one
to the other: small numbers meet small ones first, so that the result is nearer to the exact one
than any chain of float32 FMAs is (NOTES.md has a table; verify/truth/matrix_units.py is the model).

Layouts, in words of two bfloat16, the even step below:

    activations   [terms, 32 rows, pitch]: row by row, a tile's rows a pitch apart
    weights       [terms, pairs of steps, 32 columns]: as pairs.mojo has them
    sums          [leading and corrections, 32 rows, 32 columns] of float32

A row whose numbers are not finite, or so large or small that three terms cannot hold them, cannot
be computed so: `split_row` says which, and its last word keeps it. Linear computes them by FMAs.
"""

from std.math import iota
from std.memory import bitcast
from std.sys._assembly import inlined_assembly
from std.sys.info import CompilationTarget

from .pairs import Pairs, bfloat16_bits, even, flushed, odd
from .tile import F32, Floats, W, floats, product_and

comptime HAS_TILES = CompilationTarget._has_feature["amx-bf16"]()
"""Whether the CPU that this is compiled for has the instructions."""

comptime TILE_ROWS = 16
comptime TILE_STEPS = 32
comptime BLOCK_ROWS = 2 * TILE_ROWS
"""Two tiles of activations and two of weights: four products for four loads."""

comptime COLUMNS = 2 * W

comptime Words32 = SIMD[DType.uint32, W]

comptime TERMS = 3

comptime ONE: List[Tuple[Int, Int]] = [(0, 0)]
"""Terms of activations and of weights that are multiplied."""

comptime CORRECTIONS: List[Tuple[Int, Int]] = [(0, 2), (1, 1), (2, 0), (0, 1), (1, 0)]
"""The smallest products first."""

comptime LARGEST = Float32(2.0**55)
comptime SMALLEST = Float32(2.0**-50)
"""A row's largest number lies between them, or is zero, if its terms are to hold it. Of two such
rows the products and their sums stay finite, and corrections, 2^-16 of a product, above 2^-126."""


def pitch(depth: Int) -> Int:
    """Words from a row to the next: whole tiles, and a cache line that keeps rows that are a power
    of 2 apart from sharing a set of the cache. Its last word is the row's mark."""
    return whole_steps(depth) // 2 + W


def split_row[terms: Int](x: Floats, depth: Int, words: Int, to: Pairs, apart: Int) -> Bool:
    """One row's terms, `words` of each, zeros behind the depth; `apart` lie between two terms.

    Returns whether the terms hold the row, which its mark says too. One term always does: it is the
    row rounded to bfloat16.
    """
    var largest = F32(0)
    var strange = SIMD[DType.bool, W](fill=False)
    var halves = Pointer[UInt16, MutUntrackedOrigin](unsafe_from_address=Int(to))
    for k in range(0, (words - W) * 2, W):
        var left = load_some(x, k, depth)
        largest = max(largest, abs(left))
        strange |= (bitcast[DType.uint32, W](left) & 0x7F800000).eq(0x7F800000)
        comptime for term in range(terms):
            var bits = bfloat16_bits(left)
            halves.unsafe_store(term * 2 * apart + k, bits.cast[DType.uint16]())
            left -= bitcast[DType.float32, W](bits << 16)
    var most = largest.reduce_max()
    var held = not strange.reduce_or() and (most == 0 or SMALLEST <= most <= LARGEST)
    comptime if terms == 1:
        held = True
    to.unsafe_store(words - 1, UInt32(0 if held else 1))
    return held


@always_inline
def load_some(x: Floats, start: Int, end: Int) -> F32:
    """16 numbers from `start` on, zeros from `end` on."""
    if start + W <= end:
        return x.unsafe_load[width=W](start)
    var found = F32(0)
    for i in range(end - start):
        found[i] = x.unsafe_load(start + i)
    return found


def split_weights[terms: Int](wide: Floats, steps: Int, to: Pairs, apart: Int):
    """Float32 weights `[steps, 32]` as terms of pairs, zeros up to whole tiles."""
    for k in range(0, whole_steps(steps), 2):
        comptime for half in range(2):
            var place = k * COLUMNS + half * W
            var first, second = F32(0), F32(0)
            if k < steps:
                first = wide.unsafe_load[width=W](place)
            if k + 1 < steps:
                second = wide.unsafe_load[width=W](place + COLUMNS)
            comptime for term in range(terms):
                var lower, upper = bfloat16_bits(first), bfloat16_bits(second)
                to.unsafe_store(term * apart + k * W + half * W, lower | upper << 16)
                first -= bitcast[DType.float32, W](lower << 16)
                second -= bitcast[DType.float32, W](upper << 16)


def held_by_terms(x: Floats, steps: Int, columns: Int = COLUMNS) -> Bool:
    """Whether three terms hold the first `columns` of `[steps, 32]` numbers: see `split_row`."""
    var largest = F32(0)
    var strange = SIMD[DType.bool, W](fill=False)
    for k in range(0, steps * COLUMNS, W):
        var lanes = iota[DType.int32, W](Int32(k % COLUMNS))
        var some = lanes.lt(Int32(columns)).select(x.unsafe_load[width=W](k), F32(0))
        largest = max(largest, abs(some))
        strange |= (bitcast[DType.uint32, W](some) & 0x7F800000).eq(0x7F800000)
    var most = largest.reduce_max()
    return not strange.reduce_or() and (most == 0 or SMALLEST <= most <= LARGEST)


struct Split(Movable):
    """The terms of up to 32 rows."""

    var terms: Floats  # [terms, 32, pitch]
    var depth: Int
    var held: Bool

    def __init__(out self, x: Floats, rows: Int, apart: Int, depth: Int):
        """Of rows of `depth` numbers, so far apart; zeros after the last."""
        var size = BLOCK_ROWS * pitch(depth)
        self.terms = floats(TERMS * size)
        self.depth, self.held = depth, True
        for i in range(BLOCK_ROWS):
            var to = Pairs(unsafe_from_address=Int(self.terms.unsafe_offset(i * pitch(depth))))
            var from_ = x.unsafe_offset(i * apart if i < rows else 0)
            var count = depth if i < rows else 0
            var held = split_row[TERMS](from_, count, pitch(depth), to, size)
            self.held = self.held and held

    def free(self):
        self.terms.unsafe_free()


struct Product[real: Bool](Movable):
    """Float32 products of up to 32 rows with 32 columns, by six of bfloat16."""

    var sums: Floats  # [leading and corrections, 32, 32]
    var strip: Floats  # [terms, steps / 2, 32]
    var begun: Bool

    def __init__(out self, most_steps: Int):
        self.sums = floats(2 * BLOCK_ROWS * COLUMNS)
        self.strip = floats(TERMS * whole_steps(most_steps) // 2 * COLUMNS)
        self.begun = False

    def add(mut self, a: Split, start: Int, b: Floats, steps: Int):
        """Add steps `start` to `start + steps` of the rows, times `[steps, 32]`."""
        var terms = Pairs(unsafe_from_address=Int(self.strip))
        var apart = whole_steps(steps) // 2 * COLUMNS
        split_weights[TERMS](b, steps, terms, apart)
        var rows = Pairs(unsafe_from_address=Int(a.terms.unsafe_offset(start // 2)))
        var words = pitch(a.depth)
        add_tiles[ONE, Self.real](
            rows, words, BLOCK_ROWS * words, terms, apart, steps, self.sums, self.begun
        )
        add_tiles[CORRECTIONS, Self.real](
            rows, words, BLOCK_ROWS * words, terms, apart, steps,
            self.sums.unsafe_offset(BLOCK_ROWS * COLUMNS), self.begun,
        )
        self.begun = True

    def end(mut self, to: Floats, apart: Int, columns: Int):
        """The result's rows, so far apart, of 16 or 32 columns."""
        for i in range(BLOCK_ROWS):
            for c in range(0, columns, W):
                var sum = self.sums.unsafe_load[width=W](i * COLUMNS + c)
                sum += self.sums.unsafe_load[width=W]((BLOCK_ROWS + i) * COLUMNS + c)
                to.unsafe_store(i * apart + c, sum)
        self.begun = False

    def free(self):
        self.sums.unsafe_free()
        self.strip.unsafe_free()


def whole_steps(steps: Int) -> Int:
    """Up to whole tiles."""
    return (steps + TILE_STEPS - 1) // TILE_STEPS * TILE_STEPS


def add_tiles[
    products: List[Tuple[Int, Int]], real: Bool
](
    a: Pairs, a_pitch: Int, a_apart: Int, b: Pairs, b_apart: Int, steps: Int, sums: Floats,
    more: Bool,
):
    """Add products of terms of 32 rows and 32 columns to `sums`, or begin them.

    Args:
        a: activations, `a_pitch` words from row to row, `a_apart` from term to term.
        b: weights, `b_apart` words from term to term.
        steps: of the depth; zeros up to whole tiles of them are there.
        sums: float32 `[32, 32]`.
        more: whether sums were begun before.
    """
    comptime if real:
        begin_sums(sums, more)
        for k in range(0, steps, TILE_STEPS):
            comptime for i in range(len(products)):
                comptime left, right = products[i][0], products[i][1]
                add_four(
                    a.unsafe_offset(left * a_apart + k // 2),
                    a_pitch,
                    b.unsafe_offset(right * b_apart + k * W),
                )
        end_sums(sums)
    else:
        if not more:
            for i in range(BLOCK_ROWS * COLUMNS):
                sums.unsafe_store(i, Float32(0))
        for k in range(0, steps, TILE_STEPS):
            comptime for i in range(len(products)):
                comptime left, right = products[i][0], products[i][1]
                emulated_products(
                    a.unsafe_offset(left * a_apart + k // 2),
                    a_pitch,
                    b.unsafe_offset(right * b_apart + k * W),
                    sums,
                )


def emulated_products(a: Pairs, a_pitch: Int, b: Pairs, sums: Floats):
    """Four tile products in vectors: 32 rows and 32 columns, two rows at a time."""
    comptime R = 2
    for row in range(0, BLOCK_ROWS, R):
        var evens = Array[F32, 2 * R](fill=F32(0))
        var odds = Array[F32, 2 * R](fill=F32(0))
        for k in range(TILE_STEPS // 2):
            comptime for half in range(2):
                var y = b.unsafe_load[width=W](k * COLUMNS + half * W)
                var even_y, odd_y = even(y), odd(y)
                comptime for i in range(R):
                    var x = Words32(a.unsafe_load((row + i) * a_pitch + k))
                    comptime place = 2 * i + half
                    evens[place] = flushed(product_and(even(x), even_y, evens[place]))
                    odds[place] = flushed(product_and(odd(x), odd_y, odds[place]))
        comptime for i in range(R):
            comptime for half in range(2):
                var to = sums.unsafe_offset((row + i) * COLUMNS + half * W)
                var sum = flushed(evens[2 * i + half] + odds[2 * i + half])
                to.unsafe_store(0, flushed(flushed(to.unsafe_load[width=W](0)) + sum))


# The instructions. Tiles 0 to 3 hold sums, 4 and 5 activations, 6 and 7 weights.


def configure_tiles():
    """Eight tiles of 16 rows of 64 bytes, for this thread; its process was given leave before."""
    var config = Array[UInt8, 64](fill=UInt8(0))
    config[0] = 1  # the palette that has eight tiles
    comptime for tile in range(8):
        config[16 + 2 * tile] = 64  # bytes of a row
        config[48 + tile] = TILE_ROWS
    inlined_assembly[
        "ldtilecfg ($0)", NoneType, constraints="r,~{memory}", has_side_effect=True
    ](Pointer(to=config))


def release_tiles():
    """Else every switch to another thread would save them."""
    inlined_assembly["tilerelease", NoneType, constraints="~{memory}", has_side_effect=True]()


@always_inline
def begin_sums(sums: Floats, more: Bool):
    """Tiles 0 to 3 from memory, or zero."""
    if more:
        inlined_assembly[
            (
                "tileloadd ($0,$2,1), %tmm0\n\ttileloadd 64($0,$2,1), %tmm1\n\t"
                "tileloadd ($1,$2,1), %tmm2\n\ttileloadd 64($1,$2,1), %tmm3"
            ),
            NoneType, constraints="r,r,r,~{memory}", has_side_effect=True,
        ](sums, sums.unsafe_offset(TILE_ROWS * COLUMNS), Int(4 * COLUMNS))
    else:
        inlined_assembly[
            "tilezero %tmm0\n\ttilezero %tmm1\n\ttilezero %tmm2\n\ttilezero %tmm3",
            NoneType, constraints="~{memory}", has_side_effect=True,
        ]()


@always_inline
def end_sums(sums: Floats):
    """Tiles 0 to 3 to memory."""
    inlined_assembly[
        (
            "tilestored %tmm0, ($0,$2,1)\n\ttilestored %tmm1, 64($0,$2,1)\n\t"
            "tilestored %tmm2, ($1,$2,1)\n\ttilestored %tmm3, 64($1,$2,1)"
        ),
        NoneType, constraints="r,r,r,~{memory}", has_side_effect=True,
    ](sums, sums.unsafe_offset(TILE_ROWS * COLUMNS), Int(4 * COLUMNS))


@always_inline
def add_four(a: Pairs, a_pitch: Int, b: Pairs):
    """Two tiles of activations by two of weights, added to tiles 0 to 3."""
    inlined_assembly[
        (
            "tileloadd ($0,$2,1), %tmm4\n\ttileloadd ($3,$4,1), %tmm6\n\t"
            "tdpbf16ps %tmm6, %tmm4, %tmm0\n\t"
            "tileloadd 64($3,$4,1), %tmm7\n\ttdpbf16ps %tmm7, %tmm4, %tmm1\n\t"
            "tileloadd ($1,$2,1), %tmm5\n\ttdpbf16ps %tmm6, %tmm5, %tmm2\n\t"
            "tdpbf16ps %tmm7, %tmm5, %tmm3"
        ),
        NoneType, constraints="r,r,r,r,r,~{memory}", has_side_effect=True,
    ](a, a.unsafe_offset(TILE_ROWS * a_pitch), Int(4 * a_pitch), b, Int(4 * COLUMNS))
