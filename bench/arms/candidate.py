"""The user's own model (`--candidate`), compiled as it ships; new tokens compute all anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.arms.caches import Watch, max_cache
from bench.arms.max_readable import MaxReadable
from verify.pairing.prepare import subject_of
from verify.pairing.shipped import Shipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.workload.workload import Workload
    from reference.checkpoint import Checkpoint


class OwnModel(MaxReadable):
    """The model that `python -m verify --candidate` judges, from its plain graph alone.

    The last position's logits are cut out of all of them: of a head nothing is known.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str,
        threads: int,
        *,
        candidate: str,
        pairing: str = "",
        output: str = "logits",
        padded_vocab: bool = False,
    ) -> None:
        super().__init__(checkpoint, device, threads)
        file = Path(pairing) if pairing else None
        self._subject = subject_of(
            candidate, file, output, checkpoint.config.n_layer, padded_vocab=padded_vocab
        )

    def compile(self, workloads: Sequence[Workload]) -> None:
        """Compile the program of all logits, with that of the last position's where it is used."""
        watch = Watch(max_cache())
        last = any(workload.logits_policy == "last" for workload in workloads)
        shipped = Shipped(self._subject, self._checkpoint, self._device, last=last)
        self._all = self._last = shipped
        self.cache = watch.cache()
