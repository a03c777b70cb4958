"""`python -m verify --watch`: the mathematics of a candidate, judged again whenever it is saved.

Each time a fresh process traces the candidate and evaluates its graph in float64; nothing is
compiled. The next process makes itself ready while the user edits: MAX is imported and the truth
computed before the file is saved, so that a verdict takes about as long as tracing.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text
from watchfiles import watch as changes

from reference.taps import short_name
from reports.commands import CANNOT_RUN, INTERRUPTED, WIDTH
from verify.candidate.sandbox import Standby, supervise

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MOST_NAMED = 6
"""Places that a line names; more are counted."""

INDENT = 10
"""Columns before what belongs to a verdict: as wide as the time of day."""

DEBOUNCE_MS = 100
"""An editor may write a file in several steps within this time."""

AGAIN_MS = 1000
"""How often files are looked at besides: what is saved during a look, or before the watch has
begun, raises no event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one look at the candidate came to.

    Attributes:
        verdict: PASS, FAIL or ERROR.
        message: the first divergence, or why there is no verdict.
        diagnosis: what is computed there instead.
        wrong: taps that fail alone, in the order of execution.
        places: how many were compared.
        files: the candidate's own files.
        seconds: that it took.
        notes: on how the candidate was read.
        map: of the model, as `dataclasses.asdict` makes it of a `reports.figures.model_map.Map`;
            empty where there is no verdict on places.
    """

    verdict: str
    message: str
    diagnosis: str
    wrong: tuple[str, ...]
    places: int
    files: tuple[str, ...]
    seconds: float
    notes: tuple[str, ...] = ()
    map: Mapping[str, Any] = field(default_factory=dict)


def watch(argv: Sequence[str], file: Path, once: int | None = None) -> int:
    """Judge a candidate now and after every change, until Ctrl-C.

    Args:
        argv: of `python -m verify`, without `--watch`.
        file: the candidate's, watched from the beginning.
        once: how many looks to take at most; None for no end.

    Returns:
        0 where the last look passed, 1 where it did not, 2 for bad usage, 130 after Ctrl-C.
    """
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    last: Verdict | None = None
    with tempfile.TemporaryDirectory(prefix="verify-watch-") as folder:
        result = Path(folder) / "verdict.json"
        command = [*argv, "--watched", str(result)]
        standby = Standby(command)
        try:
            while True:
                began = time.time_ns()
                found = _look(standby, result, file)
                if found is None:
                    return CANNOT_RUN
                standby = Standby(command)
                show(console, found, last)
                last = found
                once = None if once is None else once - 1
                if once == 0:
                    return int(found.verdict != "PASS")
                _wait_for_change(console, found.files, began)
        except KeyboardInterrupt:
            return INTERRUPTED
        finally:
            standby.end()


def watch_step(argv: Sequence[str], file: Path) -> int:
    """Check a learner's file now and whenever it is saved, until Ctrl-C; nothing is compiled.

    Args:
        argv: of `python -m verify`, `step N FILE` without `--watch`.
        file: the learner's.

    Returns:
        2 for bad usage, 130 after Ctrl-C.
    """
    console = Console(highlight=False)
    try:
        while True:
            began = time.time_ns()
            if supervise([*argv, "--quick"]) == CANNOT_RUN and not file.is_file():
                return CANNOT_RUN
            _wait_for_change(console, [str(file)], began)
    except KeyboardInterrupt:
        return INTERRUPTED


def _look(standby: Standby, result: Path, file: Path) -> Verdict | None:
    """What a process that stands by makes of the candidate as it is now; None for bad usage."""
    result.unlink(missing_ok=True)
    started = time.monotonic()
    code, problem = standby.judge()
    standby.end()
    seconds = time.monotonic() - started
    if code == CANNOT_RUN and not result.exists():
        return None  # it has said why
    try:
        values: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        values = {"verdict": "ERROR", "message": problem or "the check ended without a verdict"}
    return Verdict(
        verdict=values["verdict"],
        message=values.get("message", ""),
        diagnosis=values.get("diagnosis", ""),
        wrong=tuple(values.get("wrong", ())),
        places=values.get("places", 0),
        files=tuple(values.get("files", ())) or (str(file),),
        notes=tuple(values.get("notes", ())),
        map=values.get("map", {}),
        seconds=seconds,
    )


def _wait_for_change(console: Console, files: Sequence[str], since: int) -> None:
    """Wait until one of the files is saved, or was since the last look began.

    Args:
        console: says what is watched.
        files: the candidate's own.
        since: when the last look began, in nanoseconds since the epoch.
    """
    names = ", ".join(sorted(Path(file).name for file in files)[:MOST_NAMED])
    console.print(Text(f"watching {names}; Ctrl-C ends", "dim"))
    known = {str(Path(file).resolve()) for file in files}
    if _saved(known, since):
        return
    # Editors replace files, so that their folders are watched.
    folders = {str(Path(file).parent) for file in known}
    for found in changes(
        *folders, debounce=DEBOUNCE_MS, rust_timeout=AGAIN_MS, yield_on_timeout=True,
        recursive=False, raise_interrupt=True,
    ):  # fmt: skip
        if known & {path for _, path in found} or _saved(known, since):
            return


def _saved(files: Iterable[str], since: int) -> bool:
    """Whether one of the files was written after a moment."""
    for file in files:
        try:
            if Path(file).stat().st_mtime_ns > since:
                return True
        except OSError:  # it is being replaced
            continue
    return False


def show(console: Console, found: Verdict, last: Verdict | None) -> None:
    """Print one look: the verdict, the map where other places fail, the first divergence."""
    style = "green" if found.verdict == "PASS" else "bold red"
    when = time.strftime("%H:%M:%S")
    head = Text.assemble(
        f"{when}  ", (found.verdict, style), f" in {found.seconds:.1f} s, not compiled"
    )
    if found.verdict == "PASS":
        head.append(f": {found.places} places are the reference's")
    console.print(head)
    if found.wrong and (last is None or last.wrong != found.wrong):
        _show_map(console, found.map)
    for line in _lines(found, last):
        console.print(Padding(line, (0, 0, 0, INDENT), expand=False))


def _show_map(console: Console, found: Mapping[str, Any]) -> None:
    """The model as a map, as a whole run shows it."""
    from msgspec import convert  # with pandas below it, only where something fails

    from reports.figures.model_map import Map
    from verify.screen.map_lines import map_lines

    for line in map_lines(convert(found, Map), min(console.width, WIDTH) - INDENT):
        console.print(Padding(line, (0, 0, 0, INDENT), expand=False))


def _lines(found: Verdict, last: Verdict | None) -> Iterable[Text]:
    if found.message:
        yield Text(found.message)
    if found.diagnosis:
        yield Text(found.diagnosis, "cyan")
    if last is None or last.notes != found.notes:
        yield from (Text(note, "dim") for note in found.notes)
    if last is None:
        return
    new = [tap for tap in found.wrong if tap not in last.wrong]
    gone = [tap for tap in last.wrong if tap not in found.wrong] if found.places else []
    if new:
        yield Text(f"wrong since the last save: {_named(new)}")
    if gone:
        yield Text(f"right since the last save: {_named(gone)}", "green")


def _named(taps: Sequence[str]) -> str:
    names = [short_name(tap) for tap in taps[:MOST_NAMED]]
    more = f" and {len(taps) - MOST_NAMED} more" if len(taps) > MOST_NAMED else ""
    return ", ".join(names) + more
