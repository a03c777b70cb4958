"""Causal attention over a cache, and the embedding that begins a pass.

Keys lie in panels of 32 positions, [panels, head_dim, 32], and values as [positions, width], so
that scores and their mixture are tiles too. Row b's token i stands at position past[b] + i, is
stored in the slot of that number and sees the slots up to it. A slot behind the context's end
belongs to padding, and is not stored.
"""

from std.math import ceildiv, exp, sqrt
from std.memory import alloc
from std.utils.numerics import neg_inf

from max.algorithm import sync_parallelize

from .tile import F32, Floats, Tile, W

comptime SLOTS = 2 * W
"""Positions of a panel of keys."""

comptime Integers = Pointer[Int64, MutUntrackedOrigin]


@fieldwise_init
struct Attention[V: Int](Copyable, Movable):
    """One layer's attention; V vectors hold the features of a head."""

    comptime ROWS = min(14, 28 // Self.V)
    comptime WIDTH = Self.V * W

    var qkv: Floats  # [batch, length, 3, heads, size]
    var keys: Floats  # [batch, heads, slots / SLOTS, size, SLOTS]
    var values: Floats  # [batch, heads, slots, WIDTH]
    var past: Integers  # [batch]
    var y: Floats  # [batch, length, heads, size]
    var batch: Int
    var length: Int
    var heads: Int
    var size: Int
    var slots: Int

    def run(self):
        """Store the new keys and values, then mix: a task for each head and tile of queries."""
        var tiles = ceildiv(self.length, Self.ROWS)
        var pairs = self.batch * self.heads

        def store(t: Int) {imm}:
            self.store(t // self.heads, t % self.heads)

        def mix(t: Int) {imm}:
            var pair, tile = divmod(t, tiles)
            if tiles == 1:
                self.store(pair // self.heads, pair % self.heads)
            self.mix(pair // self.heads, pair % self.heads, tile, tiles)

        if tiles > 1:
            sync_parallelize(store, pairs)
        sync_parallelize(mix, pairs * tiles)

    @always_inline
    def new(self, row: Int, i: Int, part: Int, head: Int) -> Floats:
        """Token i's query, key or value."""
        var token = row * self.length + i
        return self.qkv.unsafe_offset(((token * 3 + part) * self.heads + head) * self.size)

    def store(self, row: Int, head: Int):
        """Keys are spread over their panel, values are copied."""
        var pair = row * self.heads + head
        var keys = self.keys.unsafe_offset(pair * self.slots * self.size)
        var values = self.values.unsafe_offset(pair * self.slots * Self.WIDTH)
        var past = Int(self.past.unsafe_load(row))
        for i in range(min(self.length, self.slots - past)):
            var panel, lane = divmod(past + i, SLOTS)
            var key, value = self.new(row, i, 1, head), self.new(row, i, 2, head)
            for k in range(self.size):
                keys.unsafe_store((panel * self.size + k) * SLOTS + lane, key.unsafe_load(k))
                values.unsafe_store((past + i) * Self.WIDTH + k, value.unsafe_load(k))

    def mix(self, row: Int, head: Int, t: Int, tiles: Int):
        """Queries of tile t."""
        var first, last = t * self.length // tiles, (t + 1) * self.length // tiles
        comptime for r in range(1, Self.ROWS + 1):
            if last - first == r:
                self.mix_tile[r](row, head, first)

    @always_inline
    def mix_tile[R: Int](self, row: Int, head: Int, first: Int):
        """R queries from `first` on: scores, softmax, and the mixture of values."""
        var past = Int(self.past.unsafe_load(row)) + first
        var seen = min(past + R, self.slots)  # by the last of them
        var panels = ceildiv(seen, SLOTS)
        var stride = panels * SLOTS + W  # rows apart by a power of 2 would share a cache set
        var scores = Floats(unsafe_from_address=Int(alloc[Float32](R * stride, alignment=64)))
        var pair = row * self.heads + head
        var keys = self.keys.unsafe_offset(pair * self.slots * self.size)
        var query = self.new(row, first, 0, head)
        for panel in range(panels):
            var sums = Tile[R, 2]()
            var key = keys.unsafe_offset(panel * self.size * SLOTS)
            sums.multiply(query, 3 * self.heads * self.size, 1, key, SLOTS, self.size)
            sums.store(scores.unsafe_offset(panel * SLOTS), stride)
        var mixed = Tile[R, Self.V]()
        var inverse = Array[Float32, R](fill=Float32(0))
        comptime for i in range(R):
            var sees = min(past + i + 1, self.slots)
            inverse[i] = self.softmax(scores.unsafe_offset(i * stride), sees, panels * SLOTS)
        var values = self.values.unsafe_offset(pair * self.slots * Self.WIDTH)
        mixed.multiply(scores, stride, 1, values, Self.WIDTH, seen)
        self.finish(mixed, inverse, (row * self.length + first) * self.heads + head)
        scores.unsafe_free()

    @always_inline
    def softmax(self, scores: Floats, sees: Int, count: Int) -> Float32:
        """Replace scores by their exponentials, 0 behind `sees`; return 1 / their sum."""
        var scale = 1 / sqrt(Float32(self.size))
        for slot in range(sees, count):
            scores.unsafe_store(slot, neg_inf[DType.float32]())
        var best = F32(neg_inf[DType.float32]())
        for slot in range(0, count, W):
            best = max(best, scores.unsafe_load[width=W](slot))
        var highest = best.reduce_max() * scale
        var total = F32(0)
        for slot in range(0, count, W):
            var weight = exp(scores.unsafe_load[width=W](slot) * scale - highest)
            scores.unsafe_store(slot, weight)
            total += weight
        return 1 / total.reduce_add()

    @always_inline
    def finish[R: Int](self, mixed: Tile[R, Self.V], inverse: Array[Float32, R], place: Int):
        comptime for i in range(R):
            var y = self.y.unsafe_offset((place + i * self.heads) * self.size)
            comptime for v in range(Self.V):
                var value = mixed.sums[i * Self.V + v] * inverse[i]
                if (v + 1) * W <= self.size:
                    y.unsafe_store(v * W, value)
                else:
                    for lane in range(self.size - v * W):
                        y.unsafe_store(v * W + lane, value[lane])
