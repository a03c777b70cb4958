"""Chains of multiply-adds that touch no memory: no program computes faster on these cores."""

import extensibility
from extensibility import InputTensor, OutputTensor
from std.atomic import Atomic
from std.sys.info import CompilationTarget, simd_width_of

from max.algorithm import sync_parallelize

comptime F32 = DType.float32

comptime LANES = simd_width_of[F32]()
"""Floats in the widest vector that the target multiplies: 16 (AVX-512), 8 (AVX2) or 4 (NEON)."""

comptime REGISTERS = 32 if CompilationTarget.has_avx512f() or CompilationTarget.has_neon() else 16
"""Vectors that a core can hold."""

comptime CHAINS = 24 if REGISTERS == 32 else 12
"""Sums that grow at the same time, so that a core waits for none of them.

Each takes 4 or 5 cycles, two begin in a cycle on x86 and up to four on ARM: 8 to 20 are needed. Two
more registers hold the factors.
"""


@extensibility.register("peak_multiply_adds")
struct PeakMultiplyAdds:
    """Adds one product again and again, in parts that the workers take until none is left.

    A core that is slower, or held up, leaves parts to the others. The factors come from memory, so
    that the compiler knows neither them nor their product, and takes whole vectors of both. Where
    all of them are 1 each part counts its own multiply-adds.
    """

    @staticmethod
    def execute[
        target: StaticString
    ](
        done: OutputTensor[dtype=DType.float64, rank=1, ...],
        form: OutputTensor[dtype=DType.int64, rank=1, ...],
        factors: InputTensor[dtype=F32, rank=2, ...],
        amount: InputTensor[dtype=DType.int64, rank=1, ...],
        asked: InputTensor[dtype=DType.int64, rank=1, ...],
    ) raises:
        """Count the multiply-adds.

        Args:
            done: `[workers]`, what each has counted.
            form: `[2]`, lanes of a vector and chains, as they were taken.
            factors: `[2, LANES or more]`.
            amount: `[2]`, parts, and multiply-adds of each chain in a part.
            asked: `[2]`, lanes and chains; 0 for what suits the target.
        """
        if factors.dim_size(0) != 2 or factors.dim_size(1) < LANES:
            raise Error("peak_multiply_adds: a factor does not fill a vector")
        if amount.dim_size(0) != 2 or asked.dim_size(0) != 2 or form.dim_size(0) != 2:
            raise Error("peak_multiply_adds: amount, form and what is asked for are two numbers")
        var lanes = Int(asked.unsafe_ptr().unsafe_load(0))
        var chains = Int(asked.unsafe_ptr().unsafe_load(1))
        lanes = LANES if lanes == 0 else lanes
        chains = CHAINS if chains == 0 else chains
        form.unsafe_ptr().unsafe_store(0, Int64(lanes))
        form.unsafe_ptr().unsafe_store(1, Int64(chains))
        comptime for l in [LANES, LANES // 2]:
            comptime for c in [1, 12, 24]:
                comptime if c + 2 <= REGISTERS:
                    if lanes == l and chains == c:
                        multiply[l, c](done, factors, amount)
                        return
        raise Error("peak_multiply_adds: it is not compiled for so many lanes and chains")


def multiply[
    lanes: Int, chains: Int
](
    done: OutputTensor[dtype=DType.float64, rank=1, ...],
    factors: InputTensor[dtype=F32, rank=2, ...],
    amount: InputTensor[dtype=DType.int64, rank=1, ...],
):
    """All parts, on as many workers as `done` has room for."""
    var x = factors.unsafe_ptr().unsafe_load[width=lanes](0)
    var y = factors.unsafe_ptr().unsafe_load[width=lanes](factors.dim_size(1))
    var parts = Int(amount.unsafe_ptr().unsafe_load(0))
    var steps = Int(amount.unsafe_ptr().unsafe_load(1))
    var to = done.unsafe_ptr()
    var taken = Atomic[Int64](0)

    def work(worker: Int) {mut}:
        var counted = Float64(0)
        while Int(taken.fetch_add(1)) < parts:
            # 0, but only arithmetic tells: a call whose arguments never change may be made once.
            var start = Float32(counted - counted)
            counted += Float64(one_part[lanes, chains](x, y, start, steps))
        to.unsafe_store(worker, counted)

    sync_parallelize(work, done.dim_size(0))


@no_inline
def one_part[
    lanes: Int, chains: Int
](x: SIMD[F32, lanes], y: SIMD[F32, lanes], start: Float32, steps: Int) -> Float32:
    """The sum of all lanes of all chains, which begin at `start`, after so many steps."""
    var sums = Array[SIMD[F32, lanes], chains](fill=SIMD[F32, lanes](start))
    for _ in range(steps):
        comptime for chain in range(chains):
            sums[chain] = x.fma(y, sums[chain])
    var total = SIMD[F32, lanes](0)
    comptime for chain in range(chains):
        total += sums[chain]
    return total.reduce_add()
