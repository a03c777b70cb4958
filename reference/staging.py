"""Writing a checkpoint's folder whole or not at all."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What training writes into a checkpoint's folder.
FILES = frozenset(
    {
        "README.md",
        "config.json",
        "generation_config.json",
        "heldout.txt",
        "loss.csv",
        "loss.png",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
)


def check_folder(folder: Path) -> None:
    """Raise FileExistsError if replacing a folder would delete what training did not write."""
    if folder.is_file():
        raise FileExistsError(f"{folder} is a file; --out needs a folder.")
    foreign = sorted({path.name for path in folder.glob("*")} - FILES)
    if foreign:
        raise FileExistsError(f"{folder} would be replaced, but holds other files: {foreign[0]}.")


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Give a folder next to `folder` to write to, and put it in its place when all went well.

    After an exception, Ctrl-C included, `folder` is what it was. Two renames make the exchange; a
    kill between them leaves the former folder next to it, as `.<name>.old`.
    """
    folder = folder.resolve()
    partial, old = (folder.with_name(f".{folder.name}.{what}") for what in ("partial", "old"))
    shutil.rmtree(partial, ignore_errors=True)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if folder.exists():
            folder.replace(old)
        partial.replace(folder)
    finally:
        if old.exists() and not folder.exists():
            old.replace(folder)
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(partial, ignore_errors=True)
