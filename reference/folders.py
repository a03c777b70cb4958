"""Folders with a checkpoint: what somebody gives as one and is not as it stands; a new one."""

from __future__ import annotations

import json
import shutil
import struct
from dataclasses import asdict
from typing import TYPE_CHECKING

from reference.checkpoint import CheckpointError
from reports.commands import as_called

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from impl.config import GPT2Config
    from reference.checkpoint import Array

LLM_C_MAGIC = 20240326
"""The first number of the files that llm.c writes."""

CONVERT = as_called("python -m reference convert")


def opened(name: str, folder: Path, revision: str | None = None) -> Path:
    """The folder with config.json: this one, or a snapshot of a hub's cache.

    Args:
        name: as the user asked for it.
        folder: what it means.
        revision: branch, tag or commit, where it is a cache.

    Raises:
        CheckpointError: says what the folder is, and what makes a checkpoint of it.
    """
    if (folder / "config.json").exists():
        return folder
    if (folder / "snapshots").is_dir():
        return _snapshot(name, folder, revision or "main")
    raise CheckpointError(f"{name}: {_kind(folder) or f'no config.json in {folder}'}")


def _snapshot(name: str, cache: Path, revision: str) -> Path:
    reference = cache / "refs" / revision
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    if not (cache / "snapshots" / commit / "config.json").exists():
        held = sorted(p.name for p in (cache / "snapshots").iterdir() if p.is_dir())
        raise CheckpointError(
            f"{name} is a folder of the hub's cache, which holds no config.json of {revision}"
            + (f"; it has {', '.join(held[:3])}" if held else "")
        )
    return cache / "snapshots" / commit


def _kind(folder: Path) -> str:
    """A sentence about a folder without config.json; "" where nothing is known of it."""
    if (folder / "adapter_config.json").exists():
        return (
            "it is a LoRA adapter of peft, without the model that it changes: load both, "
            "`merge_and_unload()`, and save what that returns"
        )
    for file in sorted(folder.iterdir()):
        if of := written_by(file):
            return f"{file.name} is a checkpoint of {of}: `{CONVERT} {file} NEW` makes a folder"
    inside = [path.parent.name for path in sorted(folder.glob("*/config.json"))]
    return f"no config.json in {folder}, but in its {', '.join(inside[:3])}" if inside else ""


def written_by(file: Path) -> str:
    """`nanoGPT` or `llm.c` for a file that `python -m reference convert` reads, else ""."""
    if not file.is_file():
        return ""
    if file.suffix in (".pt", ".pth"):
        return "nanoGPT"
    return "llm.c" if _numbers(file, 1) == [LLM_C_MAGIC] else ""


def _numbers(file: Path, count: int) -> list[int]:
    """The first 32-bit integers of a file; none where it has fewer."""
    try:
        with file.open("rb") as source:
            data = source.read(4 * count)
    except OSError:
        return []
    return list(struct.unpack(f"<{count}i", data)) if len(data) == 4 * count else []


def not_a_folder(file: Path) -> str:
    """What to say of a file that is given as a checkpoint."""
    of = written_by(file)
    if of:
        return f"{file} is a checkpoint of {of}: `{CONVERT} {file} NEW` makes a folder of it"
    return f"{file} is a file; give the folder that holds config.json"


def tokenizer_files(folder: Path) -> Iterator[Path]:
    """Those that a copy of a checkpoint takes along."""
    for pattern in ("tokenizer*", "vocab.*", "merges.txt", "special_tokens_map.json"):
        yield from sorted(folder.glob(pattern))


def write_checkpoint(
    target: Path, config: GPT2Config, weights: Mapping[str, Array], tokenizer: Path | None = None
) -> None:
    """Write a folder as `save_pretrained` does.

    Args:
        target: the folder; what it has under the same names goes.
        config: of the model.
        weights: float32, by Hugging Face's names.
        tokenizer: the folder whose tokenizer is taken along, if it has one.
    """
    from safetensors.numpy import save_file

    target.mkdir(parents=True, exist_ok=True)
    values = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], **asdict(config)}
    (target / "config.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    save_file(dict(weights), target / "model.safetensors", metadata={"format": "pt"})
    for file in tokenizer_files(tokenizer) if tokenizer else ():
        shutil.copy(file, target / file.name)
