"""OpenVINO on the CPU: the ONNX export read by OpenVINO, its cache made the model's own state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import openvino as ov
from openvino._offline_transformations import apply_make_stateful_transformation

from bench.arms.base import Arm
from bench.arms.exported import cache_names
from bench.arms.greedy import greedy
from bench.arms.onnxruntime import FILE, onnx_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from bench.arms.base import Stamp
    from bench.workload.workload import Logits, Workload
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]

SETTINGS = {
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the CPU has it
    "KV_CACHE_PRECISION": "f32",  # else 8 bits
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}


class OpenVino(Arm):
    """An infer request that keeps keys and values as states."""

    compiles: ClassVar[bool] = True

    def __init__(self, checkpoint: Checkpoint, device: str, threads: int) -> None:  # noqa: ARG002
        self._checkpoint, self._config, self._threads = checkpoint, checkpoint.config, threads
        self.runtime = f"openvino {ov.__version__.partition('-')[0]}"
        self.weight_bytes = sum(array.nbytes for array in checkpoint.weights.values())

    def compile(self, workloads: Sequence[Workload]) -> None:  # noqa: ARG002 - one graph for all
        """Convert where that was not done before, and compile for this CPU."""
        folder, self.cache = onnx_folder(self._checkpoint)
        core = ov.Core()
        model = core.read_model(folder / FILE)
        layers, config = self._config.n_layer, self._config
        shape = [-1, config.n_head, -1, config.head_dim]
        past, present = cache_names(layers, "past"), cache_names(layers, "present")
        model.reshape({name: ov.PartialShape(shape) for name in past})
        apply_make_stateful_transformation(model, dict(zip(past, present, strict=True)))
        settings = {**SETTINGS, "INFERENCE_NUM_THREADS": self._threads}
        self._request = core.compile_model(model, "CPU", settings).create_infer_request()

    def forward(self, ids: Array, logits: Logits) -> Array:
        """Logits float32 `[batch, sequence or 1, vocab_size]`."""
        rows = np.arange(ids.shape[1]) if logits == "all" else np.array([ids.shape[1] - 1])
        self._forget(len(ids))
        return self._run(ids, rows)

    def generate(self, ids: Array, n_new: int, stamp: Stamp) -> Array:
        """Greedy continuation: int64 `[batch, n_new]`."""
        self._forget(len(ids))

        def advance(tokens: Array) -> Array:
            return self._run(tokens, np.array([tokens.shape[1] - 1]))[:, 0]

        return greedy(advance, lambda tokens: advance(tokens[:, None]), ids, n_new, stamp)

    def kv_bytes(self, workload: Workload) -> int:
        """Keys and values grow with the sequence: this many at the end."""
        return 2 * self._config.n_layer * self._config.n_embd * 4 * workload.batch * workload.length

    def _forget(self, batch: int) -> None:
        shape = batch, self._config.n_head, 0, self._config.head_dim
        for state in self._request.query_state():
            state.state = ov.Tensor(np.zeros(shape, np.float32))

    def _run(self, ids: Array, rows: Array) -> Array:
        self._request.infer({"ids": ids, "rows": rows}, share_inputs=True)
        result: Array = self._request.get_tensor("logits").data.copy()
        return result
