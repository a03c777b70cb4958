"""`check`: one verification, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .harness import command, environment
from .judgement import MaxParityError, Result, result_of

if TYPE_CHECKING:
    from collections.abc import Sequence


def check(
    candidate: str,
    *,
    model: str = "tiny",
    reference: str | None = None,
    quick: bool = False,
    arguments: Sequence[str] = (),
    folder: str | Path | None = None,
    show: bool = False,
) -> Result:
    """Verify a model in MAX, as `max-parity verify --candidate` does.

    Neither MAX nor torch is imported into this process.

    Args:
        candidate: `FILE.py:NAME` or `package.module:NAME`.
        model: the GPT-2 to compare with: `tiny`, `random:PRESET`, a folder, or a hub id.
        reference: another decoder of transformers to compare with instead, `hf:FOLDER`.
        quick: judge the mathematics alone, in seconds; nothing is compiled.
        arguments: further options of `max-parity verify`.
        folder: to run in; the working directory by default.
        show: whether its tables are printed.

    Returns:
        The result; true where the verdict is PASS.

    Raises:
        MaxParityError: in one sentence, where there is no verdict.
    """
    subject = ["--reference", reference] if reference else ["--model", model]
    words = ["verify", "--candidate", candidate, *subject]
    words += ["--quick"] if quick else []
    told = verified([*words, *arguments], folder, show=show)
    return result_of(candidate, reference or model, told)


def verified(
    words: Sequence[str], folder: str | Path | None = None, *, show: bool = False
) -> dict[str, Any]:
    """What `--json` tells of a verification.

    Args:
        words: of `max-parity`.
        folder: to run in.
        show: whether the tables are printed.

    Raises:
        MaxParityError: where it writes nothing, with what it says.
    """
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "told.json"
        complaint = _run([*words, "--json", str(file)], folder, show=show)
        if not file.is_file():
            raise MaxParityError(complaint)
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return told


def lines(words: Sequence[str], folder: str | Path | None = None) -> list[str]:
    """What a command prints.

    Raises:
        MaxParityError: where it fails, with what it says.
    """
    done = subprocess.run(
        command(words), cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise MaxParityError(_last(done.stderr, done.returncode))
    return done.stdout.splitlines()


def _run(words: Sequence[str], folder: str | Path | None, *, show: bool) -> str:
    """Run a command; what it complains of."""
    done = subprocess.run(
        command(words), cwd=folder, env=environment(), text=True, check=False,
        stdout=None if show else subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    return _last(done.stderr, done.returncode)


def _last(text: str, code: int) -> str:
    said = [line for line in text.splitlines() if line.strip()]
    return said[-1].removeprefix("verify: ") if said else f"it ended with exit code {code}"
