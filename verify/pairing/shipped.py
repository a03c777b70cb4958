"""A candidate's plain graph alone, as it ships: compiled for speed, without taps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from max.dtype import DType
from max.graph import Module as Program

from impl.log_thread import log_thread_yields
from impl.runtime import input_type
from verify.candidate.guard import compiling
from verify.candidate.staging import CompiledProgram, stage, to_array, to_buffer
from verify.pairing.prepare import prepare, settle

if TYPE_CHECKING:
    from max.experimental.tensor import Tensor

    from reference.checkpoint import Checkpoint
    from reference.trace import Array
    from verify.pairing.prepare import NamedCandidate
    from verify.pairing.translated import PairedCandidate


class Shipped:
    """A candidate in float32 with a checkpoint's weights: token ids to logits.

    Args:
        subject: the candidate.
        checkpoint: configuration and weights.
        device: name of the device.
        last: whether to compile, besides, a graph that returns the last position's logits alone.

    Raises:
        verify.candidate.guard.CandidateError: whatever is wrong with the candidate.
        verify.pairing.counterpart.PairingError: whatever is wrong with the pairing file.
    """

    def __init__(
        self, subject: NamedCandidate, checkpoint: Checkpoint, device: str, *, last: bool = False
    ) -> None:
        self.config = checkpoint.config
        # A program of the caller's own: what is traced into it here is never compiled.
        self._paired = prepare(subject, checkpoint, device, DType.float32, Program())
        with compiling(subject.name):
            self._compiled = _compiled(self._paired, last=last)
        settle(self._paired, checkpoint, subject.corrections, run=self._tried(checkpoint))
        self._bind(self._paired, checkpoint)

    def _tried(self, checkpoint: Checkpoint) -> Any:
        def run(paired: PairedCandidate, ids: Array) -> Array:
            self._bind(paired, checkpoint)
            return self(ids)

        return run

    def _bind(self, paired: PairedCandidate, checkpoint: Checkpoint) -> None:
        prefix = paired.candidate.name
        weights = paired.weights_of(checkpoint.weights)
        self._weights = {f"{prefix}{name}": array for name, array in weights.items()}
        self._models = self._compiled.models(self._weights)

    def __call__(self, ids: Array) -> Array:
        """Logits `[batch, sequence, vocab_size]` of every position, on the host."""
        return self._run("plain", ids)

    def logits(self, ids: Array) -> Array:
        """Logits `[batch, vocab_size]` of the last position; needs `last`."""
        return self._run("last", ids)

    def _run(self, graph: str, ids: Array) -> Array:
        tokens = to_buffer(ids).to(self._paired.candidate.device)
        with log_thread_yields(on_host=self._paired.candidate.device.is_host):
            (logits,) = self._models[graph].execute(tokens)
        return to_array(logits)


def _compiled(paired: PairedCandidate, *, last: bool) -> CompiledProgram:
    program = Program()
    forward, device = paired.candidate.forward, paired.candidate.device

    def last_position(ids: Tensor) -> Tensor:
        logits: Tensor = forward(ids)[:, -1, :]  # [B, S, vocab_size] -> [B, vocab_size]
        return logits

    stage("plain", forward, [input_type(device)], program)
    if last:
        stage("last", last_position, [input_type(device)], program)
    return CompiledProgram(program, device, "the model")
