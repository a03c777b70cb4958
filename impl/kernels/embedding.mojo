"""Token and position embeddings, from the weights that the head reads too."""

from std.math import ceildiv

from .attention import Integers
from .linear import PANEL
from .narrow import STEPS, Patches, group_size, weight_at
from .team import Worker
from .tile import Floats

comptime CHUNK = 16
"""Tokens of one task: each waits for one cache line per feature."""


@fieldwise_init
struct Embedding[dtype: DType](Copyable, Movable):
    """x = wte[id] + wpe[position]; positions behind the last are those of padding."""

    var ids: Integers  # [batch, length]
    var past: Integers  # [batch]
    var wte: Pointer[Scalar[Self.dtype], MutUntrackedOrigin]  # [panels, size, PANEL] or narrow
    var scale: Floats  # [tokens], of 8-bit and of narrow weights
    var patches: Patches  # of narrow weights
    var wpe: Floats  # [positions, size]
    var x: Floats  # [batch, length, size]
    var batch: Int
    var length: Int
    var positions: Int
    var size: Int

    def walk(self, mut worker: Worker):
        """Compute a worker's share of the tokens."""
        var count = self.batch * self.length

        def embed(t: Int) {imm}:
            for token in range(t * CHUNK, min(count, (t + 1) * CHUNK)):
                self.embed(token)

        worker.share(ceildiv(count, CHUNK), embed)

    def embed(self, token: Int):
        """One token's row."""
        var row, i = divmod(token, self.length)
        var id = Int(self.ids.unsafe_load(token))
        var position = min(Int(self.past.unsafe_load(row)) + i, self.positions - 1)
        var wpe = self.wpe.unsafe_offset(position * self.size)
        var x = self.x.unsafe_offset(token * self.size)
        self.look_up(id, x)
        for k in range(self.size):
            var value = x.unsafe_load(k)
            comptime if Self.dtype.is_integral():
                value *= self.scale.unsafe_load(id)
            x.unsafe_store(k, value + wpe.unsafe_load(k))

    @always_inline
    def look_up(self, id: Int, x: Floats):
        """A token's weights, as they are stored."""
        var panel, lane = divmod(id, PANEL)
        comptime if Self.dtype.is_unsigned():
            var groups = ceildiv(self.size, STEPS)
            var w = self.wte.unsafe_offset(panel * groups * group_size[Self.dtype]())
            for k in range(self.size):
                x.unsafe_store(k, weight_at(w, k, lane))
            var patcher = self.patches.of(panel)
            while patcher.next < patcher.end:
                var k, column = divmod(patcher.place(), PANEL)
                if column == lane:
                    x.unsafe_store(k, patcher.value())
                patcher.next += 1
        else:
            var w = self.wte.unsafe_offset(panel * self.size * PANEL + lane)
            for k in range(self.size):
                x.unsafe_store(k, w.unsafe_load(k * PANEL).cast[DType.float32]())
