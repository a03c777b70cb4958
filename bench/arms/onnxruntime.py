"""ONNX Runtime with PyTorch's export of the model and its KV cache.

On a GPU it needs the package `onnxruntime-gpu` in the peers' environment in place of `onnxruntime`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import onnxruntime as ort

from bench.arms import exported as exported_module
from bench.arms import tf32
from bench.arms.base import Arm, ArmUnavailable
from bench.arms.caches import converted
from bench.arms.exported import cache_names, export_onnx
from bench.arms.greedy import greedy

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from bench.arms.base import Stamp
    from bench.workload.workload import Logits, Workload
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]

FILE = "model.onnx"
CUDA = "CUDAExecutionProvider"


class OnnxRuntime(Arm):
    """An `InferenceSession`; keys and values stay in its own memory between steps."""

    compiles: ClassVar[bool] = True

    def __init__(self, checkpoint: Checkpoint, device: str, threads: int) -> None:
        self._memory, self._providers = placed(device)
        self._checkpoint, self._config, self._threads = checkpoint, checkpoint.config, threads
        self.runtime = f"onnxruntime {ort.__version__}"
        self.weight_bytes = sum(array.nbytes for array in checkpoint.weights.values())

    def compile(self, workloads: Sequence[Workload]) -> None:  # noqa: ARG002 - one graph for all
        """Convert where that was not done before, and let the runtime optimise the graph."""
        folder, self.cache = onnx_folder(self._checkpoint)
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(
            folder / FILE, options, providers=[*self._providers, "CPUExecutionProvider"]
        )
        used = self._session.get_providers()
        if self._providers and CUDA not in used:  # it goes on with the CPU, and says so in its log
            raise ArmUnavailable(
                "ONNX Runtime cannot load the libraries of CUDA; its log says which"
            )
        self.kernel_path = ", ".join(used)
        layers = self._config.n_layer
        self._past, self._present = cache_names(layers, "past"), cache_names(layers, "present")

    def forward(self, ids: Array, logits: Logits) -> Array:
        """Logits float32 `[batch, sequence or 1, vocab_size]`."""
        rows = np.arange(ids.shape[1]) if logits == "all" else np.array([ids.shape[1] - 1])
        return self._run(ids, rows, self._empty(len(ids)))[0]

    def generate(self, ids: Array, n_new: int, stamp: Stamp) -> Array:
        """Greedy continuation: int64 `[batch, n_new]`."""
        kept = self._empty(len(ids))

        def advance(tokens: Array) -> Array:
            nonlocal kept
            logits, kept = self._run(tokens, np.array([tokens.shape[1] - 1]), kept)
            return logits[:, 0]

        return greedy(advance, lambda tokens: advance(tokens[:, None]), ids, n_new, stamp)

    def kv_bytes(self, workload: Workload) -> int:
        """Keys and values grow with the sequence: this many at the end."""
        return 2 * self._config.n_layer * self._config.n_embd * 4 * workload.batch * workload.length

    def _empty(self, batch: int) -> list[Any]:
        shape = batch, self._config.n_head, 0, self._config.head_dim
        return [
            ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32), *self._memory)
            for _ in self._past
        ]

    def _run(self, ids: Array, rows: Array, past: Sequence[Any]) -> tuple[Array, list[Any]]:
        """One pass; the cache goes in and comes out without a copy to numpy."""
        binding = self._session.io_binding()
        binding.bind_cpu_input("ids", ids)
        binding.bind_cpu_input("rows", rows)
        for name, value in zip(self._past, past, strict=True):
            binding.bind_ortvalue_input(name, value)
        binding.bind_output("logits")
        for name in self._present:
            binding.bind_output(name, *self._memory)
        self._session.run_with_iobinding(binding)
        logits, *present = binding.get_outputs()
        return logits.numpy(), present


def placed(device: str) -> tuple[tuple[str, int], list[Any]]:
    """Where keys and values are kept on a device of MAX's name, and who computes there.

    Returns:
        ONNX Runtime's name of the memory with its number, and providers with their options.

    Raises:
        ArmUnavailable: for a GPU where this ONNX Runtime has no CUDA.
    """
    if device == "cpu":
        return ("cpu", 0), []
    if CUDA not in ort.get_available_providers():
        raise ArmUnavailable(
            f"this ONNX Runtime ({ort.__version__}) is for the CPU alone: install onnxruntime-gpu "
            "in its place, in the peers' environment"
        )
    ort.preload_dlls()  # those that PyTorch's packages brought
    number = int(device.partition(":")[2] or 0)
    chosen = tf32.allowed()
    options = {"device_id": number} | ({} if chosen is None else {"use_tf32": int(chosen)})
    return ("cuda", number), [(CUDA, options)]


def onnx_folder(checkpoint: Checkpoint) -> tuple[Path, Any]:
    """The folder with the ONNX file of a checkpoint, and whether it was made just now."""
    sources = [Path(exported_module.__file__)]
    return converted(checkpoint, "onnx", sources, lambda to: export_onnx(checkpoint, to / FILE))
