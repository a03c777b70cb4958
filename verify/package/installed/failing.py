"""What a package's code raises while MAX makes its model, as one sentence with the place.

Above all, what a package reads of a checkpoint's configuration and does not find there.
"""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import transformers

from verify.candidate.guard import CandidateError, as_candidate_error, guarded
from verify.graph.errors import GraphError, TooLargeError, UnknownOperationError
from verify.package.installed.found import read_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verify.package.installed.found import Found


class BeyondError(CandidateError):
    """A graph that this harness cannot evaluate, whatever MAX does with it."""


@contextmanager
def told(doing: str, found: Found, folder: Path) -> Iterator[None]:
    """Code of the package runs in this context; what it raises becomes one sentence.

    Args:
        doing: begins the sentence.
        found: the package.
        folder: the checkpoint's.

    Raises:
        BeyondError: for an operation that has no meaning here, or a graph that is too large.
        CandidateError: whatever else is raised, with the package's own last line in brackets.
    """
    with guarded(doing):
        try:
            yield
        except (KeyboardInterrupt, CandidateError):
            raise
        except BaseException as error:  # a package may raise anything, SystemExit too
            raise _sentence(doing, error, found.folder, folder) from None


def _sentence(doing: str, error: BaseException, source: Path, folder: Path) -> CandidateError:
    plain = as_candidate_error(doing, error)
    place = _place(error, source)
    if isinstance(error, UnknownOperationError | TooLargeError):
        return BeyondError(f"{doing}: {error}")
    if isinstance(error, GraphError):
        text = f"{doing}: {error}"
    elif field := _missing_field(error, folder):
        text = f"{field}, which the package reads{place}"
    else:
        text = f"{plain}{place}"
    result = CandidateError(text)
    for note in getattr(plain, "__notes__", ()):
        result.add_note(note)
    return result


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, and those that led to it."""
    at: BaseException | None = error
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__


def _missing_field(error: BaseException, folder: Path) -> str:
    """What config.json does not have, told from what was raised in looking for it; "" for else."""
    for each in _chain(error):
        if isinstance(each, AttributeError) and isinstance(each.obj, transformers.PretrainedConfig):
            return _not_there(str(each.name), type(each.obj).__name__, read_config(folder))
        if isinstance(each, KeyError) and each.args and isinstance(each.args[0], str):
            config = read_config(folder)
            if each.args[0] not in config and each.args[0].islower() and "." not in each.args[0]:
                return _not_there(each.args[0], "configuration", config)
    return ""


def _not_there(name: str, kind: str, config: dict[str, Any]) -> str:
    """That a field is missing, and where it stands if it stands anywhere."""
    parts = [key for key, held in config.items() if isinstance(held, dict) and name in held]
    if name in config:
        return f"transformers {transformers.__version__}'s {kind} has no `{name}`"
    return f"config.json has no `{name}`" + (f" but in `{parts[0]}`" if parts else "")


def _place(error: BaseException, source: Path) -> str:
    """The package's own last line before an error, in brackets; empty where there is none."""
    for each in reversed(list(_chain(error))):
        frames = traceback.extract_tb(each.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).is_relative_to(source)]
        if own:
            return f" ({Path(own[-1].filename).relative_to(source)}:{own[-1].lineno})"
    return ""
