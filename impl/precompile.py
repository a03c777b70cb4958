"""The Mojo kernels, built once for each version of MAX and of their source.

Building takes a second or two. The result is kept in MAX's own cache folder under a name that
holds the version of MAX and a hash of the source, so that neither can be old.
"""

from __future__ import annotations

import os
import tempfile
from importlib.metadata import version
from pathlib import Path

from reports.saved.environment import source_sha256

SOURCE = Path(__file__).parent / "kernels"


class KernelError(RuntimeError):
    """Kernels that cannot be built here, told in one sentence."""


def kernel_library(source: Path | None = None, name: str = "engine_kernels") -> Path:
    """A built package of kernels, from the cache where it is there.

    Args:
        source: folder of the package; the engine's by default.
        name: what the built file's name begins with.

    Raises:
        KernelError: where the Mojo compiler is missing or refuses the source, or the cache folder
            cannot be written.
    """
    source = source or SOURCE
    file = f"{name}_{_fingerprint(source)}.mojoc"
    library = cache_folder() / "engine_kernels" / file
    if library.is_file():
        return library
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        # The compiler writes the file's name into it, and other processes may build the same.
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            _build(source, Path(folder) / file)
            (Path(folder) / file).replace(library)
    except OSError as error:
        raise KernelError(f"the kernels cannot be kept in {library.parent}: {error}") from None
    return library


def _build(source: Path, to: Path) -> None:
    from mojo.run import subprocess_run_mojo

    arguments = ["precompile", str(source), "-o", str(to)]
    try:
        done = subprocess_run_mojo(arguments, capture_output=True, text=True)
    except RuntimeError as error:
        raise KernelError(f"the Mojo compiler does not start: {error}") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error:" in line]
        raise KernelError(f"the kernels do not build: {(lines or ['no reason was given'])[0]}")


def _fingerprint(source: Path) -> str:
    """Of MAX and of the source."""
    return f"{version('max').replace('.', '_')}_{source_sha256(source)[:16]}"


def cache_folder() -> Path:
    """Where MAX keeps what it compiled."""
    derived = os.environ.get("MODULAR_DERIVED_PATH")
    return Path(derived) if derived else Path.home() / ".cache" / "modular"
