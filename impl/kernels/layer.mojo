"""A whole layer of GPT-2, one fork and join: attention over a cache, then the MLP."""

from .attention import Attention
from .linear import Linear
from .team import Worker, together


@fieldwise_init
struct Layer[dtype: DType, head_vectors: Int](Copyable, Movable):
    """The steps of a layer, each on what the one before it wrote."""

    var attend: Linear[Self.dtype, True, False, False]  # query, key and value
    var attention: Attention[Self.head_vectors]
    var project: Linear[Self.dtype, False, False, True]
    var widen: Linear[Self.dtype, True, True, False]
    var narrow: Linear[Self.dtype, False, False, True]

    def run(self):
        """Compute the layer."""
        var a, b = self.attend.scratch(), self.project.scratch()
        var c, d = self.widen.scratch(), self.narrow.scratch()

        def walk(mut worker: Worker) {imm}:
            self.attend.walk(worker, a)
            self.attention.walk(worker)
            self.project.walk(worker, b)
            self.widen.walk(worker, c)
            self.narrow.walk(worker, d)

        var steps = 4 * self.attend.steps() + self.attention.steps()
        var work = self.attend.work() + self.project.work() + 2 * self.widen.work()
        together(steps, work, walk)
        a.unsafe_free()
        b.unsafe_free()
        c.unsafe_free()
        d.unsafe_free()
