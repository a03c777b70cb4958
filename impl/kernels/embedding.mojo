"""Token and position embeddings, from the weights that the head reads too."""

from std.math import ceildiv

from max.algorithm import sync_parallelize

from .attention import Integers
from .linear import PANEL
from .tile import Floats

comptime CHUNK = 16
"""Tokens of one task: each waits for one cache line per feature."""


@fieldwise_init
struct Embedding[dtype: DType](Copyable, Movable):
    """x = wte[id] + wpe[position]; positions behind the last are those of padding."""

    var ids: Integers  # [batch, length]
    var past: Integers  # [batch]
    var wte: Pointer[Scalar[Self.dtype], MutUntrackedOrigin]  # [panels, size, PANEL]
    var scale: Floats  # [tokens], of 8-bit weights
    var wpe: Floats  # [positions, size]
    var x: Floats  # [batch, length, size]
    var batch: Int
    var length: Int
    var positions: Int
    var size: Int

    def run(self):
        var count = self.batch * self.length

        def embed(t: Int) {imm}:
            for token in range(t * CHUNK, min(count, (t + 1) * CHUNK)):
                self.embed(token)

        sync_parallelize(embed, ceildiv(count, CHUNK))

    def embed(self, token: Int):
        var row, i = divmod(token, self.length)
        var id = Int(self.ids.unsafe_load(token))
        var position = min(Int(self.past.unsafe_load(row)) + i, self.positions - 1)
        var panel, lane = divmod(id, PANEL)
        var wte = self.wte.unsafe_offset(panel * self.size * PANEL + lane)
        var wpe = self.wpe.unsafe_offset(position * self.size)
        var x = self.x.unsafe_offset(token * self.size)
        for k in range(self.size):
            var value = wte.unsafe_load(k * PANEL).cast[DType.float32]()
            comptime if Self.dtype.is_integral():
                value *= self.scale.unsafe_load(id)
            x.unsafe_store(k, value + wpe.unsafe_load(k))
