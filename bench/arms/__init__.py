"""The arms: who runs the workloads. One file each, imported in the arm's own process only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    import numpy.typing as npt

    from bench.workloads import Workload
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]


class ArmUnavailable(RuntimeError):  # noqa: N818 - it is no error, but the reason of a SKIP
    """This arm cannot run here, told in one sentence."""


class Arm(Protocol):
    """What the worker needs of an arm. Making one loads the model, `compile` makes it ready."""

    compiles: ClassVar[bool]
    """Whether `compile` does anything; otherwise no `compile_s` is reported."""

    def __init__(self, checkpoint: Checkpoint, device: str, threads: int) -> None:
        """Load the weights; raises ArmUnavailable where this cannot run."""

    def compile(self, workloads: list[Workload]) -> None:
        """Make ready for these workloads."""

    def forward(self, ids: Array) -> Array:
        """Token ids int64 `[batch, sequence]` to logits float32 `[batch, sequence, vocab_size]`."""

    def generate(self, ids: Array, n_gen: int) -> Array:
        """Greedy continuation: int64 `[batch, length]` to int64 `[batch, n_gen]`."""


@dataclass(frozen=True, slots=True)
class ArmSpec:
    """What the parent process knows of an arm without importing it.

    Attributes:
        adapter: `module:class`.
        kv_cache: whether generation keeps keys and values, rather than computing them anew.
        candidate: whether it runs the MAX model, whose speed counts only when it is verified.
    """

    adapter: str
    kv_cache: bool
    candidate: bool


ARMS: dict[str, ArmSpec] = {
    "max": ArmSpec("bench.arms.max_readable:MaxReadable", kv_cache=False, candidate=True),
    "torch": ArmSpec("bench.arms.torch_eager:TorchEager", kv_cache=True, candidate=False),
}

BASELINE = "torch"
"""The arm that ratios are taken to, where it takes part."""


def spec_of(label: str) -> ArmSpec:
    """The spec behind a label: an arm that runs twice is `torch` and `torch#2`."""
    return ARMS[label.partition("#")[0]]


def labels_of(names: list[str]) -> list[str]:
    """Tell the runners of one and the same arm apart: `torch, torch` is `torch, torch#2`."""
    seen: dict[str, int] = {}
    labels = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        labels.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return labels
