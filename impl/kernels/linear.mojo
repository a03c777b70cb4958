"""Linear layers: y = act(norm(x) w + bias) + residual, over packed weights.

Weights lie as [panels, depth, 32]: panel p holds output features 32 p to 32 p + 31, padded with
zeros behind the last, so that each is one stream of memory. One kernel serves decode, where that
stream is the cost, and prefill, where the multiply-adds are. Narrow weights (narrow.mojo) are
float32 again before they are multiplied, a few steps at a time.

An example: 5 tokens through GPT-2's c_fc, `[5, 768]` to `[5, 3072]`. The weights are 3072 / 32 = 96
panels of `[768, 32]`. On a CPU with AVX-512 (form.mojo has others) a tile of 6 rows is the smallest that takes 5, so the rows, normalised, are
laid out as `[768, 6]`: feature k of each row side by side, 0 for the sixth. That is one tile, which
each core lays out for itself; then each takes some panels (team.mojo's `cut`). Over a panel the
tile's 6 x 32 sums stay in 12 registers: step k loads the panel's k-th 32 weights into two more, and
for each row broadcasts its feature k and adds its products. Then the first 5 rows of sums get bias
and the activation on their way to y.

With 100 tokens there are 8 tiles, 7 of 14 rows and one of 2. The cores lay out a tile at a time for
all. A part is one panel and all tiles, or some of them where panels are few. They pass one after
another over 256 steps of the panel while those are in the core's cache, and leave their sums in
memory in between.

A sum is a chain of multiply-adds over each 256 steps, and these are added up in their order: 1.7 to
3 times nearer to the exact one than a chain over all of 768 or 3072 steps, and the same for any
number of rows.

Two other ways to multiply have files of their own: pairs of bfloat16 (pairs.mojo), and tiles of a
matrix unit (tiles.mojo), in which sums of more than one row are others than those of one.
"""

from std.math import ceildiv
from std.sys.info import size_of

from .activation import NONE, bent
from .form import (
    AVX512, PAIRS, TILES, heights, in_registers, is_tiled, is_widest, lanes, low, rows_of,
    vectors_at_once,
)
from .narrow import BOTH, NarrowTile, Patcher, Patches, STEPS, group_size, widen
from .pairs import (
    HAS_PAIRS, Pairs, multiply_four_paired, multiply_pairs, pair_row, pair_weights, patch_paired, widen_paired,
)
from .rows import normalise, pack
from .team import Worker, cut, parts_of
from .tile import Floats, Tile, W, floats
from .tiles import (
    BLOCK_ROWS, CORRECTIONS, HAS_TILES, ONE, TERMS, TILE_STEPS, add_tiles, pitch, split_row,
    split_weights, whole_steps,
)

comptime PANEL = 2 * W
"""Output features of a panel."""

comptime LINE = 64
"""Bytes of a cache line."""

comptime BLOCK = 518
"""Rows whose packed activations are kept at once, at most: a span of them is half a MiB."""

comptime PARTS_PER_CORE = 12
"""At least, of a step with many tiles, so that a core that is held up leaves work to the others."""

comptime SPAN = 256
"""Steps of a panel that tiles share while they are near, 32 KiB of float32; and of a block, whose
sum is one chain."""

comptime BEGIN = 0
comptime CONTINUE = 1
comptime ADD = 2
"""What becomes of a tile's sums that are in memory: nothing, they begin the chain, or the chain is
added to them."""

comptime CHUNK = 16
"""Steps that a panel's only tile takes at once where it is too high to take narrow weights from
registers, or both halves of the panel together: 2 KiB."""


@fieldwise_init
struct Linear[
    dtype: DType, norm: Bool, act: Int, residual: Bool, form: Int, unit: Int
](Copyable, Movable):
    """The arguments of one layer; pointers that a parameter switches off are not read.

    `act` is an activation's number (activation.mojo), `form` and `unit` are of form.mojo.
    """

    comptime narrow = Self.dtype.is_unsigned()
    comptime paired = Self.unit == PAIRS
    comptime tiled = is_tiled(Self.form)
    comptime terms = 1 if Self.paired else TERMS  # of a number, in tiles
    comptime kinds = 2 if Self.tiled and Self.terms > 1 else 1  # of sums: leading and corrections
    comptime real = Self.form == TILES and HAS_TILES
    comptime ROWS = BLOCK_ROWS if Self.tiled else rows_of(Self.form)
    comptime BLOCK = BLOCK // Self.ROWS * Self.ROWS

    var x: Floats  # [rows, depth]
    var gamma: Floats  # [depth]
    var beta: Floats  # [depth]
    var eps: Float32
    var w: Pointer[Scalar[Self.dtype], MutUntrackedOrigin]  # [panels, panel_size]
    var scale: Floats  # [columns], of 8-bit and of narrow weights
    var patches: Patches  # of narrow weights
    var bias: Floats  # [columns]
    var added: Floats  # [rows, columns]
    var y: Floats  # [rows, columns]
    var rows: Int
    var depth: Int
    var columns: Int

    def of_layer(self, layer: Int) -> Self:
        """The same of another layer, whose weights lie behind those of the first."""
        var other = self.copy()
        other.gamma = self.gamma.unsafe_offset(layer * self.depth)
        other.beta = self.beta.unsafe_offset(layer * self.depth)
        other.w = self.w.unsafe_offset(layer * self.panels() * self.panel_size())
        other.scale = self.scale.unsafe_offset(layer * self.columns)
        other.patches.starts = self.patches.starts.unsafe_offset(layer * self.panels())
        other.bias = self.bias.unsafe_offset(layer * self.columns)
        return other^

    def steps(self) -> Int:
        """Steps of a walk."""
        return 2 * ceildiv(self.rows, Self.BLOCK)

    def work(self) -> Int:
        """Multiply-adds."""
        return self.rows * self.depth * self.columns

    def scratch(self) -> Int:
        """Floats that the activations of a block take, and `own` those of a tile."""
        return self.block() * self.words()

    def block(self) -> Int:
        """Rows of a block, whole tiles: as many as the others have, if there are several."""
        return ceildiv(ceildiv(self.rows, Self.ROWS), ceildiv(self.rows, Self.BLOCK)) * Self.ROWS

    def own(self) -> Int:
        return Self.ROWS * self.words()

    @always_inline
    def panels(self) -> Int:
        return ceildiv(self.columns, PANEL)

    @always_inline
    def panel_size(self) -> Int:
        """Numbers of a panel."""
        comptime if Self.narrow:
            return ceildiv(self.depth, STEPS) * group_size[Self.dtype]()
        return self.depth * PANEL

    def walk(self, mut worker: Worker, packed: Floats):
        """Compute a worker's share of all rows, a block of them at a time."""
        comptime if Self.tiled:
            if self.rows == 1:
                self.in_vectors().walk(worker, packed)
                return
        var size = self.block()
        for start in range(0, self.rows, size):
            self.walk_block(worker, start, min(size, self.rows - start), packed)

    def walk_block(self, mut worker: Worker, start: Int, count: Int, packed: Floats):
        """Rows `start` to `start + count`: lay them out, then multiply.

        One tile is laid out by every worker for itself, which is faster than to wait for it.
        """
        var tiles, panels = ceildiv(count, Self.ROWS), self.panels()
        if tiles == 1:
            var own = worker.own
            self.pack_tile(start, count, 0, own)

            var team = worker.team

            def stream(t: Int) {imm}:
                var first, last = cut(panels, t, team)
                self.multiply(start, count, 0, 1, first, last, team, own)

            worker.share(parts_of(panels, team), stream)
            return
        var team = worker.team
        var down = min(tiles, ceildiv(PARTS_PER_CORE * team, panels))

        def lay_out(t: Int) {imm}:
            self.pack_tile(start, count, t, packed)

        def multiply(t: Int) {imm}:
            var j, i = divmod(t, down)
            var first, last = i * tiles // down, (i + 1) * tiles // down
            self.multiply(start, count, first, last, j, j + 1, team, packed)

        worker.share(tiles, lay_out)
        worker.share(panels * down, multiply)

    def in_vectors(self) -> Linear[Self.dtype, Self.norm, Self.act, Self.residual, AVX512, Self.unit]:
        """The same without tiles."""
        return Linear[Self.dtype, Self.norm, Self.act, Self.residual, AVX512, Self.unit](
            self.x, self.gamma, self.beta, self.eps, self.w, self.scale, self.patches.copy(),
            self.bias, self.added, self.y, self.rows, self.depth, self.columns,
        )

    @always_inline
    def is_held(self, packed: Floats, row: Int) -> Bool:
        """Whether tiles hold a row of the block: its mark (tiles.mojo)."""
        comptime if Self.tiled and Self.terms > 1:
            var t, i = divmod(row, Self.ROWS)
            var place = t * Self.ROWS * self.words() + (i + 1) * pitch(self.depth) - 1
            return pairs_at(packed).unsafe_load(place) == 0
        return True

    def in_float32(self, row: Int, panel: Int):
        """One row of one panel by float32's multiply-adds, to its end."""
        comptime if Self.tiled:
            var vectors = self.in_vectors()
            var own = floats(vectors.own())
            vectors.pack_tile(row, 1, 0, own)
            vectors.multiply(row, 1, 0, 1, panel, panel + 1, 1, own)
            own.unsafe_free()

    def pack_tile(self, start: Int, count: Int, t: Int, packed: Floats):
        """Lay out tile t of the block, each row behind its LayerNorm."""
        var rows = min(Self.ROWS, count - t * Self.ROWS)
        var to = packed.unsafe_offset(t * Self.ROWS * self.words())
        var x = self.x.unsafe_offset((start + t * Self.ROWS) * self.depth)
        comptime if Self.tiled:
            self.split_rows(x, rows, to)
        elif Self.norm or Self.paired:
            var laid = floats(rows * self.words())
            for i in range(rows):
                self.lay_out_row(x.unsafe_offset(i * self.depth), laid.unsafe_offset(i * self.words()))
            pack[lanes(Self.form)](laid, rows, height[Self.form](rows), self.words(), to)
            laid.unsafe_free()
        else:
            pack[lanes(Self.form)](x, rows, height[Self.form](rows), self.depth, to)

    @always_inline
    def words(self) -> Int:
        """Of 32 bits, that a row's activations take where they are multiplied."""
        comptime if Self.tiled:
            return Self.terms * pitch(self.depth)
        comptime if Self.paired:
            return ceildiv(self.depth, 2)
        return self.depth

    def split_rows(self, x: Floats, rows: Int, to: Floats):
        """A tile's rows, behind their LayerNorm, as terms `[terms, 32, pitch]`; zeros below."""
        var apart = Self.ROWS * pitch(self.depth)
        var normed = floats(self.depth)
        for i in range(Self.ROWS):
            var row = pairs_at(to.unsafe_offset(i * pitch(self.depth)))
            if i >= rows:
                _ = split_row[Self.terms](normed, 0, pitch(self.depth), row, apart)
                continue
            var from_ = x.unsafe_offset(i * self.depth)
            comptime if Self.norm:
                normalise(from_, self.gamma, self.beta, self.eps, self.depth, normed)
                from_ = normed
            _ = split_row[Self.terms](from_, self.depth, pitch(self.depth), row, apart)
        normed.unsafe_free()

    def lay_out_row(self, x: Floats, to: Floats):
        """A row behind its LayerNorm, and in pairs where these are multiplied."""
        comptime if Self.norm and not Self.paired:
            normalise(x, self.gamma, self.beta, self.eps, self.depth, to)
        else:
            comptime if Self.norm:
                var normed = floats(self.depth)
                normalise(x, self.gamma, self.beta, self.eps, self.depth, normed)
                pair_row(normed, self.depth, to)
                normed.unsafe_free()
            else:
                pair_row(x, self.depth, to)

    def multiply(
        self,
        start: Int,
        count: Int,
        tile: Int,
        tiles: Int,
        panel: Int,
        panels: Int,
        team: Int,
        packed: Floats,
    ):
        """Tiles `tile` to `tiles` times panels `panel` to `panels`."""
        var many = tiles - tile > 1
        var sums = floats((tiles - tile) * Self.ROWS * PANEL * Self.kinds)
        var block = floats(Self.ROWS * PANEL)
        var widened = Self.narrow or Self.paired or Self.tiled
        var wide = floats((SPAN + STEPS) * PANEL if widened else 0)
        var split = floats(Self.terms * (SPAN + TILE_STEPS) // 2 * PANEL if Self.tiled else 0)
        for p in range(panel, panels):
            var patcher = self.patches.of(p) if Self.narrow else Patcher(self.patches.pairs, 0, 0)
            for k in range(0, self.depth, SPAN):
                var steps = min(SPAN, self.depth - k)
                comptime if Self.tiled:
                    self.multiply_tiles(tile, tiles, p, k, steps, packed, sums, wide, split, patcher)
                else:
                    if many:
                        var how = ADD if k > 0 else BEGIN
                        self.multiply_span(
                            count, tile, tiles, p, k, steps, team, packed, sums, wide, patcher, how
                        )
                        continue
                    var to = block if k > 0 else sums
                    self.multiply_block(count, tile, p, k, steps, team, packed, to, wide, patcher)
                    if k > 0:
                        add_up(block, height[Self.form](min(Self.ROWS, count - tile * Self.ROWS)), sums)
            for t in range(tile, tiles):
                for i in range(min(Self.ROWS, count - t * Self.ROWS)):
                    if not self.is_held(packed, t * Self.ROWS + i):
                        self.in_float32(start + t * Self.ROWS + i, p)
                        continue
                    var from_ = sums.unsafe_offset(
                        ((t - tile) * Self.kinds * Self.ROWS + i) * PANEL
                    )
                    comptime if Self.kinds == 2:
                        for column in range(0, PANEL, W):
                            var corrected = from_.unsafe_load[width=W](column) + from_.unsafe_load[
                                width=W
                            ](Self.ROWS * PANEL + column)
                            from_.unsafe_store(column, corrected)
                    self.finish(from_, start + t * Self.ROWS + i, p * PANEL)
        sums.unsafe_free()
        block.unsafe_free()
        wide.unsafe_free()
        split.unsafe_free()

    def multiply_block(
        self,
        count: Int,
        tile: Int,
        panel: Int,
        begin: Int,
        steps: Int,
        team: Int,
        packed: Floats,
        sums: Floats,
        wide: Floats,
        mut patcher: Patcher,
    ):
        """A tile that is alone, times a block of steps: its sums, of nothing before it."""
        var rows = height[Self.form](min(Self.ROWS, count - tile * Self.ROWS))
        var chunked = Self.narrow or Self.paired or vectors_at_once(Self.form, rows) == 1
        var end, k = begin + steps, begin
        comptime if Self.narrow:
            if rows <= in_registers(Self.form):
                var a = packed.unsafe_offset(tile * Self.ROWS * self.words())
                k = self.multiply_narrow(rows, panel, begin, end, a, sums, patcher)
        while k < end:
            var some = min(CHUNK, end - k) if chunked else end - k
            var how = CONTINUE if k > begin else BEGIN
            self.multiply_span(
                count, tile, tile + 1, panel, k, some, team, packed, sums, wide, patcher, how
            )
            k += some

    @always_inline
    def multiply_narrow(
        self, rows: Int, panel: Int, begin: Int, end: Int, tile: Floats, sums: Floats,
        mut patcher: Patcher,
    ) -> Int:
        """Such a tile times narrow weights, widened in registers; returns where it ended.

        The last steps of a panel, where they are not four, are left to `multiply_span`.
        """
        comptime if Self.narrow:
            var group, groups = begin // STEPS, (end - begin) // STEPS
            var a = tile.unsafe_offset((begin // 2 if Self.paired else begin) * rows)
            var place = panel * self.panel_size() + group * group_size[Self.dtype]()
            var w = self.w.unsafe_offset(place)
            add_narrow[form=Self.form, paired=Self.paired](rows, a, w, group, groups, sums, patcher)
            return begin + groups * STEPS
        return begin

    @always_inline
    def multiply_span(
        self,
        count: Int,
        tile: Int,
        tiles: Int,
        panel: Int,
        start: Int,
        steps: Int,
        team: Int,
        packed: Floats,
        sums: Floats,
        wide: Floats,
        mut patcher: Patcher,
        how: Int,
    ):
        """Steps `start` to `start + steps` of one panel for each tile, whose sums are begun, gone on
        with or added to."""
        var w = self.w.unsafe_offset(panel * self.panel_size())
        comptime if Self.narrow:
            w = w.unsafe_offset(start // STEPS * group_size[Self.dtype]())
            self.widen_span(w, start, steps, wide, patcher, tiles - tile > 1)
        else:
            w = w.unsafe_offset(start * PANEL)
            comptime if Self.paired:
                pair_weights({unsafe_from_address = Int(w)}, steps, pairs_at(wide))
        for t in range(tile, tiles):
            var rows = height[Self.form](min(Self.ROWS, count - t * Self.ROWS))
            var a = packed.unsafe_offset(t * Self.ROWS * self.words())
            var to = sums.unsafe_offset((t - tile) * Self.ROWS * PANEL)
            var ahead = self.ahead(panel, start, steps, t - tile, team)
            comptime if Self.paired:
                a = a.unsafe_offset(start // 2 * rows)
                add_pairs[form=Self.form](rows, a, wide, ceildiv(steps, 2), to, how, ahead)
            elif Self.narrow:
                a = a.unsafe_offset(start * rows)
                add_products[form=Self.form](rows, a, wide, steps, to, how, ahead)
            else:
                a = a.unsafe_offset(start * rows)
                add_products[form=Self.form](rows, a, w, steps, to, how, ahead)

    def multiply_tiles(
        self,
        tile: Int,
        tiles: Int,
        panel: Int,
        start: Int,
        steps: Int,
        packed: Floats,
        sums: Floats,
        wide: Floats,
        split: Floats,
        mut patcher: Patcher,
    ):
        """As `multiply_span`, in tiles: a strip of weights is split just before it is used."""
        var terms = pairs_at(split)
        var b_apart = whole_steps(steps) // 2 * PANEL
        self.split_span(panel, start, steps, wide, terms, b_apart, patcher)
        var a_pitch = pitch(self.depth)
        for t in range(tile, tiles):
            var a = pairs_at(packed.unsafe_offset(t * Self.ROWS * self.words() + start // 2))
            var to = sums.unsafe_offset((t - tile) * Self.kinds * Self.ROWS * PANEL)
            var apart = Self.ROWS * a_pitch
            add_tiles[ONE, Self.real](a, a_pitch, apart, terms, b_apart, steps, to, start > 0)
            comptime if Self.kinds == 2:
                to = to.unsafe_offset(Self.ROWS * PANEL)
                add_tiles[CORRECTIONS, Self.real](
                    a, a_pitch, apart, terms, b_apart, steps, to, start > 0
                )

    @always_inline
    def split_span(
        self, panel: Int, start: Int, steps: Int, wide: Floats, terms: Pairs, apart: Int,
        mut patcher: Patcher,
    ):
        """A span's weights as terms of pairs, zeros up to whole tiles."""
        var w = self.w.unsafe_offset(panel * self.panel_size())
        comptime if Self.narrow:
            w = w.unsafe_offset(start // STEPS * group_size[Self.dtype]())
        else:
            w = w.unsafe_offset(start * PANEL)
        comptime if Self.paired:
            comptime if Self.narrow:
                self.widen_span(w, start, steps, wide, patcher, True)
            else:
                pair_weights({unsafe_from_address = Int(w)}, steps, pairs_at(wide))
            copy_pairs(pairs_at(wide), steps, terms)
        elif Self.narrow:
            self.widen_span(w, start, steps, wide, patcher, True)
            split_weights[Self.terms](wide, steps, terms, apart)
        else:
            for i in range(0, steps * PANEL, W):
                wide.unsafe_store(i, w.unsafe_load[width=W](i).cast[DType.float32]())
            split_weights[Self.terms](wide, steps, terms, apart)

    @always_inline
    def widen_span(
        self,
        w: Pointer[Scalar[Self.dtype], MutUntrackedOrigin],
        start: Int,
        steps: Int,
        wide: Floats,
        mut patcher: Patcher,
        ahead_too: Bool,
    ):
        """Narrow weights of a span, patched: as float32 `[steps, 32]`, or as pairs of steps."""
        var groups = ceildiv(steps, STEPS)
        comptime if Self.paired:
            widen_paired[Self.dtype, lanes(Self.form)](w, groups, pairs_at(wide), ahead_too)
            patch_paired(patcher, start * PANEL, steps * PANEL, pairs_at(wide))
        else:
            widen[Self.dtype, lanes(Self.form)](w, groups, wide, ahead_too)
            patcher.patch(start * PANEL, steps * PANEL, wide)

    @always_inline
    def ahead(self, panel: Int, start: Int, steps: Int, t: Int, team: Int) -> Floats:
        """What the t-th tile over a span prefetches, a line in each step or pair of steps.

        That is a piece of what comes next: the panel's next span, or the beginning of the panel
        that this worker will probably take.
        """
        comptime size = size_of[Scalar[Self.dtype]]()
        var panel_bytes = self.panel_size() * size
        var step_bytes = group_size[Self.dtype]() * size // STEPS if Self.narrow else PANEL * size
        var place = panel * panel_bytes + (start + steps) * step_bytes
        if start + steps >= self.depth:
            place = (panel + team) * panel_bytes
        var piece = t * (steps // 2 if Self.paired else steps) * LINE
        var there = piece >= steps * step_bytes or place >= self.panels() * panel_bytes
        return Floats(unsafe_from_address=Int(self.w) + (0 if there else place + piece))

    @always_inline
    def finish(self, sums: Floats, row: Int, column: Int):
        """One row of a tile on its way to memory; the last panel may be cut anywhere."""
        var count = min(PANEL, self.columns - column)
        for i in range(0, count // W * W, W):
            self.finish_at[W](sums.unsafe_load[width=W](i), row, column + i)
        for i in range(count // W * W, count):
            self.finish_at[1](sums.unsafe_load(i), row, column + i)

    @always_inline
    def finish_at[width: Int](self, sum: SIMD[DType.float32, width], row: Int, column: Int):
        """Scale, bias, activation and residual."""
        var value = sum
        comptime if Self.dtype.is_integral():
            value *= self.scale.unsafe_load[width=width](column)
        value += self.bias.unsafe_load[width=width](column)
        comptime if Self.act != NONE:
            value = bent[Self.act](value)
        var place = row * self.columns + column
        comptime if Self.residual:
            value = self.added.unsafe_load[width=width](place) + value
        self.y.unsafe_store(place, value)


def add_up(block: Floats, rows: Int, sums: Floats):
    """A block's sums `[rows, 32]`, added to those of the blocks before it."""
    for i in range(0, rows * PANEL, W):
        sums.unsafe_store(i, sums.unsafe_load[width=W](i) + block.unsafe_load[width=W](i))


@no_inline
def add_products[
    dtype: DType, //, form: Int
](
    rows: Int,
    a: Floats,
    w: Pointer[Scalar[dtype], MutUntrackedOrigin],
    steps: Int,
    sums: Floats,
    how: Int,
    ahead: Floats,
):
    """One tile's sums `[rows, 32]`, begun, gone on with or added to; `rows` is a height."""
    comptime for r in heights(form):
        if rows == r:
            comptime V = vectors_at_once(form, r)
            comptime for v in range(0, 2, V):
                var tile = Tile[r, V]()
                var to = sums.unsafe_offset(v * W)
                if how == CONTINUE:
                    tile.load(to, PANEL)
                comptime calls = r > 4 and v == 0
                tile.multiply[ahead_too=calls](a, 1, r, w.unsafe_offset(v * W), PANEL, steps, ahead)
                tile.store(to, PANEL, how == ADD)


@no_inline
def add_pairs[
    form: Int
](rows: Int, a: Floats, w: Floats, count: Int, sums: Floats, how: Int, ahead: Floats):
    """As `add_products`, of so many pairs of steps (pairs.mojo)."""
    comptime for r in heights(form):
        if rows == r:
            comptime V = vectors_at_once(form, r)
            comptime for v in range(0, 2, V):
                var tile = Tile[r, V]()
                var to = sums.unsafe_offset(v * W)
                if how == CONTINUE:
                    tile.load(to, PANEL)
                var columns = pairs_at(w.unsafe_offset(v * W))
                comptime calls = r > 4 and v == 0
                multiply_pairs[ahead_too=calls, real=HAS_PAIRS and is_widest(form)](
                    tile, pairs_at(a), columns, PANEL, count, ahead)
                tile.store(to, PANEL, how == ADD)


def copy_pairs(from_: Pairs, steps: Int, to: Pairs):
    """Pairs of so many steps; what an odd step is paired with and the rest of a tile are zeros."""
    var whole = steps // 2 * PANEL
    for i in range(0, whole, W):
        to.unsafe_store(i, from_.unsafe_load[width=W](i))
    for i in range(whole, whole_steps(steps) // 2 * PANEL, W):
        var last = from_.unsafe_load[width=W](i) & 0xFFFF if i < ceildiv(steps, 2) * PANEL else 0
        to.unsafe_store(i, last)


def pairs_at(words: Floats) -> Pairs:
    """The same memory, which holds pairs of bfloat16."""
    return Pairs(unsafe_from_address=Int(words))


@no_inline
def add_narrow[
    dtype: DType, //, form: Int, paired: Bool
](
    rows: Int,
    a: Floats,
    w: Pointer[Scalar[dtype], MutUntrackedOrigin],
    first: Int,
    groups: Int,
    sums: Floats,
    mut patcher: Patcher,
):
    """One tile's sums `[rows, 32]`, begun, of so many times four steps of narrow weights.

    `first` is the number of the first four in their panel. Patches are put in on the way; the next
    one of `patcher` is not before them.
    """
    comptime for r in heights(form):
        if rows == r:
            comptime if r <= low(form):
                add_narrow_half[form=form, paired=paired, rows=r, half=BOTH](
                    a, w, first, groups, sums, patcher
                )
            elif r <= in_registers(form):
                var again = patcher.copy()
                add_narrow_half[form=form, paired=paired, rows=r, half=0](
                    a, w, first, groups, sums, again
                )
                add_narrow_half[form=form, paired=paired, rows=r, half=1](
                    a, w, first, groups, sums, patcher
                )


@always_inline
def add_narrow_half[
    dtype: DType, //, form: Int, paired: Bool, rows: Int, half: Int
](
    a: Floats,
    w: Pointer[Scalar[dtype], MutUntrackedOrigin],
    first: Int,
    groups: Int,
    sums: Floats,
    mut patcher: Patcher,
):
    """As `add_narrow`, of half a panel or of both halves together."""
    var tile = NarrowTile[rows, lanes(form), half]()
    var next = patcher.group(first + groups)
    for g in range(groups):
        var group, patched = w.unsafe_offset(g * group_size[dtype]()), first + g == next
        comptime if paired:
            var pairs = pairs_at(a.unsafe_offset(g * STEPS // 2 * rows))
            multiply_four_paired[HAS_PAIRS and is_widest(form)](
                tile, pairs, group, patcher, patched
            )
        else:
            tile.multiply_four(a.unsafe_offset(g * STEPS * rows), group, patcher, patched)
        if patched:
            patcher.skip()
            next = patcher.group(first + groups)
    tile.store(sums)


@always_inline
def height[form: Int](rows: Int) -> Int:
    """The smallest tile that takes so many rows."""
    comptime for r in heights(form):
        if rows <= r:
            return r
    return rows_of(form)
