"""The innermost loop of everything: a tile of rows times a panel of columns.

A panel holds the weights of 16 V neighbouring columns, [depth, 16 V], so that it is read once from
beginning to end. Each sum is a chain of fused multiply-adds in the order of the depth: it does not
depend on how many rows, columns or threads there are, so that a token's result is the same bit for
bit alone, in a batch, in a prompt and in decode (but for tiles of a matrix unit, tiles.mojo).
"""

from std.memory import alloc
from std.sys._assembly import inlined_assembly
from std.sys.intrinsics import PrefetchOptions, prefetch

from .form import HAS_AVX512, HAS_FMA

comptime W = 16
"""Floats in a vector: one cache line, and one register of AVX-512, two of AVX2, four of NEON."""

comptime PREFETCH = PrefetchOptions().for_read().high_locality().to_data_cache()
comptime F32 = SIMD[DType.float32, W]
comptime Floats = Pointer[Float32, MutUntrackedOrigin]


def floats(count: Int) -> Floats:
    """Scratch memory, to be freed by the caller."""
    return Floats(unsafe_from_address=Int(alloc[Float32](count, alignment=64)))


@always_inline
def product_and[
    width: SIMDLength, //
](
    x: SIMD[DType.float32, width], y: SIMD[DType.float32, width], sum: SIMD[DType.float32, width]
) -> SIMD[DType.float32, width]:
    """The sum of x y and a sum: rounded once where the CPU can, else twice."""
    comptime if HAS_FMA:
        return x.fma(y, sum)
    else:
        return x * y + sum


@always_inline
def product_with[
    width: SIMDLength, //, place: Int
](x: Floats, y: SIMD[DType.float32, width], sum: SIMD[DType.float32, width]) -> SIMD[
    DType.float32, width
]:
    """As `product_and`, of the number at x[place] in every lane.

    AVX-512 takes that number from memory in the multiplication itself. A compiler loads it once for
    two products, into a register; a core has so few of those that it runs less far ahead. (Four
    steps of 28-bit weights by 8 rows took 71 cycles in place of 79 on a Zen 4, where 64 are the
    least.)
    """
    comptime if HAS_AVX512 and width == W:
        return inlined_assembly[
            "vfmadd231ps ${4:c}($3){1to16}, $2, $0",
            SIMD[DType.float32, width],
            constraints="=v,0,v,r,i,~{memory}",
            has_side_effect=False,
        ](sum, y, x, Int32(4 * place))
    else:
        return product_and(SIMD[DType.float32, width](x.unsafe_load(place)), y, sum)


struct Tile[R: Int, V: Int](Copyable, Movable):
    """Sums of R rows and V vectors of columns, held in registers."""

    var sums: Array[F32, Self.R * Self.V]

    @always_inline
    def __init__(out self):
        self.sums = Array[F32, Self.R * Self.V](fill=F32(0))

    @always_inline
    def load(mut self, c: Floats, stride: Int):
        """Go on with sums stored before."""
        comptime for i in range(Self.R):
            comptime for v in range(Self.V):
                self.sums[i * Self.V + v] = c.unsafe_load[width=W](i * stride + v * W)

    @always_inline
    def store(self, c: Floats, stride: Int, added: Bool = False):
        """Put the sums there, or add them to what is there."""
        comptime for i in range(Self.R):
            comptime for v in range(Self.V):
                comptime place = i * Self.V + v
                var sum = self.sums[place]
                if added:
                    sum += c.unsafe_load[width=W](i * stride + v * W)
                c.unsafe_store(i * stride + v * W, sum)

    @always_inline
    def multiply[
        dtype: DType, ahead_too: Bool
    ](
        mut self,
        a: Floats,
        a_row: Int,
        a_step: Int,
        b: Pointer[Scalar[dtype], MutUntrackedOrigin],
        b_step: Int,
        depth: Int,
        ahead: Floats,
    ):
        """Add a x b; row i of a is a[i a_row + k a_step], row k of b begins at b[k b_step].

        With `ahead_too` a cache line from `ahead` on is prefetched in each step.
        """
        for k in range(depth):
            comptime if ahead_too:
                prefetch[PREFETCH](ahead.unsafe_offset(k * W))
            var columns = Array[F32, Self.V](fill=F32(0))
            comptime for v in range(Self.V):
                columns[v] = b.unsafe_load[width=W](k * b_step + v * W).cast[DType.float32]()
            comptime for i in range(Self.R):
                var x = F32(a.unsafe_load(i * a_row + k * a_step))
                comptime for v in range(Self.V):
                    comptime place = i * Self.V + v
                    self.sums[place] = product_and(x, columns[v], self.sums[place])
