"""A candidate's plain graph alone, as it ships: compiled for speed, without taps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from max.dtype import DType

from impl.runtime import open_device
from verify.candidate.guard import compiling
from verify.candidate.program import CompiledProgram
from verify.pairing.outline import gpt2_outline
from verify.pairing.prepare import paired_with, settle

if TYPE_CHECKING:
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
        opened = open_device(device)
        try:
            origin = subject.built(checkpoint.config, device, DType.float32)
            reference = gpt2_outline(checkpoint)
            self._paired = paired_with(subject, origin, reference, DType.float32.name)
            program, libraries = origin.shipped(last=last)
        finally:
            subject.end()
        with compiling(subject.name):
            self._compiled = CompiledProgram(program.program(), opened, "the model", libraries)
        settle(self._paired, checkpoint, subject.corrections, run=self._tried(checkpoint))
        self._bind(self._paired, checkpoint)

    def _tried(self, checkpoint: Checkpoint) -> Any:
        def run(paired: PairedCandidate, ids: Array) -> Array:
            self._bind(paired, checkpoint)
            return self(ids)

        return run

    def _bind(self, paired: PairedCandidate, checkpoint: Checkpoint) -> None:
        self._weights = paired.weights_of(checkpoint.weights)
        self._bound = self._compiled.bind(self._weights)

    def __call__(self, ids: Array) -> Array:
        """Logits `[batch, sequence, vocab_size]` of every position, on the host."""
        return self._bound.run("plain", [ids])[0]

    def logits(self, ids: Array) -> Array:
        """Logits `[batch, vocab_size]` of the last position; needs `last`."""
        return self._bound.run("last", [ids])[0]
