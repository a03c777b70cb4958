"""`pip install` as tox calls it, with the CPU build of torch where that can be had.

PyPI's torch for Linux brings CUDA, in 19 packages more. PyTorch's own index has the same version
without it, as `+cpu`, which pip prefers. Where that index does not answer, or `TORCH_CPU_INDEX` is
empty, pip takes torch from where it takes the rest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from urllib.request import urlopen

INDEX = os.environ.get("TORCH_CPU_INDEX", "https://download.pytorch.org/whl/cpu")
ANSWERS_WITHIN_S = 5


def answers(index: str) -> bool:
    """Whether an index of packages can be reached, and has torch."""
    try:
        with urlopen(f"{index.rstrip('/')}/torch/", timeout=ANSWERS_WITHIN_S):  # noqa: S310
            return True
    except (OSError, ValueError):
        return False


def command(arguments: list[str], index: str) -> list[str]:
    """What is run for `pip install` with these arguments."""
    extra = ["--extra-index-url", index] if index and answers(index) else []
    return [sys.executable, "-m", "pip", "install", *extra, *arguments]


if __name__ == "__main__":
    sys.exit(subprocess.run(command(sys.argv[1:], INDEX), check=False).returncode)
