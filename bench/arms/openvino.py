"""OpenVINO on the CPU: the ONNX export read by OpenVINO, its cache made the model's own state."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import openvino as ov
from openvino._offline_transformations import apply_make_stateful_transformation

from bench.arms import exported
from bench.arms.base import Arm
from bench.arms.caches import converted
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

FILE_8_BITS = "model.xml"

FLOAT32 = {
    "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the CPU has it
    "KV_CACHE_PRECISION": "f32",  # else 8 bits
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}
"""What OpenVINO computes in, unless it is told, is what it thinks is fast here."""


class OpenVino(Arm):
    """An infer request that keeps keys and values as states."""

    compiles: ClassVar[bool] = True
    settings: ClassVar[dict[str, str]] = FLOAT32

    def __init__(self, checkpoint: Checkpoint, device: str, threads: int) -> None:  # noqa: ARG002
        self._checkpoint, self._config, self._threads = checkpoint, checkpoint.config, threads
        self.runtime = f"openvino {ov.__version__.partition('-')[0]}"
        self.weight_bytes = sum(array.nbytes for array in checkpoint.weights.values())

    def compile(self, workloads: Sequence[Workload]) -> None:  # noqa: ARG002 - one graph for all
        """Convert where that was not done before, and compile for this CPU."""
        core = ov.Core()
        model = core.read_model(self._file())
        layers, config = self._config.n_layer, self._config
        shape = [-1, config.n_head, -1, config.head_dim]
        past, present = cache_names(layers, "past"), cache_names(layers, "present")
        model.reshape({name: ov.PartialShape(shape) for name in past})
        apply_make_stateful_transformation(model, dict(zip(past, present, strict=True)))
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": self._threads}
        settings |= self.settings
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

    def _file(self) -> Path:
        folder, self.cache = onnx_folder(self._checkpoint)
        return folder / FILE

    def _forget(self, batch: int) -> None:
        shape = batch, self._config.n_head, 0, self._config.head_dim
        for state in self._request.query_state():
            state.state = ov.Tensor(np.zeros(shape, np.float32))

    def _run(self, ids: Array, rows: Array) -> Array:
        self._request.infer({"ids": ids, "rows": rows}, share_inputs=True)
        result: Array = self._request.get_tensor("logits").data.copy()
        return result


class OpenVinoInt8(OpenVino):
    """Weights in 8 bits as OpenVINO's own tool (NNCF) rounds them, with a scale for each output.

    How it computes is left to OpenVINO: it may round the inputs of linear layers to 8 bits as they
    come, and take bfloat16 for the rest.
    """

    settings: ClassVar[dict[str, str]] = {}

    def __init__(self, checkpoint: Checkpoint, device: str, threads: int) -> None:
        super().__init__(checkpoint, device, threads)
        self.weight_bytes = None

    def _file(self) -> Path:
        os.environ["NNCF_CI"] = "1"  # else it reports its use to a service of analytics
        import nncf

        core, kind = ov.Core(), f"openvino-{ov.__version__}-nncf-{nncf.__version__}"

        def make(to: Path) -> None:
            model = core.read_model(OpenVino._file(self))
            ov.save_model(nncf.compress_weights(model), to / FILE_8_BITS, compress_to_fp16=False)

        folder, self.cache = converted(
            self._checkpoint, kind, [Path(__file__), Path(exported.__file__)], make
        )
        return folder / FILE_8_BITS


class OpenVinoBF16(OpenVino):
    """The same in bfloat16, weights and activations: what it takes by itself on many CPUs."""

    settings: ClassVar[dict[str, str]] = {**FLOAT32, "INFERENCE_PRECISION_HINT": "bf16"}

    def __init__(self, checkpoint: Checkpoint, device: str, threads: int) -> None:
        super().__init__(checkpoint, device, threads)
        self.weight_bytes = None  # it does not tell what it keeps beside them in float32
