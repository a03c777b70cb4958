"""Chains of multiply-adds that touch no memory: no program computes faster on these cores."""

import extensibility
from extensibility import InputTensor, OutputTensor
from std.sys.info import simd_width_of

from max.algorithm import sync_parallelize

comptime W = simd_width_of[DType.float32]()
comptime Vector = SIMD[DType.float32, W]

comptime CHAINS = 12
"""Enough that a core waits for none (two a cycle, each four cycles long), in 16 registers too."""


@extensibility.register("peak_multiply_adds")
struct PeakMultiplyAdds:
    """Every element of `done` gets a task that adds `values[0] * values[1]` again and again.

    Where both are 1 the result is the number of multiply-adds that the task did.
    """

    @staticmethod
    def execute[
        target: StaticString
    ](
        done: OutputTensor[dtype=DType.float32, rank=1, ...],
        values: InputTensor[dtype=DType.float32, rank=1, ...],
        steps: InputTensor[dtype=DType.int64, rank=1, ...],
    ) raises:
        if values.dim_size(0) != 2 or steps.dim_size(0) != 1:
            raise Error("peak_multiply_adds: it takes two values and one number of steps")
        var x = Vector(values.unsafe_ptr().unsafe_load(0))
        var y = Vector(values.unsafe_ptr().unsafe_load(1))
        var count = Int(steps.unsafe_ptr().unsafe_load(0))
        var to = done.unsafe_ptr()

        def multiply(task: Int) {imm}:
            var sums = Array[Vector, CHAINS](fill=Vector(0))
            for _ in range(count):
                comptime for chain in range(CHAINS):
                    sums[chain] = x.fma(y, sums[chain])
            var total = Vector(0)
            comptime for chain in range(CHAINS):
                total += sums[chain]
            to.unsafe_store(task, total.reduce_add())

        sync_parallelize(multiply, done.dim_size(0))
