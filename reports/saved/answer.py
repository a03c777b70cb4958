"""`--json`, as a program that calls this one may rely on it.

- What the file held before is gone before anything else happens, so that a crash never leaves
  yesterday's verdict.
- A command that ends without an answer, for bad usage too, leaves the verdict ERROR with the
  sentence that it has said.
- `--json -` writes to standard output, and then nothing else does: all other words go to standard
  error, what native code prints too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.commands import INTERRUPTED, STDOUT, TERMINATED, is_device, last_reason
from reports.saved.files import ANSWER, json_file
from reports.saved.records import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Main = Callable[[Sequence[str]], int]

EMPTY: dict[str, dict[str, Any]] = {
    "verify": {"first_divergence": None, "checks": []},
    "bench": {"rows": [], "effects": []},
}
"""By program, what its answer has besides where there is none."""

_BY_SIGNAL = {INTERRUPTED: "interrupted", TERMINATED: "ended by SIGTERM"}


def answered(program: str, main: Main, argv: Sequence[str]) -> int:
    """Run a command line, so that `--json` keeps what this module promises.

    Args:
        program: whose command line it is: `verify`, `bench`.
        main: takes the words, and returns the exit code.
        argv: the words.

    Returns:
        The exit code.
    """
    path = _named(argv)
    if path is None:
        return main(argv)
    with _printed_at_the_end(path):
        _forget(path)
        try:
            code = main(argv)
        except SystemExit as end:
            _complete(path, program, end.code)
            raise
        except BaseException as error:
            write_error(path, f"{type(error).__name__}: {error}", program)
            raise
        _complete(path, program, code)
    return code


def write_error(
    path: Path, reason: str, program: str = "verify", *, place: tuple[str, int] | None = None
) -> None:
    """The answer of a command that has none, with the reason.

    Args:
        path: of the file.
        reason: in a sentence.
        program: whose answer it is.
        place: file and line of the user's where it failed, if they are known.
    """
    known = {"place": {"file": place[0], "line": place[1]}} if place else {}
    content: Mapping[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "verdict": "ERROR",
        "reason": reason,
        **known,
        **EMPTY.get(program, {}),
    }
    with suppress(OSError):
        if not is_device(path):
            json_file(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _named(argv: Sequence[str]) -> Path | None:
    """The file that `--json` names, by argparse's own rules."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--json", type=Path)
    try:
        found: Path | None = parser.parse_known_args(argv)[0].json
    except (argparse.ArgumentError, SystemExit):
        return None
    return found


def _forget(path: Path) -> None:
    """Remove what the file holds; what cannot be removed is overwritten or refused later."""
    file = json_file(path)
    if not is_device(file) and (file.is_file() or file.is_symlink()):
        with suppress(OSError):
            file.unlink()


def _complete(path: Path, program: str, code: object) -> None:
    """Write why there is no answer, where a command failed and wrote none."""
    if code and not json_file(path).exists():
        reason = last_reason() or _BY_SIGNAL.get(code if isinstance(code, int) else 0)
        write_error(path, reason or f"it ended with exit code {code}", program)


@contextmanager
def _printed_at_the_end(path: Path) -> Iterator[None]:
    """For `-`: everything that is printed goes to standard error, and at the end the answer out.

    In a process that another one of this project has started, that one does it.
    """
    if path != STDOUT or ANSWER in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="max-parity-") as folder:
        os.environ[ANSWER] = str(Path(folder) / "answer.json")
        sys.stdout.flush()
        kept = os.dup(1)
        os.dup2(2, 1)
        try:
            yield
        finally:
            sys.stdout.flush()
            os.dup2(kept, 1)
            os.close(kept)
            answer = Path(os.environ.pop(ANSWER))
            if answer.is_file():
                sys.stdout.write(answer.read_text(encoding="utf-8"))
                sys.stdout.flush()
