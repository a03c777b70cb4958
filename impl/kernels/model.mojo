"""All of GPT-2, one fork and join: token ids to the logits of the states that are asked for."""

from .activation import NONE
from .attention import Integers
from .embedding import Embedding
from .form import TILES
from .layer import Layer
from .linear import Linear
from .team import Worker, together
from .tile import Floats, floats
from .tiles import HAS_TILES, configure_tiles, release_tiles


@fieldwise_init
struct Model[
    dtype: DType, head_vectors: Int, act: Int, form: Int, unit: Int, cached: DType = DType.float32
](Copyable, Movable):
    """The embedding, a layer that stands for all of them, and the head."""

    var embedding: Embedding[Self.dtype]
    var layer: Layer[  # the first
        Self.dtype, Self.head_vectors, Self.act, Self.form, Self.unit, Self.cached
    ]
    var layers: Int
    var asked: Integers  # [lm_head.rows]: states whose logits are wanted
    var lm_head: Linear[Self.dtype, True, NONE, False, Self.form, Self.unit]  # after ln_f

    def run(self):
        """Compute the logits."""
        var packed = floats(max(self.layer.scratch(), self.lm_head.scratch()))

        def walk(mut worker: Worker) {imm}:
            comptime if Self.form == TILES and HAS_TILES:
                configure_tiles()
            self.embedding.walk(worker)
            for i in range(self.layers):
                self.layer.of_layer(i).walk(worker, packed)
            self.gather(worker)
            self.lm_head.walk(worker, packed)
            comptime if Self.form == TILES and HAS_TILES:
                release_tiles()

        var steps = 2 + self.layers * self.layer.steps() + self.lm_head.steps()
        var work = self.layers * self.layer.work() + self.lm_head.work()
        together(steps, work, max(self.layer.mlp_c_proj.own(), self.lm_head.own()), walk)
        packed.unsafe_free()

    def gather(self, mut worker: Worker):
        """Bring the states that are asked for together, where the head reads them."""
        var size = self.lm_head.depth

        def copy(row: Int) {imm}:
            var state = Int(self.asked.unsafe_load(row)) * size
            for k in range(size):
                self.lm_head.x.unsafe_store(row * size + k, self.embedding.x.unsafe_load(state + k))

        worker.share(self.lm_head.rows, copy)
