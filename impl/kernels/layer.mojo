"""A layer of GPT-2: attention over a cache, then the MLP."""

from .activation import NONE
from .attention import Attention
from .linear import Linear
from .team import Worker
from .tile import Floats


@fieldwise_init
struct Layer[
    dtype: DType, head_vectors: Int, act: Int, form: Int, unit: Int, cached: DType = DType.float32
](Copyable, Movable):
    """The steps of a layer, each on what the one before it wrote. The last one writes over x."""

    var c_attn: Linear[Self.dtype, True, NONE, False, Self.form, Self.unit]  # after ln_1; query, key and value
    var attention: Attention[Self.head_vectors, Self.form, Self.cached]
    var attn_c_proj: Linear[Self.dtype, False, NONE, True, Self.form, Self.unit]  # and the residual
    var c_fc: Linear[Self.dtype, True, Self.act, False, Self.form, Self.unit]  # after ln_2; and the activation
    var mlp_c_proj: Linear[Self.dtype, False, NONE, True, Self.form, Self.unit]  # and the residual

    def of_layer(self, layer: Int) -> Self:
        """The same of another layer, whose weights and cache lie behind those of the first."""
        return Self(
            self.c_attn.of_layer(layer),
            self.attention.of_layer(layer),
            self.attn_c_proj.of_layer(layer),
            self.c_fc.of_layer(layer),
            self.mlp_c_proj.of_layer(layer),
        )

    def steps(self) -> Int:
        """Steps of a walk."""
        return 4 * self.c_attn.steps() + self.attention.steps()

    def work(self) -> Int:
        """Multiply-adds of the linear layers."""
        return self.c_attn.work() + self.attn_c_proj.work() + 2 * self.c_fc.work()

    def scratch(self) -> Int:
        """Floats that each step's activations take at most."""
        return max(self.c_attn.scratch(), self.mlp_c_proj.scratch())

    def walk(self, mut worker: Worker, packed: Floats):
        """Compute a worker's share."""
        self.c_attn.walk(worker, packed)
        self.attention.walk(worker)
        self.attn_c_proj.walk(worker, packed)
        self.c_fc.walk(worker, packed)
        self.mlp_c_proj.walk(worker, packed)
