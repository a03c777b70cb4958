"""Forms of the kernels: how large a tile is, and how wide a vector, on which kind of CPU.

What lies in memory is the same for all of them, and so is the order of every sum: forms differ in
what they hold in registers at once, and give the same bits. Each can be compiled for every CPU that
has its instructions' meaning, which is every CPU: on one with AVX-512 all of them run, and are
tested there.

    form      registers         tiles up to    of
    AVX512    32 of 16 floats   14 rows        32 columns
    AVX2      16 of 8           6              16, from 3 rows on
    NEON      32 of 4           6              16, from 3 rows on
    PLAIN     16 of 4           2              16, from 2 rows on

Two more multiply bfloat16 in tiles of a matrix unit (tiles.mojo), from two rows on; one row, which
waits for memory, is AVX512's. Their sums have an order of their own: what they give is not what the
others give, and is the same for both of them.

    TILES           AMX's instructions
    TILES_EMULATED   what these do, in vectors: on any CPU, and slow
"""

from std.sys.info import CompilationTarget

comptime AVX512 = 1
comptime AVX2 = 2
comptime NEON = 3
comptime PLAIN = 4
comptime TILES = 5
comptime TILES_EMULATED = 6

comptime FLOATS = 0
"""Products of float32: the activations as they are, and weights widened to it."""

comptime PAIRS = 1
"""Products of bfloat16 by bfloat16, activations rounded to it (pairs.mojo)."""

comptime HAS_FMA = CompilationTarget.has_fma() or CompilationTarget.is_arm()
"""Whether a product is added without being rounded; without it a call of a function would be."""

comptime HAS_AVX512 = CompilationTarget.has_avx512f()


def is_tiled(form: Int) -> Bool:
    """Whether more than one row is multiplied in tiles."""
    return form == TILES or form == TILES_EMULATED


def is_widest(form: Int) -> Bool:
    """Whether vectors are AVX-512's."""
    return form == AVX512 or is_tiled(form)


def lanes(form: Int) -> Int:
    """Floats of a register."""
    return 16 if is_widest(form) else 8 if form == AVX2 else 4


def held(form: Int) -> Int:
    """Vectors of 16 floats that all registers hold."""
    return 32 if is_widest(form) else 4 if form == PLAIN else 8


def vectors_at_once(form: Int, rows: Int) -> Int:
    """Of the two vectors of 16 columns that a panel has: both, where the sums of so many rows, a
    step's weights and a feature fit the registers, and else one after the other."""
    return 2 if rows == 1 or 2 * rows + 3 <= held(form) else 1


def rows_of(form: Int) -> Int:
    """Rows of the largest tile: its sums, the weights and a feature fill the registers."""
    return 14 if is_widest(form) else held(form) - 2


def heights(form: Int) -> List[Int]:
    """Rows that tiles are compiled for; a last tile of fewer is filled up with zeros."""
    if is_widest(form):
        return [1, 2, 4, 6, 8, 11, 14]
    return [1, 2] if form == PLAIN else [1, 2, 4, 6]


def low(form: Int) -> Int:
    """Rows of the largest tile that leaves registers for narrow weights to be widened in."""
    return 8 if is_widest(form) else 1 if form == PLAIN else 2


def in_registers(form: Int) -> Int:
    """The same where half a panel is multiplied at a time. With 16 registers that does not pay."""
    return 14 if is_widest(form) else low(form)
