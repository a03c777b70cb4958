"""Runs a candidate's own code so that whatever it does ends in a sentence."""

from __future__ import annotations

import os
import traceback
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from verify.candidate.renamed import what_to_write
from verify.candidate.sandbox import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FRAMES = 3
"""Of a candidate's traceback: how many of its last own frames are shown."""

_fenced: list[bool] = []

_OURS = Path(__file__).resolve().parents[2]


class CandidateError(ValueError):
    """A candidate that cannot be found, imported, built or traced; the message is one sentence.

    Its notes (`__notes__`) are the last frames of the candidate's own traceback.

    Attributes:
        files: the candidate's own files that were imported before, where its process tells them.
        place: file and line of the last of those frames; None where there is none.
    """

    files: Sequence[str] = ()
    place: tuple[str, int] | None = None


def stands_behind_a_fence() -> None:
    """Have messages say so, where a candidate may not write a file."""
    _fenced.append(True)


@contextmanager
def guarded(doing: str) -> Iterator[None]:
    """Code of the candidate runs in this context; what it raises becomes a `CandidateError`.

    What it prints goes to file descriptor 1, and not in between the harness's own lines.

    Args:
        doing: begins the sentence: `MyGPT(config)`, `importing my_model.py`.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace") as out:
        say(f"candidate {doing}")
        try:
            with redirect_stdout(out), redirect_stderr(out):
                yield
        except (KeyboardInterrupt, CandidateError):
            raise
        except BaseException as error:  # a candidate may raise anything, SystemExit too
            raise as_candidate_error(doing, error) from None
        finally:
            say("harness")


@contextmanager
def compiling(name: str) -> Iterator[None]:
    """MAX traces and compiles a candidate in this context; a reason why it cannot is one sentence.

    Args:
        name: of the candidate.
    """
    say(f"compiling {name}")
    try:
        yield
    except (RuntimeError, ValueError, TypeError) as error:
        if isinstance(error, CandidateError):
            raise
        raise CandidateError(f"MAX cannot compile {name}: {_compilers_words(error)}") from None


def texts_of(error: BaseException | None) -> list[str]:
    """What an exception says, and then those that led to it."""
    texts = []
    while error is not None:
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    return texts


def _compilers_words(error: BaseException) -> str:
    """The compiler's first complaint, from the exceptions that led to the last one too."""
    lines = [line.strip() for text in texts_of(error) for line in text.splitlines()]
    complaints = [line for line in lines if line.startswith("error:")]
    return (complaints or [line for line in lines if line] or [type(error).__name__])[0][:300]


def as_candidate_error(doing: str, error: BaseException) -> CandidateError:
    """The sentence for what a candidate raised, with its own last frames as notes."""
    result = CandidateError(f"{doing} {_what(error)}")
    for frame in _own_frames(error):
        result.add_note(
            f"  {Path(frame.filename).name}:{frame.lineno} in {frame.name}: {frame.line}"
        )
        result.place = (frame.filename, frame.lineno or 0)
    return result


def _what(error: BaseException) -> str:
    """What was raised, in a few words."""
    if isinstance(error, SystemExit):
        return f"calls sys.exit({'' if error.code is None else repr(error.code)})"
    if isinstance(error, RecursionError):
        return "calls itself without end (RecursionError)"
    if "No seed set" in str(error):
        return f"puts a random operation into the graph{_place(error)}: dropout at inference?"
    if isinstance(error, PermissionError) and _fenced:
        return f"raises PermissionError: {error} (a candidate can write in $TMPDIR alone)"
    if renamed := what_to_write(error):
        return f"raises {type(error).__name__}: {renamed}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # MAX lists an operation's inputs before it says what is wrong.
    if "Diagnostics:" in lines[1:-1]:
        lines[1] = lines[lines.index("Diagnostics:") + 1]
    elif lines[1:2] == ["Inputs:"]:
        lines[1] = lines[-1]
    text = " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1])
    return f"raises {type(error).__name__}{': ' if text else ''}{text}"


def _place(error: BaseException) -> str:
    """The candidate's own last line before an error, in brackets; empty where there is none."""
    frames = _own_frames(error)
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def _own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The last frames that are in neither a library nor this package."""
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if _is_own(Path(frame.filename))][-FRAMES:]


def _is_own(file: Path) -> bool:
    if not file.is_file() or "site-packages" in file.parts:
        return False
    ours = any(file.is_relative_to(_OURS / name) for name in ("verify", "impl", "reference"))
    library = file.is_relative_to(Path(os.__file__).parent)
    return not ours and not library


def a(value: object) -> str:
    """`None`, or a value's type with its article."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
