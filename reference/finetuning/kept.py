"""What a fine-tuning leaves in its folder, and how it is continued.

    OUT/                    the model after the last step, as transformers and MAX read it
      training.json         what was asked for, losses, samples; written anew with each of them
      checkpoint-0/         the model as it was
      checkpoint-40/        config.json, model.safetensors, tokenizer; merged, where it is LoRA
        adapter/            the adapter alone, as peft reads it
        state.pt            the optimizer's, of the newest checkpoint alone: `--resume` goes on here

A checkpoint appears under its name when it is whole. The tensors of state.pt are read without
running any code (`weights_only`).
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from reference.checkpoint import CheckpointError, check_weights, weights_sha256
from reference.finetuning import adapters
from reference.finetuning.settings import Settings
from reference.folders import tokenizer_files
from reference.staging import staged
from reports.saved.files import write
from reports.saved.records import strict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from impl.config import GPT2Config
    from reference.checkpoint import Array, Checkpoint

RECORD = "training.json"
FORMAT = 1
"""Of `training.json`; `reports.contract.tuning` has its form."""

STATE = "state.pt"
PREFIX = "checkpoint-"
COPIED = ("generation_config.json", "heldout.txt")
"""Files that a checkpoint takes along from the folder that it began with."""


@dataclass(frozen=True, slots=True)
class Point:
    """Losses after a step, in nats per token.

    Attributes:
        step: how many updates there were.
        train_loss: mean over the batches since the last point; None before the first step.
        validation_loss: over the held-out text.
        former_loss: over the text that was held out when the model was trained first, its
            heldout.txt; None where it has none.
    """

    step: int
    train_loss: float | None
    validation_loss: float
    former_loss: float | None = None


@dataclass(slots=True)
class Record:
    """`training.json`.

    Attributes:
        settings: what was asked for.
        facts: what is known before the first step.
        points: losses on the way.
        checkpoints: those that are kept, the first first: `step`, `folder`, `sha256`, losses,
            `sample` and, for LoRA, `merged`.
        finished: whether the last step is done.
    """

    settings: Settings
    facts: dict[str, Any] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    finished: bool = False

    def save(self, folder: Path) -> None:
        """Write it, whole or not at all."""
        values = {
            "format": FORMAT,
            "settings": self.settings.record(),
            **self.facts,
            "finished": self.finished,
            "points": [asdict(point) for point in self.points],
            "checkpoints": self.checkpoints,
        }
        write(folder / RECORD, json.dumps(strict(values), indent=1, ensure_ascii=False) + "\n")


def read_record(folder: Path) -> Record:
    """Read `training.json`.

    Raises:
        CheckpointError: where there is none, or it is not of this format.
    """
    try:
        values = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except OSError:
        raise CheckpointError(f"{folder} has no {RECORD}: no fine-tuning to continue") from None
    except ValueError:
        raise CheckpointError(f"{folder / RECORD} is damaged") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise CheckpointError(f"{folder / RECORD} has another format than {FORMAT}")
    own = ("format", "settings", "finished", "points", "checkpoints")
    try:
        return Record(
            settings=Settings.of(values["settings"]),
            facts={name: value for name, value in values.items() if name not in own},
            points=[Point(**point) for point in values["points"]],
            checkpoints=list(values["checkpoints"]),
            finished=bool(values["finished"]),
        )
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / RECORD} is damaged: {error}") from None


def check_new(out: Path) -> None:
    """Raise CheckpointError unless a folder can be made there, or is there and empty."""
    if out.is_file():
        raise CheckpointError(f"--out: {out} is a file, and a folder is needed")
    if out.is_dir() and any(out.iterdir()):
        more = f", or go on with --resume {out}" if (out / RECORD).is_file() else ""
        raise CheckpointError(f"--out: {out} is not empty; name another folder{more}")


def check_room(out: Path, config: GPT2Config, checkpoints: int) -> None:
    """Raise CheckpointError where the disk cannot take checkpoints, result and state."""
    needed = 4 * config.parameter_count * (checkpoints + 4)
    above = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(above).free
    if needed > free:
        raise CheckpointError(
            f"--out: {checkpoints} checkpoints need {needed / 1e9:.1f} GB, and the disk has "
            f"{free / 1e9:.1f} GB; ask for fewer by --checkpoints"
        )


def float32_weights(config: GPT2Config, model: Any, step: int) -> dict[str, Array]:
    """A GPT2LMHeadModel's parameters under Hugging Face's names, each rounded once to float32.

    Raises:
        CheckpointError: where one is not finite: training has diverged.
    """
    state = {name: tensor.detach().float().numpy() for name, tensor in model.state_dict().items()}
    if config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    weights = {name: np.array(array, order="C") for name, array in state.items()}
    try:
        check_weights(config, weights)
    except CheckpointError as error:
        raise CheckpointError(
            f"training has diverged by step {step}: {error}; a smaller --learning-rate may help"
        ) from None
    return weights


def write_model(folder: Path, source: Checkpoint, weights: Mapping[str, Array]) -> None:
    """Write a checkpoint's folder: the source's configuration and tokenizer, other weights."""
    from safetensors.numpy import save_file

    assert source.folder is not None
    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads((source.folder / "config.json").read_text(encoding="utf-8"))
    config.pop("torch_dtype", None)  # the older name of `dtype`
    config |= {"architectures": ["GPT2LMHeadModel"], "dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    save_file(dict(weights), folder / "model.safetensors", metadata={"format": "pt"})
    more = [source.folder / name for name in COPIED if (source.folder / name).is_file()]
    for file in [*tokenizer_files(source.folder), *more]:
        shutil.copy(file, folder / file.name)


def write_checkpoint(
    out: Path, step: int, source: Checkpoint, model: Any, merged: Any, optimizer: Any
) -> dict[str, Any]:
    """Write a checkpoint whole, and take the state of the one before away.

    Args:
        out: the fine-tuning's folder.
        step: after which it is.
        source: the checkpoint that training began with.
        model: as it is trained, with adapters perhaps.
        merged: the same as a GPT2LMHeadModel without adapters.
        optimizer: of the model.

    Returns:
        What `training.json` says of it: `step`, `folder`, `sha256`.
    """
    weights = float32_weights(source.config, merged, step)
    adapted = merged is not model
    folder = out / f"{PREFIX}{step}"
    state = {"step": step, "optimizer": optimizer.state_dict()}
    with staged(folder) as partial:
        write_model(partial, source, weights)
        if adapted:
            adapters.save_adapter(model, partial / adapters.ADAPTER)
            state["adapter"] = adapters.adapter_state(model)
        torch.save(state, partial / STATE)
    for old in out.glob(f"{PREFIX}*/{STATE}"):
        if old.parent != folder:
            old.unlink()
    return {"step": step, "folder": folder.name, "sha256": weights_sha256(weights)}


def write_result(out: Path, name: str) -> None:
    """Copy the last checkpoint's model, and its adapter, to the top; nothing goes on from it."""
    (out / name / STATE).unlink(missing_ok=True)
    for file in sorted((out / name).iterdir()):
        if file.is_dir():
            shutil.copytree(file, out / file.name, dirs_exist_ok=True)
        else:
            shutil.copy(file, out / file.name)


def newest_state(out: Path) -> tuple[Path, dict[str, Any]]:
    """The checkpoint that training goes on from, and what it needs beside the weights.

    Raises:
        CheckpointError: where there is none, or it cannot be read.
    """
    found = sorted(out.glob(f"{PREFIX}*/{STATE}"), key=lambda f: int(f.parent.name[len(PREFIX) :]))
    if not found:
        raise CheckpointError(f"{out} has no checkpoint to go on from")
    try:
        state: dict[str, Any] = torch.load(found[-1], weights_only=True)
    except Exception as error:  # pickle's, zipfile's and torch's own
        raise CheckpointError(f"{found[-1]} cannot be read: {error}") from None
    return found[-1].parent, state
