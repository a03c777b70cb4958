"""Causal attention over a cache.

Keys lie in panels of 32 positions, [panels, head_dim, 32], and values as [positions, width], so
that scores and their mixture are tiles too. Row b's token i stands at position past[b] + i, is
stored in the slot of that number and sees the slots up to it. A slot behind the context's end
belongs to padding, and is not stored.

The cache is float32 or bfloat16. In bfloat16 each key and value is rounded when it is stored, and
read from there by its own token too, so that a prompt, its parts and decoding see the same numbers.
Everything else stays float32: queries, scores, weights and sums.
"""

from std.math import ceildiv, exp
from std.memory import bitcast
from std.utils.numerics import neg_inf

from .form import TILES, is_tiled, is_widest, rows_of, vectors_at_once
from .pairs import bfloat16_bits
from .team import Worker
from .tile import F32, Floats, Tile, W, floats
from .tiles import BLOCK_ROWS, COLUMNS, HAS_TILES, Product, Split, held_by_terms

comptime SLOTS = 2 * W
"""Positions of a panel of keys."""

comptime Integers = Pointer[Int64, MutUntrackedOrigin]

comptime Kept[dtype: DType] = Pointer[Scalar[dtype], MutUntrackedOrigin]


@fieldwise_init
struct Attention[V: Int, form: Int, cached: DType = DType.float32](Copyable, Movable):
    """One layer's attention; V vectors hold the features of a head."""

    comptime AT_ONCE = Self.V if is_widest(Self.form) else 1
    comptime ROWS = min(rows_of(Self.form), max(1, 28 // Self.AT_ONCE))
    comptime real = Self.form == TILES and HAS_TILES
    comptime WIDTH = Self.V * W

    var qkv: Floats  # [batch, length, 3, heads, size]
    var keys: Kept[Self.cached]  # [batch, heads, slots / SLOTS, size, SLOTS]
    var values: Kept[Self.cached]  # [batch, heads, slots, WIDTH]
    var past: Integers  # [batch]
    var scale: Floats  # [1]: of this layer's scores
    var y: Floats  # [batch, length, heads, size]
    var batch: Int
    var length: Int
    var heads: Int
    var size: Int
    var slots: Int

    def of_layer(self, layer: Int) -> Self:
        """The same of another layer, whose cache lies behind that of the first."""
        var other = self.copy()
        var positions = layer * self.batch * self.heads * self.slots
        other.keys = self.keys.unsafe_offset(positions * self.size)
        other.values = self.values.unsafe_offset(positions * Self.WIDTH)
        other.scale = self.scale.unsafe_offset(layer)
        return other^

    def steps(self) -> Int:
        """Steps of a walk."""
        return 2

    def walk(self, mut worker: Worker):
        """Store the new keys and values, then mix: a part for each head and tile of queries."""
        comptime tiled = is_tiled(Self.form)
        var size = BLOCK_ROWS if tiled and self.length > 1 else Self.ROWS
        var tiles = ceildiv(self.length, size)
        var pairs = self.batch * self.heads

        def store(t: Int) {imm}:
            self.store(t // self.heads, t % self.heads)

        def mix(t: Int) {imm}:
            var pair, tile = divmod(t, tiles)
            if tiles == 1:
                self.store(pair // self.heads, pair % self.heads)
            var first, row, head = tile * size, pair // self.heads, pair % self.heads
            var last = min(first + size, self.length)
            comptime if tiled:
                if self.length > 1 and self.mix_in_tiles(row, head, first, last - first):
                    return
            self.mix(row, head, first, last)

        worker.share(pairs if tiles > 1 else 0, store)
        worker.share(pairs * tiles, mix)

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
                keys.unsafe_store((panel * self.size + k) * SLOTS + lane, self.kept(key, k))
                values.unsafe_store((past + i) * Self.WIDTH + k, self.kept(value, k))

    @always_inline
    def kept(self, x: Floats, k: Int) -> Scalar[Self.cached]:
        """A number as the cache holds it: the nearest, ties to even."""
        comptime if Self.cached == DType.bfloat16:
            var bits = bfloat16_bits(x.unsafe_load(k)).cast[DType.uint16]()
            return rebind[Scalar[Self.cached]](bitcast[DType.bfloat16](bits))
        else:
            comptime assert Self.cached == DType.float32, "a cache is float32 or bfloat16"
            return rebind[Scalar[Self.cached]](x.unsafe_load(k))

    def mix(self, row: Int, head: Int, begin: Int, last: Int):
        """Queries from `begin` to `last`, in parts that a tile is compiled for."""
        var first = begin
        while first < last:
            var rows = largest[Self.ROWS](last - first)
            self.mix_rows(row, head, first, rows)
            first += rows

    def mix_rows(self, row: Int, head: Int, first: Int, rows: Int):
        """Scores, softmax, and the mixture of values, for queries from `first` on."""
        var past = Int(self.past.unsafe_load(row)) + first
        var seen = min(past + rows, self.slots)  # by the last of them
        var panels = ceildiv(seen, SLOTS)
        var stride = panels * SLOTS + W  # rows apart by a power of 2 would share a cache set
        var scores, mixed = floats(rows * stride), floats(rows * Self.WIDTH)
        var pair = row * self.heads + head
        var keys = self.keys.unsafe_offset(pair * self.slots * self.size)
        var values = self.values.unsafe_offset(pair * self.slots * Self.WIDTH)
        comptime for r in [1, 2, 4, Self.ROWS]:
            if rows == r:
                self.score[r](self.new(row, first, 0, head), keys, scores, panels, stride)
        for i in range(rows):
            var sees = min(past + i + 1, self.slots)
            self.softmax(scores.unsafe_offset(i * stride), sees, panels * SLOTS)
        comptime for r in [1, 2, 4, Self.ROWS]:
            if rows == r:
                comptime for v in range(0, Self.V, Self.AT_ONCE):
                    var tile = Tile[r, Self.AT_ONCE]()
                    var value = values.unsafe_offset(v * W)
                    tile.multiply[ahead_too=False](
                        scores, stride, 1, value, Self.WIDTH, seen, scores
                    )
                    tile.store(mixed.unsafe_offset(v * W), Self.WIDTH)
        for i in range(rows):
            var place = (row * self.length + first + i) * self.heads + head
            for k in range(self.size):
                self.y.unsafe_store(place * self.size + k, mixed.unsafe_load(i * Self.WIDTH + k))
        scores.unsafe_free()
        mixed.unsafe_free()

    @always_inline
    def score[R: Int](
        self, query: Floats, keys: Kept[Self.cached], scores: Floats, panels: Int, stride: Int
    ):
        """Products of R queries with the keys of all panels."""
        for panel in range(panels):
            comptime AT_ONCE = vectors_at_once(Self.form, R)
            comptime for v in range(0, 2, AT_ONCE):
                var tile = Tile[R, AT_ONCE]()
                var key = keys.unsafe_offset(panel * self.size * SLOTS + v * W)
                tile.multiply[ahead_too=False](
                    query, 3 * self.heads * self.size, 1, key, SLOTS, self.size, query
                )
                tile.store(scores.unsafe_offset(panel * SLOTS + v * W), stride)

    def softmax(self, scores: Floats, sees: Int, count: Int):
        """Of the first `sees` scores, times the layer's scale; 0 behind them."""
        var scale = self.scale.unsafe_load(0)
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
        var inverse = 1 / total.reduce_add()
        for slot in range(0, count, W):
            scores.unsafe_store(slot, scores.unsafe_load[width=W](slot) * inverse)

    def mix_in_tiles(self, row: Int, head: Int, first: Int, rows: Int) -> Bool:
        """Up to 32 queries by six products of bfloat16 (tiles.mojo), softmax in vectors.

        Returns whether that was possible: where a query, or a key or a value that one of them
        sees, is not held by three terms, nothing is written.
        """
        var past = Int(self.past.unsafe_load(row)) + first
        var seen = min(past + rows, self.slots)  # by the last of them
        var panels = ceildiv(seen, SLOTS)
        var pair = row * self.heads + head
        var keys = self.keys.unsafe_offset(pair * self.slots * self.size)
        var values = self.values.unsafe_offset(pair * self.slots * Self.WIDTH)
        var scores = floats(BLOCK_ROWS * panels * SLOTS)
        var mixed = floats(BLOCK_ROWS * Self.WIDTH)
        var held = self.score_in_tiles(self.new(row, first, 0, head), rows, keys, scores, seen)
        if held:
            for i in range(rows):
                var sees = min(past + i + 1, self.slots)
                self.softmax(scores.unsafe_offset(i * panels * SLOTS), sees, panels * SLOTS)
            held = self.mix_values_in_tiles(scores, rows, values, seen, mixed)
        if held:
            for i in range(rows):
                var place = (row * self.length + first + i) * self.heads + head
                for k in range(self.size):
                    self.y.unsafe_store(place * self.size + k, mixed.unsafe_load(i * Self.WIDTH + k))
        scores.unsafe_free()
        mixed.unsafe_free()
        return held

    def score_in_tiles(
        self, query: Floats, rows: Int, keys: Kept[Self.cached], scores: Floats, seen: Int
    ) -> Bool:
        """Products of up to 32 queries with the keys of all panels, `[32, 32 panels]`."""
        var panels = ceildiv(seen, SLOTS)
        var apart = 3 * self.heads * self.size
        var split = Split(query, rows, apart, self.size)
        var product = Product[Self.real](self.size)
        var key = floats(self.size * SLOTS)
        var held = split.held
        for panel in range(panels):
            if not held:
                break
            for k in range(0, self.size * SLOTS, W):
                var some = keys.unsafe_load[width=W](panel * self.size * SLOTS + k)
                key.unsafe_store(k, some.cast[DType.float32]())
            held = held_by_terms(key, self.size, min(SLOTS, seen - panel * SLOTS))
            product.add(split, 0, key, self.size)
            product.end(scores.unsafe_offset(panel * SLOTS), panels * SLOTS, SLOTS)
        key.unsafe_free()
        split.free()
        product.free()
        return held

    def mix_values_in_tiles(
        self, weights: Floats, rows: Int, values: Kept[Self.cached], seen: Int, mixed: Floats
    ) -> Bool:
        """Values of the `seen` slots by their weights, `[32, WIDTH]`."""
        comptime SPAN = 256
        var stride = ceildiv(seen, SLOTS) * SLOTS
        var split = Split(weights, rows, stride, seen)
        var product = Product[Self.real](SPAN)
        var strip = floats(SPAN * COLUMNS)
        var held = split.held
        for column in range(0, Self.WIDTH, COLUMNS):
            var columns = min(COLUMNS, Self.WIDTH - column)
            for start in range(0, seen, SPAN):
                var steps = min(SPAN, seen - start)
                for k in range(steps):
                    var value = values.unsafe_offset((start + k) * Self.WIDTH + column)
                    for c in range(0, COLUMNS, W):
                        var some = F32(0)
                        if c < columns:
                            some = value.unsafe_load[width=W](c).cast[DType.float32]()
                        strip.unsafe_store(k * COLUMNS + c, some)
                held = held and held_by_terms(strip, steps)
                product.add(split, start, strip, steps)
            product.end(mixed.unsafe_offset(column), Self.WIDTH, columns)
        strip.unsafe_free()
        split.free()
        product.free()
        return held


def largest[ROWS: Int](rows: Int) -> Int:
    """The largest number of queries up to `rows` that a tile is compiled for."""
    return ROWS if rows >= ROWS else 4 if rows >= 4 else 2 if rows >= 2 else 1
