"""The peers' own environment: `python -m bench peers` makes it, `python_for` finds it.

ONNX Runtime, OpenVINO, CTranslate2 and llama.cpp are what a user might run instead of MAX. They are
an extra, in a virtual environment apart, so that their pins cannot disturb this project's. It lies
in `$MAX_GPT2_BENCH_PEERS`, else in `.tox/peers` of a clone, and for an installed tool in the user's
cache; `tox -e bench-peers` makes it and runs them all.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

from reports.commands import Parser, as_called
from reports.program import as_program
from reports.saved.home import CLONE, REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.arms.specs import ArmSpec

VARIABLE = "MAX_GPT2_BENCH_PEERS"
REQUIREMENTS = REPOSITORY / "requirements-peers.txt"
CONSTRAINTS = REPOSITORY / "constraints.txt"
COMMON = ("torch", "transformers", "numpy", "safetensors")
"""What every peer's worker needs beside the peer: the checkpoint, and its conversion."""


def folder() -> Path:
    """Where the peers' environment lies, or would."""
    usual = REPOSITORY / ".tox" if CLONE else Path.home() / ".cache" / "max-gpt2-bench"
    return Path(os.environ.get(VARIABLE) or usual / "peers")


def python_for(spec: ArmSpec) -> tuple[Path | None, str]:
    """The interpreter for an arm's worker, and why there is none.

    Returns:
        None and nothing for an arm of this project's own environment.
    """
    if not spec.peer:
        return None, ""
    python = folder() / "bin" / "python"
    missing = [name for name in spec.packages if not _installed(name)]
    if python.is_file() and not missing:
        return python, ""
    what = f"{', '.join(missing)} not installed" if python.is_file() else "no peers installed"
    return None, as_called(f"{what}: run `python -m bench peers` first")


def _installed(package: str) -> bool:
    """Whether the peers' environment has a package, told without starting its interpreter."""
    return any(folder().glob(f"lib/python*/site-packages/{package}/__init__.py")) or any(
        folder().glob(f"lib/python*/site-packages/{package}.py")
    )


def install(to: Path) -> list[str]:
    """Make the environment, or bring it up to date; returns the peers that could not be installed.

    Each line of requirements-peers.txt is installed for itself, so that one which has to be built
    and cannot be does not cost the others.

    Raises:
        subprocess.CalledProcessError: if the common packages cannot be installed.
    """
    python = to / "bin" / "python"
    if not python.is_file():
        venv.create(to, with_pip=True)
    _pip(python, ["--upgrade", "pip"]).check_returncode()
    _pip(python, COMMON).check_returncode()
    lines = (line.partition("#")[0].strip() for line in REQUIREMENTS.read_text().splitlines())
    return [line for line in lines if line and _pip(python, line.split()).returncode]


def _pip(python: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    command = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(CONSTRAINTS)]
    return subprocess.run([*command, *arguments], check=False)


def main(argv: Sequence[str]) -> int:
    """Install, and say what is missing; 1 where any peer is."""
    description = "Install the runtimes that MAX is compared with, in an environment apart."
    Parser(prog="python -m bench peers", description=description).parse_args(argv)
    missing = install(folder())
    for line in missing:
        print(f"bench: {line} could not be installed; its row will be SKIP", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(as_program("bench", main))
