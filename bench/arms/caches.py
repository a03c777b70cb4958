"""What compilers keep: whether something was made anew or found, and where conversions lie.

Conversions of a checkpoint for a peer (an ONNX file, a CTranslate2 folder, ...) are kept in
`$MAX_GPT2_BENCH_CACHE`, else `~/.cache/max-gpt2-bench`, in a folder named by the hash of the
weights and of the code that converts. Deleting it costs one conversion.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference.checkpoint import Checkpoint

Cache = Literal["cold", "warm"]

MAX_VARIABLE = "MODULAR_DERIVED_PATH"
INDUCTOR_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
CONVERSIONS_VARIABLE = "MAX_GPT2_BENCH_CACHE"
VARIABLES = (MAX_VARIABLE, INDUCTOR_VARIABLE, CONVERSIONS_VARIABLE)
"""Each names a cache's folder; `--cold` sets them to empty ones."""


def max_cache() -> Path:
    """Where MAX keeps compiled programs."""
    return Path(os.environ.get(MAX_VARIABLE) or Path.home() / ".cache" / "modular")


def conversions() -> Path:
    """Where converted checkpoints lie."""
    return Path(os.environ.get(CONVERSIONS_VARIABLE) or Path.home() / ".cache" / "max-gpt2-bench")


class Watch:
    """Tells whether a compiler found its work done, by whether its cache's folder grows."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._before = folder, _files(folder)

    def cache(self) -> Cache:
        """`cold` if files came since this was made, else `warm`."""
        return "cold" if _files(self._folder) - self._before else "warm"


def converted(
    checkpoint: Checkpoint, kind: str, sources: list[Path], make: Callable[[Path], None]
) -> tuple[Path, Cache]:
    """The folder of a conversion, made where there is none.

    Args:
        checkpoint: what is converted.
        kind: names the format and the version of its converter.
        sources: the files whose code converts; when they change, so must the conversion.
        make: fills an empty folder; what it leaves half done is thrown away.

    Raises:
        OSError: if the folder cannot be written.
    """
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    folder = conversions() / f"{kind}-{checkpoint.sha256[:16]}-{code[:8]}"
    if folder.is_dir():
        return folder, "warm"
    part = folder.with_name(f"{folder.name}.part-{os.getpid()}")
    part.mkdir(parents=True)
    try:
        make(part)
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        if folder.is_dir():  # another run was faster
            return folder, "warm"
        raise
    return folder, "cold"


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()} if folder.is_dir() else set()
