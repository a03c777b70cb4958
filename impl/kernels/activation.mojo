"""What the MLP bends its values by; `NUMBERS` of impl/mojo_program.py has the numbers."""

from std.math import erf, exp, tanh

comptime NONE = 0
comptime GELU_TANH = 1
comptime GELU_FAST = 2
comptime GELU = 3
comptime GELU_QUICK = 4
comptime RELU = 5
comptime SILU = 6
comptime TANH = 7

comptime CUBE = 0.044715
comptime SLOPE = 0.7978845608028654
"""sqrt(2/pi); the ten digits of `GELU_FAST` are the same number in float32."""


@always_inline
def bent[kind: Int, width: Int](x: SIMD[DType.float32, width]) -> SIMD[DType.float32, width]:
    """The activation of that number."""
    comptime if kind == GELU_TANH or kind == GELU_FAST:
        return 0.5 * x * (1 + tanh(SLOPE * (x + CUBE * x * x * x)))
    elif kind == GELU:
        return 0.5 * x * (1 + erf(x * 0.7071067811865476))
    elif kind == GELU_QUICK:
        return x / (1 + exp(-1.702 * x))
    elif kind == RELU:
        return max(x, 0)
    elif kind == SILU:
        return x / (1 + exp(-x))
    elif kind == TANH:
        return tanh(x)
    else:
        return x
