"""The checkpoints of a folder, in the order of their steps."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reference.checkpoint import CheckpointError, weights_sha256
from reference.load import config_of, load
from reports.commands import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from reference.checkpoint import Checkpoint

RECORD = "training.json"
NAME = re.compile(r"checkpoint-(\d+)")
"""Of a checkpoint's folder, as `python -m reference finetune` and transformers' Trainer name it."""


@dataclass(frozen=True, slots=True)
class FoundCheckpoint:
    """A checkpoint that was not read yet.

    Attributes:
        folder: where it is.
        step: after which it was kept.
        told: what `training.json` says of it; empty without one.
    """

    folder: Path
    step: int
    told: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.folder.name

    def load(self) -> Checkpoint:
        """Its configuration and weights.

        Raises:
            CheckpointError: for files that cannot be used, or weights that are not those which
                `training.json` says.
        """
        checkpoint = load(str(self.folder))
        known = self.told.get("sha256")
        if known is not None and weights_sha256(checkpoint.weights) != known:
            raise CheckpointError(f"{self.folder} is not what {RECORD} says: its weights changed")
        return checkpoint


@dataclass(frozen=True, slots=True)
class FoundTraining:
    """A folder with checkpoints.

    Attributes:
        checkpoints: in the order of their steps.
        told: `training.json`; empty without one.
    """

    checkpoints: Sequence[FoundCheckpoint]
    told: Mapping[str, Any]


def find(folder: Path, steps: Sequence[int] | None = None) -> FoundTraining:
    """Find the checkpoints of a fine-tuning.

    Args:
        folder: with folders `checkpoint-N`.
        steps: those that are asked for; None for all.

    Raises:
        UsageError: where there are none, one that is asked for is missing, `training.json` is
            damaged, or they have unlike configurations.
        CheckpointError: where a configuration cannot be read.
    """
    told = _record(folder)
    by_step = {int(each["step"]): each for each in told.get("checkpoints", ())}
    found = {
        int(match[1]): path
        for path in (sorted(folder.iterdir()) if folder.is_dir() else ())
        if (match := NAME.fullmatch(path.name)) and path.is_dir()
    }
    if not found:
        raise UsageError(f"{folder} has no checkpoints, folders that are named checkpoint-N")
    if missing := [step for step in steps or () if step not in found]:
        raise UsageError(
            f"--steps: {folder} has no checkpoint-{missing[0]}; it has those of "
            f"{', '.join(map(str, sorted(found)))}"
        )
    chosen = sorted(found if steps is None else set(steps))
    checkpoints = [FoundCheckpoint(found[s], s, by_step.get(s, {})) for s in chosen]
    _check_alike(checkpoints)
    return FoundTraining(checkpoints, told)


def _record(folder: Path) -> dict[str, Any]:
    try:
        told = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        _ = [int(each["step"]) for each in told["checkpoints"]], list(told["points"])
    except OSError:
        return {}
    except (ValueError, TypeError, KeyError):
        raise UsageError(f"{folder / RECORD} is damaged") from None
    return dict(told)


def _check_alike(checkpoints: Sequence[FoundCheckpoint]) -> None:
    """Raise UsageError unless one program fits all."""
    first = checkpoints[0]
    config = config_of(str(first.folder))
    for each in checkpoints[1:]:
        if config_of(str(each.folder)) != config:
            raise UsageError(
                f"{each.folder} has another configuration than {first.name}: no program fits both"
            )
