"""Linear layers: y = act(norm(x) w + bias) + residual, over packed weights.

Weights lie as [panels, depth, 32]: panel p holds output features 32 p to 32 p + 31, padded with
zeros behind the last, so that each is one stream of memory. One kernel serves decode, where that
stream is the cost, and prefill, where the multiply-adds are.
"""

from std.math import ceildiv, tanh
from std.memory import alloc

from max.algorithm import sync_parallelize
from std.sys.info import num_physical_cores

from .rows import normalise, pack
from .tile import F32, Floats, Tile, W

comptime V = 2
comptime PANEL = V * W
"""Output features of a panel."""

comptime ROWS = 14
"""Rows of the largest tile: 28 sums, two vectors of weights and one of x fill 31 registers."""

comptime BLOCK = 12 * ROWS
"""Rows whose packed activations are kept at once, near the cores."""

comptime TASKS_PER_CORE = 4
"""A core that is held up leaves work to the others."""


@fieldwise_init
struct Linear[dtype: DType, norm: Bool, gelu: Bool, residual: Bool](Copyable, Movable):
    """The arguments of one layer; pointers that a parameter switches off are not read."""

    var x: Floats  # [rows, depth]
    var gamma: Floats  # [depth]
    var beta: Floats  # [depth]
    var eps: Float32
    var w: Pointer[Scalar[Self.dtype], MutUntrackedOrigin]  # [panels, depth, PANEL]
    var scale: Floats  # [columns], of 8-bit weights
    var bias: Floats  # [columns]
    var added: Floats  # [rows, columns]
    var y: Floats  # [rows, columns]
    var rows: Int
    var depth: Int
    var columns: Int

    def run(self):
        """Compute all rows, a block of them at a time."""
        var count = min(self.rows, BLOCK)
        var packed = Floats(unsafe_from_address=Int(alloc[Float32](count * self.depth, alignment=64)))
        for start in range(0, self.rows, BLOCK):
            self.run_block(start, min(BLOCK, self.rows - start), packed)
        packed.unsafe_free()

    def run_block(self, start: Int, count: Int, packed: Floats):
        """Rows `start` to `start + count`: lay them out, then multiply."""
        var tiles = ceildiv(count, ROWS)
        if tiles == 1:
            self.pack_tile(start, count, 0, 1, packed)
        else:
            def lay_out(t: Int) {imm}:
                self.pack_tile(start, count, t, tiles, packed)
            sync_parallelize(lay_out, tiles)
        var panels = ceildiv(self.columns, PANEL)
        var tasks = num_physical_cores() * TASKS_PER_CORE
        var across = min(panels, tasks)
        var down = min(tiles, ceildiv(tasks, across))

        def multiply(t: Int) {imm}:
            var i, j = divmod(t, across)
            for panel in range(j * panels // across, (j + 1) * panels // across):
                for tile in range(i * tiles // down, (i + 1) * tiles // down):
                    self.tile(start, count, tile, tiles, panel, packed)
        sync_parallelize(multiply, across * down)

    @always_inline
    def pack_tile(self, start: Int, count: Int, t: Int, tiles: Int, packed: Floats):
        """Lay out tile t of the block, each row behind its LayerNorm."""
        var first, last = t * count // tiles, (t + 1) * count // tiles
        var to = packed.unsafe_offset(first * self.depth)
        var x = self.x.unsafe_offset((start + first) * self.depth)
        var rows = x
        comptime if Self.norm:
            rows = Floats(unsafe_from_address=Int(alloc[Float32](ROWS * self.depth, alignment=64)))
            for i in range(last - first):
                var offset = i * self.depth
                normalise(
                    x.unsafe_offset(offset), self.gamma, self.beta, self.eps, self.depth,
                    rows.unsafe_offset(offset),
                )
        comptime for r in range(1, ROWS + 1):
            if last - first == r:
                pack[r](rows, self.depth, self.depth, to)
        comptime if Self.norm:
            rows.unsafe_free()

    @always_inline
    def tile(self, start: Int, count: Int, t: Int, tiles: Int, panel: Int, packed: Floats):
        """Rows of tile t times one panel."""
        var first, last = t * count // tiles, (t + 1) * count // tiles
        var a = packed.unsafe_offset(first * self.depth)
        comptime for r in range(1, ROWS + 1):
            if last - first == r:
                var sums = Tile[r, V]()
                var w = self.w.unsafe_offset(panel * self.depth * PANEL)
                sums.multiply(a, 1, r, w, PANEL, self.depth)
                self.finish(sums, start + first, panel * PANEL)

    @always_inline
    def finish[R: Int](self, sums: Tile[R, V], row: Int, column: Int):
        """Scale, bias, GELU and residual, and the way to memory."""
        comptime for i in range(R):
            comptime for v in range(V):
                var at = column + v * W
                if at + W <= self.columns:
                    self.finish_at[W](sums.sums[i * V + v], row + i, at)
                else:
                    for lane in range(max(0, self.columns - at)):
                        self.finish_at[1](sums.sums[i * V + v][lane], row + i, at + lane)

    @always_inline
    def finish_at[width: Int](self, sum: SIMD[DType.float32, width], row: Int, column: Int):
        var value = sum
        comptime if Self.dtype.is_integral():
            value *= self.scale.unsafe_load[width=width](column)
        value += self.bias.unsafe_load[width=width](column)
        comptime if Self.gelu:
            value = gelu_tanh(value)
        var at = row * self.columns + column
        comptime if Self.residual:
            value = self.added.unsafe_load[width=width](at) + value
        self.y.unsafe_store(at, value)


@always_inline
def gelu_tanh[width: Int](x: SIMD[DType.float32, width]) -> SIMD[DType.float32, width]:
    """0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))."""
    var inner = 0.7978845608028654 * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1 + tanh(inner))
