"""Linear layers: y = act(norm(x) w + bias) + residual, over packed weights.

Weights lie as [panels, depth, 32]: panel p holds output features 32 p to 32 p + 31, padded with
zeros behind the last, so that each is one stream of memory. One kernel serves decode, where that
stream is the cost, and prefill, where the multiply-adds are.
"""

from std.math import ceildiv, tanh

from std.sys.info import num_physical_cores, size_of

from .rows import normalise, pack
from .team import PARTS_PER_CORE, Worker, together
from .tile import Floats, Tile, W, floats

comptime V = 2
comptime PANEL = V * W
"""Output features of a panel."""

comptime ROWS = 14
"""Rows of the largest tile: 28 sums, two vectors of weights and one of x fill 31 registers."""

comptime HEIGHTS = [1, 2, 4, 6, 8, 11, ROWS]
"""Rows that tiles are compiled for; a last tile of fewer is filled up with zeros."""

comptime LINE = 64
"""Bytes of a cache line."""

comptime BLOCK = 12 * ROWS
"""Rows whose packed activations are kept at once, near the cores."""



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
        """Compute all rows."""
        var packed = self.scratch()

        def walk(mut worker: Worker) {imm}:
            self.walk(worker, packed)

        together(self.steps(), self.work(), walk)
        packed.unsafe_free()

    def steps(self) -> Int:
        """Steps of a walk."""
        return 2 * ceildiv(self.rows, BLOCK)

    def work(self) -> Int:
        """Multiply-adds."""
        return self.rows * self.depth * self.columns

    def scratch(self) -> Floats:
        """Memory for the activations of a block."""
        return floats(ceildiv(min(self.rows, BLOCK), ROWS) * ROWS * self.depth)

    def walk(self, mut worker: Worker, packed: Floats):
        """Compute a worker's share of all rows, a block of them at a time."""
        for start in range(0, self.rows, BLOCK):
            self.walk_block(worker, start, min(BLOCK, self.rows - start), packed)

    def walk_block(self, mut worker: Worker, start: Int, count: Int, packed: Floats):
        """Rows `start` to `start + count`: lay them out, then multiply."""
        var tiles = ceildiv(count, ROWS)
        var panels = ceildiv(self.columns, PANEL)
        var parts = num_physical_cores() * PARTS_PER_CORE
        var across = min(panels, parts)
        var down = min(tiles, ceildiv(parts, across))

        def lay_out(t: Int) {imm}:
            self.pack_tile(start, count, t, packed)

        def multiply(t: Int) {imm}:
            var i, j = divmod(t, across)
            var first, last = j * panels // across, (j + 1) * panels // across
            self.multiply(start, count, i * tiles // down, (i + 1) * tiles // down, first, last, packed)

        worker.share(tiles, lay_out)
        worker.share(across * down, multiply)

    def multiply(
        self, start: Int, count: Int, tile: Int, tiles: Int, panel: Int, panels: Int, packed: Floats
    ):
        """Tiles `tile` to `tiles` times panels `panel` to `panels`."""
        var sums = floats(ROWS * PANEL)
        for p in range(panel, panels):
            for t in range(tile, tiles):
                self.tile(start, count, t, p, packed, sums, self.ahead(p, t - tile, panels))
        sums.unsafe_free()

    def pack_tile(self, start: Int, count: Int, t: Int, packed: Floats):
        """Lay out tile t of the block, each row behind its LayerNorm."""
        var rows = min(ROWS, count - t * ROWS)
        var to = packed.unsafe_offset(t * ROWS * self.depth)
        var x = self.x.unsafe_offset((start + t * ROWS) * self.depth)
        comptime if Self.norm:
            var normed = floats(rows * self.depth)
            for i in range(rows):
                var offset = i * self.depth
                normalise(
                    x.unsafe_offset(offset),
                    self.gamma,
                    self.beta,
                    self.eps,
                    self.depth,
                    normed.unsafe_offset(offset),
                )
            pack(normed, rows, height(rows), self.depth, to)
            normed.unsafe_free()
        else:
            pack(x, rows, height(rows), self.depth, to)

    @always_inline
    def ahead(self, panel: Int, t: Int, panels: Int) -> Floats:
        """What the t-th tile over a panel calls to the core: a line in each step, `depth` in all."""
        var size = self.depth * PANEL * size_of[Scalar[Self.dtype]]()
        var place = t * self.depth * LINE
        var there = panel + 1 == panels or place >= size
        var next = panel * size if there else (panel + 1) * size + place
        return Floats(unsafe_from_address=Int(self.w) + next)

    @always_inline
    def tile(self, start: Int, count: Int, t: Int, panel: Int, packed: Floats, sums: Floats, ahead: Floats):
        """Rows of tile t times one panel."""
        var rows = min(ROWS, count - t * ROWS)
        var a = packed.unsafe_offset(t * ROWS * self.depth)
        var w = self.w.unsafe_offset(panel * self.depth * PANEL)
        comptime for r in HEIGHTS:
            if height(rows) == r:
                var tile = Tile[r, V]()
                tile.multiply(a, 1, r, w, PANEL, self.depth, ahead)
                tile.store(sums, PANEL)
        for i in range(rows):
            self.finish(sums.unsafe_offset(i * PANEL), start + t * ROWS + i, panel * PANEL)

    @always_inline
    def finish(self, sums: Floats, row: Int, column: Int):
        """One row of a tile on its way to memory; the last panel may be cut anywhere."""
        var count = min(PANEL, self.columns - column)
        for at in range(0, count // W * W, W):
            self.finish_at[W](sums.unsafe_load[width=W](at), row, column + at)
        for at in range(count // W * W, count):
            self.finish_at[1](sums.unsafe_load(at), row, column + at)

    @always_inline
    def finish_at[width: Int](self, sum: SIMD[DType.float32, width], row: Int, column: Int):
        """Scale, bias, GELU and residual."""
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
def height(rows: Int) -> Int:
    """The smallest tile that takes so many rows."""
    comptime for r in HEIGHTS:
        if rows <= r:
            return r
    return ROWS


@always_inline
def gelu_tanh[width: Int](x: SIMD[DType.float32, width]) -> SIMD[DType.float32, width]:
    """0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))."""
    var inner = 0.7978845608028654 * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1 + tanh(inner))
