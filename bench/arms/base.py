"""What the worker needs of an arm."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from bench.workload.workload import Logits, Workload
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]
    Stamp = Callable[[], None]
    Cache = Literal["cold", "warm"]


class ArmUnavailable(RuntimeError):  # noqa: N818 - it is no error, but the reason of a SKIP
    """This arm cannot run here, told in one sentence."""


class Arm(ABC):
    """What the worker needs of an arm. Making one loads the model, `compile` makes it ready.

    Attributes:
        compiles: whether `compile` does anything; otherwise no `compile_s` is reported.
        cache: after `compile`, whether something was made anew (`cold`) or found (`warm`).
        runtime: name and version of what computes.
        kernel_path: which kernels compute, where the arm can tell.
        weight_bytes: memory of the weights as the arm holds them; None where it does not tell.
        weight_bits: that each weight takes; None for those of its dtype.
    """

    compiles: ClassVar[bool] = False
    cache: Cache | None = None
    runtime: str = ""
    kernel_path: str | None = None
    weight_bytes: int | None = None
    weight_bits: float | None = None

    @abstractmethod
    def __init__(self, checkpoint: Checkpoint, device: str, threads: int) -> None:
        """Load the weights; raises ArmUnavailable where this cannot run."""

    def compile(self, workloads: Sequence[Workload]) -> None:  # noqa: B027 - eager arms need none
        """Make ready for these workloads."""

    @abstractmethod
    def forward(self, ids: Array, logits: Logits) -> Array:
        """Token ids int64 `[batch, sequence]` to logits float32 on the host.

        Returns:
            `[batch, sequence, vocab_size]`, or for `last` `[batch, 1, vocab_size]`.
        """

    @abstractmethod
    def generate(self, ids: Array, n_new: int, stamp: Stamp) -> Array:
        """Greedy continuation: int64 `[batch, length]` to int64 `[batch, n_new]`.

        `stamp` is called once for each new token, as soon as it is on the host for every row.
        """

    def kv_bytes(self, workload: Workload) -> int | None:  # noqa: ARG002
        """Memory of the keys and values kept for a workload; None where it does not tell."""
        return None

    def peak_device_mib(self) -> float | None:
        """Most memory that was taken on the accelerator; None without one."""
        return None
