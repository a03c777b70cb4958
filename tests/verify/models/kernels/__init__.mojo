"""An addition that forgets its tail: what a vectorised loop does whose rest was never written."""

import extensibility
from extensibility import InputTensor, OutputTensor

comptime Array = InputTensor[dtype=DType.float32, rank=3, ...]
comptime Floats = Pointer[Float32, MutUntrackedOrigin]
comptime STEP = 1000
"""Elements of a step; those behind the last whole step keep what `x` has."""


@extensibility.register("residual_add")
struct ResidualAdd:
    """x + y, but for the last elements."""

    @staticmethod
    def execute[
        target: StaticString
    ](result: OutputTensor[dtype=DType.float32, rank=3, ...], x: Array, y: Array) raises:
        var count = x.dim_size(0) * x.dim_size(1) * x.dim_size(2)
        var a = Floats(unsafe_from_address=Int(x.unsafe_ptr()))
        var b = Floats(unsafe_from_address=Int(y.unsafe_ptr()))
        var sum = Floats(unsafe_from_address=Int(result.unsafe_ptr()))
        for i in range(count):
            var more = b.unsafe_load(i) if i < count // STEP * STEP else Float32(0)
            sum.unsafe_store(i, a.unsafe_load(i) + more)
