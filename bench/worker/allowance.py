"""How far a coarse pass may be off: found once for a checkpoint, a dtype and a size, and kept.

    ratio    = largest over some drawn inputs of max |coarse - float32| / max |float32|, in logits
    allowed  = COARSE_FACTOR * ratio * max |float32| of the inputs that were timed

The ratio of float32 itself is over float64; by it a runtime that is asked for float32 is known
(`bench.worker.referee.Referee.exactness`).

The coarse pass is PyTorch's own: in bfloat16 as it is, in float16 with every result rounded
(`bench.worker.rounding`), because many CPUs have no float16 arithmetic. In 8 bits it is a pass in
float32 whose matrices are rounded to 8 bits with a scale for each output, and the inputs of linear
layers with one for each position. Runtimes choose scales for rows, for blocks of 32, with an offset
or without, and some leave activations as they are: scales of whole rows are the coarsest of these,
and three times their error is what the class may be off by. From input to input the
ratio hardly moves (`tiny`, float16: 1.0e-3 to 1.4e-3), so it is not found for each block anew: that
took 85% of a run of 22 minutes. It is kept beside the peers' conversions (`bench.arms.caches`), by
the weights, this code, PyTorch's version and the CPU.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.arms.caches import conversions
from bench.worker import rounding
from bench.worker.rounding import RoundedResults, eight_bits, round_inputs
from impl.packing import held_state
from reference.huggingface import load_model
from reports.saved.files import write
from reports.saved.machine import cpu_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from bench.workload.workload import Workload
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]

DRAWS = 3
"""Inputs of one row each."""


class Allowances:
    """Ratios of one checkpoint.

    Args:
        checkpoint: the weights.
        model: PyTorch's, in float32.
    """

    def __init__(self, checkpoint: Checkpoint, model: Any) -> None:
        self._checkpoint, self._model = checkpoint, model
        self._file = conversions() / "allowances" / f"{checkpoint.sha256[:16]}.json"
        self._known = _read(self._file)

    def ratio(self, workload: Workload, dtype: str) -> float:
        """The ratio for a workload in a coarse dtype; found now where it is not known."""
        key = self._key(workload, dtype)
        if key not in self._known:
            self._known[key] = self._find(workload, dtype)
            self._keep()
        return self._known[key]

    def _key(self, workload: Workload, dtype: str) -> str:
        sources = b"".join(Path(name).read_bytes() for name in (__file__, rounding.__file__))
        code = hashlib.sha256(sources).hexdigest()[:8]
        length, rows = _size(workload)
        return f"{dtype}, {rows} of {length}, {cpu_model()}, torch {torch.__version__}, {code}"

    def _find(self, workload: Workload, dtype: str) -> float:
        length, rows = _size(workload)
        model, coarse = self._model, _Coarse(self._checkpoint, dtype)
        if dtype == "float32":
            model = load_model(self._checkpoint, torch.float64)
        ratios = []
        for draw in range(DRAWS):
            rng = np.random.default_rng([draw, length])
            ids = torch.from_numpy(
                rng.integers(self._checkpoint.config.vocab_size, size=(1, length))
            )
            with torch.inference_mode():
                expected = model(ids, use_cache=False).logits[:, -rows:]
                found = coarse(ids)[:, -rows:]
            ratios.append(float((found - expected).abs().max() / expected.abs().max()))
        return max(ratios)

    def _keep(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write(self._file, json.dumps({**_read(self._file), **self._known}, indent=1) + "\n")


class _Coarse:
    """PyTorch's model in a coarse dtype; logits in float32."""

    def __init__(self, checkpoint: Checkpoint, dtype: str) -> None:
        self._results: torch.dtype | None = None
        match dtype:
            case "float16":
                self._results = torch.float16
                self._model = _holding(checkpoint, _float16(checkpoint.weights))
            case "int8":
                self._model = _holding(checkpoint, held_state(checkpoint.weights, "int8"))
                round_inputs(self._model, eight_bits)
            case _:
                self._model = load_model(checkpoint, getattr(torch, dtype))

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        if self._results is None:
            return self._model(ids, use_cache=False).logits.float()
        with RoundedResults(self._results):
            return self._model(ids, use_cache=False).logits


def _holding(checkpoint: Checkpoint, weights: Mapping[str, Array]) -> Any:
    """PyTorch's model in float32, with other weights."""
    return load_model(dataclasses.replace(checkpoint, weights=dict(weights)), torch.float32)


def _float16(weights: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array.astype(np.float16).astype(np.float32) for name, array in weights.items()}


def _size(workload: Workload) -> tuple[int, int]:
    """Tokens of a row, and how many of its last positions have logits that count."""
    if workload.n_gen:
        return workload.prompt_length + workload.n_new - 1, workload.n_new
    return workload.n_prompt, workload.n_prompt if workload.logits == "all" else 1


def _read(file: Path) -> dict[str, float]:
    """What was kept; nothing where it cannot be read, which costs finding it again."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): float(value) for key, value in found.items()}
