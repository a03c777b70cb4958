"""What a CPU multiplies beside float32, again and again, touching no memory: bfloat16 and 8 bits.

Two kinds of unit do it. Vectors of 512 bits add two products of bfloat16 to each float32
(VDPBF16PS), or four of 8 bits to each int32 (VPDPBUSD). Tiles of 16 rows by 64 bytes, of which AMX
has eight, add a product of two of them to a third, 32 or 64 deep (TDPBF16PS, TDPBSSD).
"""

import extensibility
from extensibility import InputTensor, OutputTensor
from std.atomic import Atomic
from std.memory import alloc
from std.sys._assembly import inlined_assembly
from std.sys.info import CompilationTarget
from std.sys.intrinsics import llvm_intrinsic

from max.algorithm import sync_parallelize

comptime DOTS_BF16 = 1
comptime DOTS_INT8 = 2
comptime TILES_BF16 = 3
comptime TILES_INT8 = 4
"""The units, as bench/worker/units.py numbers them."""

comptime CHAINS = 24
"""Vectors of sums that grow at the same time: two begin in a cycle, and each takes 4 to 6."""

comptime TILES = 6
"""Tiles of sums: one product begins in 16 cycles, and each takes 52. Two more hold the factors."""

comptime ROWS = 16
comptime ROW_BYTES = 64


@extensibility.register("unit_products")
struct UnitProducts:
    """Adds products of ones in parts that the workers take until none is left, as kernels/peak.mojo
    does.
    """

    @staticmethod
    def execute[
        target: StaticString
    ](
        done: OutputTensor[dtype=DType.float64, rank=1, ...],
        ones: InputTensor[dtype=DType.uint8, rank=2, ...],
        amount: InputTensor[dtype=DType.int64, rank=1, ...],
        unit: InputTensor[dtype=DType.int64, rank=1, ...],
    ) raises:
        """Count the multiply-adds.

        Who calls it has to know that the CPU has the unit, and for tiles has asked the kernel.

        Args:
            done: `[workers]`, what each has counted.
            ones: `[2, 1024]`, the bytes of a tile of ones in bfloat16, and in 8 bits.
            amount: `[2]`, parts, and instructions of each chain in a part.
            unit: `[1]`, which unit.
        """
        if ones.dim_size(0) != 2 or ones.dim_size(1) != ROWS * ROW_BYTES:
            raise Error("unit_products: the ones fill no tile")
        if amount.dim_size(0) != 2 or unit.dim_size(0) != 1:
            raise Error("unit_products: amount is two numbers, and the unit one")
        var asked = Int(unit.unsafe_ptr().unsafe_load(0))
        comptime for one in [DOTS_BF16, DOTS_INT8, TILES_BF16, TILES_INT8]:
            comptime if has[one]():
                if asked == one:
                    multiply[one](done, ones, amount)
                    return
        raise Error("unit_products: it is not compiled for this unit")


def has[unit: Int]() -> Bool:
    """Whether the target's compiler knows the unit's instructions."""
    comptime if unit == DOTS_BF16:
        return CompilationTarget._has_feature["avx512bf16"]()
    elif unit == DOTS_INT8:
        return CompilationTarget._has_feature["avx512vnni"]()
    else:
        return CompilationTarget.is_x86()  # written as assembly


def multiply[
    unit: Int
](
    done: OutputTensor[dtype=DType.float64, rank=1, ...],
    ones: InputTensor[dtype=DType.uint8, rank=2, ...],
    amount: InputTensor[dtype=DType.int64, rank=1, ...],
):
    """All parts, on as many workers as `done` has room for."""
    var bf16 = ones.unsafe_ptr()
    var int8 = bf16.unsafe_offset(ROWS * ROW_BYTES)
    var parts = Int(amount.unsafe_ptr().unsafe_load(0))
    var steps = Int(amount.unsafe_ptr().unsafe_load(1))
    var to = done.unsafe_ptr()
    var taken = Atomic[Int64](0)

    def work(worker: Int) {mut}:
        var counted = Float64(0)
        while Int(taken.fetch_add(1)) < parts:
            # 0, but only arithmetic tells: a call whose arguments never change may be made once.
            var start = Int32(counted - counted)
            comptime if unit == DOTS_BF16:
                counted += dots_bf16(bf16.bitcast[BFloat16]().unsafe_load[width=32](0), start, steps)
            elif unit == DOTS_INT8:
                counted += dots_int8(int8.bitcast[Int8]().unsafe_load[width=64](0), start, steps)
            elif unit == TILES_BF16:
                counted += tiles[DType.float32](bf16, steps)
            else:
                counted += tiles[DType.int32](int8, steps)
        to.unsafe_store(worker, counted)

    sync_parallelize(work, done.dim_size(0))


@no_inline
def dots_bf16(x: SIMD[DType.bfloat16, 32], start: Int32, steps: Int) -> Float64:
    """The sum of all lanes of all chains, which begin at `start`, after so many steps."""
    comptime Sums = SIMD[DType.float32, 16]
    var sums = Array[Sums, CHAINS](fill=Sums(Float32(start)))
    for _ in range(steps):
        comptime for chain in range(CHAINS):
            sums[chain] = llvm_intrinsic["llvm.x86.avx512bf16.dpbf16ps.512", Sums](
                sums[chain], x, x
            )
    var total = SIMD[DType.float64, 16](0)
    comptime for chain in range(CHAINS):
        total += sums[chain].cast[DType.float64]()
    return total.reduce_add()


@no_inline
def dots_int8(x: SIMD[DType.int8, 64], start: Int32, steps: Int) -> Float64:
    """The same of 8 bits, four for each lane of the sums."""
    comptime Sums = SIMD[DType.int32, 16]
    var sums = Array[Sums, CHAINS](fill=Sums(start))
    for _ in range(steps):
        comptime for chain in range(CHAINS):
            sums[chain] = llvm_intrinsic["llvm.x86.avx512.vpdpbusd.512", Sums](sums[chain], x, x)
    var total = SIMD[DType.float64, 16](0)
    comptime for chain in range(CHAINS):
        total += sums[chain].cast[DType.float64]()
    return total.reduce_add()


@no_inline
def tiles[dtype: DType](ones: Pointer[UInt8, _], steps: Int) -> Float64:
    """The sum of all elements of the tiles of sums, of `dtype`, after so many products of ones.

    Every thread configures its tiles, and gives them back, or each switch to another thread would
    save them.
    """
    var config = alloc[UInt8](ROW_BYTES, alignment=ROW_BYTES)
    for i in range(ROW_BYTES):
        config.unsafe_store(i, 0)
    config.unsafe_store(0, 1)  # the palette of eight tiles
    for tile in range(8):
        config.unsafe_store(16 + 2 * tile, ROW_BYTES)
        config.unsafe_store(48 + tile, ROWS)
    configure(config)
    at["tileloadd ($0,$1,1), %tmm6"](ones)
    at["tileloadd ($0,$1,1), %tmm7"](ones)
    run["tilezero %tmm0\n\ttilezero %tmm1\n\ttilezero %tmm2"]()
    run["tilezero %tmm3\n\ttilezero %tmm4\n\ttilezero %tmm5"]()
    for _ in range(steps):
        comptime if dtype == DType.float32:
            run[
                "tdpbf16ps %tmm7, %tmm6, %tmm0\n\ttdpbf16ps %tmm7, %tmm6, %tmm1\n\t"
                "tdpbf16ps %tmm7, %tmm6, %tmm2\n\ttdpbf16ps %tmm7, %tmm6, %tmm3\n\t"
                "tdpbf16ps %tmm7, %tmm6, %tmm4\n\ttdpbf16ps %tmm7, %tmm6, %tmm5"
            ]()
        else:
            run[
                "tdpbssd %tmm7, %tmm6, %tmm0\n\ttdpbssd %tmm7, %tmm6, %tmm1\n\t"
                "tdpbssd %tmm7, %tmm6, %tmm2\n\ttdpbssd %tmm7, %tmm6, %tmm3\n\t"
                "tdpbssd %tmm7, %tmm6, %tmm4\n\ttdpbssd %tmm7, %tmm6, %tmm5"
            ]()
    comptime SIZE = ROWS * ROW_BYTES // 4
    var sums = alloc[Scalar[dtype]](TILES * SIZE, alignment=ROW_BYTES)
    at["tilestored %tmm0, ($0,$1,1)"](sums)
    at["tilestored %tmm1, ($0,$1,1)"](sums.unsafe_offset(SIZE))
    at["tilestored %tmm2, ($0,$1,1)"](sums.unsafe_offset(2 * SIZE))
    at["tilestored %tmm3, ($0,$1,1)"](sums.unsafe_offset(3 * SIZE))
    at["tilestored %tmm4, ($0,$1,1)"](sums.unsafe_offset(4 * SIZE))
    at["tilestored %tmm5, ($0,$1,1)"](sums.unsafe_offset(5 * SIZE))
    run["tilerelease"]()
    var total = Float64(0)
    for i in range(TILES * SIZE):
        total += sums.unsafe_load(i).cast[DType.float64]()
    sums.unsafe_free()
    config.unsafe_free()
    return total


@always_inline
def configure(config: Pointer[UInt8, _]):
    """Set the sizes of this thread's tiles."""
    inlined_assembly[
        "ldtilecfg ($0)", NoneType, constraints="r,~{memory}", has_side_effect=True
    ](config)


@always_inline
def at[text: StaticString](place: Pointer[_, _]):
    """An instruction that moves a tile whose rows lie one after the other."""
    inlined_assembly[text, NoneType, constraints="r,r,~{memory}", has_side_effect=True](
        place, ROW_BYTES
    )


@always_inline
def run[text: StaticString]():
    """Instructions between tiles."""
    inlined_assembly[text, NoneType, constraints="", has_side_effect=True]()
