"""The engine of `impl/engine.py`: a KV cache, and this repository's kernels where they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bench.arms.base import Arm, ArmUnavailable
from bench.arms.caches import Watch, max_cache
from bench.arms.greedy import greedy
from impl.engine import Engine, EngineError
from impl.runtime import DeviceError, check_device
from reports.saved.environment import package_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from bench.arms.base import Stamp
    from bench.workload.workload import Logits, Workload
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]


class MaxEngine(Arm):
    """What `python -m impl generate` uses; MAX takes its threads from the CPU affinity."""

    compiles: ClassVar[bool] = True
    dtype: ClassVar[str] = "float32"
    kernels: ClassVar[str] = "auto"

    def __init__(self, checkpoint: Checkpoint, device: str, threads: int) -> None:  # noqa: ARG002
        try:
            check_device(device)
        except DeviceError as error:
            raise ArmUnavailable(str(error)) from error
        self._checkpoint, self._device = checkpoint, device
        self._engines: dict[int, Engine] = {}
        self.runtime = f"max {package_version('max')}"

    def compile(self, workloads: Sequence[Workload]) -> None:
        """Make an engine for each batch size; they share one program and its weights."""
        watch = Watch(max_cache())
        batches = list(dict.fromkeys(workload.batch for workload in workloads))
        first = self._engine(batches[0])
        self._engines = {batch: first.resized(batch) for batch in batches[1:]}
        self._engines[batches[0]] = first
        self.cache = watch.cache()
        self.kernel_path, self.weight_bytes = first.kernel_path, first.weight_bytes
        self.weight_bits = first.weight_bits

    def forward(self, ids: Array, logits: Logits) -> Array:
        """Logits float32 `[batch, sequence or 1, vocab_size]`."""
        engine = self._engines[len(ids)]
        engine.reset()
        found = engine.prefill(ids, logits=logits)
        return found if logits == "all" else found[:, None]

    def generate(self, ids: Array, n_new: int, stamp: Stamp) -> Array:
        """Greedy continuation: int64 `[batch, n_new]`."""
        engine = self._engines[len(ids)]
        engine.reset()
        return greedy(engine.prefill, engine.decode, ids, n_new, stamp)

    def kv_bytes(self, workload: Workload) -> int:
        """Keys and values, for as many tokens as the model has positions."""
        return self._engines[workload.batch].cache_bytes

    def _engine(self, batch: int) -> Engine:
        try:
            return Engine(
                self._checkpoint.config, self._checkpoint.weights, self._device,
                batch=batch, dtype=self.dtype, kernels=self.kernels,
            )  # fmt: skip
        except EngineError as error:
            raise ArmUnavailable(f"the engine cannot be built: {error}") from error


class MaxEngineBF16(MaxEngine):
    """The same with weights in bfloat16; activations, sums and cache stay float32."""

    dtype: ClassVar[str] = "bfloat16"


class MaxEngineBF16Products(MaxEngine):
    """The same with weights and inputs of linear layers in bfloat16; their sums stay float32."""

    dtype: ClassVar[str] = "bfloat16-products"


class MaxEngineBF16Cache(MaxEngine):
    """The same with keys and values in bfloat16 besides."""

    dtype: ClassVar[str] = "bfloat16-cache"


class MaxEngineInt8(MaxEngine):
    """The same with weights in 8 bits, and a scale for each output."""

    dtype: ClassVar[str] = "int8"


class MaxStock(MaxEngine):
    """The same with MAX's own operations alone."""

    kernels: ClassVar[str] = "stock"
