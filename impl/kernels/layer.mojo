"""A layer of GPT-2: attention over a cache, then the MLP."""

from .attention import Attention
from .linear import Linear
from .team import Worker
from .tile import Floats


@fieldwise_init
struct Layer[dtype: DType, head_vectors: Int](Copyable, Movable):
    """The steps of a layer, each on what the one before it wrote. The last one writes over x."""

    var attend: Linear[Self.dtype, True, False, False]  # query, key and value
    var attention: Attention[Self.head_vectors]
    var project: Linear[Self.dtype, False, False, True]
    var expand: Linear[Self.dtype, True, True, False]
    var contract: Linear[Self.dtype, False, False, True]

    def at(self, layer: Int) -> Self:
        """The same of another layer, whose weights and cache lie behind those of the first."""
        return Self(
            self.attend.at(layer),
            self.attention.at(layer),
            self.project.at(layer),
            self.expand.at(layer),
            self.contract.at(layer),
        )

    def steps(self) -> Int:
        """Steps of a walk."""
        return 4 * self.attend.steps() + self.attention.steps()

    def work(self) -> Int:
        """Multiply-adds of the linear layers."""
        return self.attend.work() + self.project.work() + 2 * self.expand.work()

    def scratch(self) -> Int:
        """Floats that each step's activations take at most."""
        return max(self.attend.scratch(), self.contract.scratch())

    def walk(self, mut worker: Worker, packed: Floats):
        """Compute a worker's share."""
        self.attend.walk(worker, packed)
        self.attention.walk(worker)
        self.project.walk(worker, packed)
        self.expand.walk(worker, packed)
        self.contract.walk(worker, packed)
