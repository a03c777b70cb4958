"""What `python -m verify learn` remembers, in a file of the learner's folder that people can read.

    [step.3]
    begun = "2026-11-30 12:50"
    passed = "2026-11-30 13:05"
    checked = "compiled"
    hints = { "TODO 2" = 3 }
    solution = "2026-11-30 13:06"
    files = { "step_03.py" = "3a7bd3e2360a3d29" }

It may be edited by hand. What is not known here is kept as it is; what cannot be read is never
written over.
"""

from __future__ import annotations

import json
import time
import tomllib
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from reports.commands import UsageError
from reports.saved.files import write
from reports.saved.records import RecordsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FILE = "progress.toml"

ABOUT = """\
# What `python -m verify learn` knows of this folder. A step is done while `files` still fits: the
# first 16 digits of each file's sha256. Without this file every step is checked again.
"""

_MENDED = "mend it, or move it away: your steps are then checked again, and nothing is lost"


@dataclass(frozen=True, slots=True)
class Kept:
    """What is remembered of one step; times are texts such as `2026-11-30 12:50`.

    Attributes:
        begun: when its file was written; "" if never.
        passed: when it first passed.
        checked: `compiled`, or `float64` where nothing was compiled.
        hints: by what they were about, the highest level that was taken (1 to 3).
        solution: when the solution was shown before the step had passed.
        files: by name, the beginning of the sha256 of the step's file and of those it imports, as
            they were when it passed.
    """

    begun: str = ""
    passed: str = ""
    checked: str = ""
    solution: str = ""
    hints: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


class State:
    """The file, read anew for each question, so that two sessions and an editor can share it.

    Args:
        folder: the learner's.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def of(self, number: int) -> Kept:
        """What is remembered of a step.

        Raises:
            UsageError: in one sentence, whatever is wrong with the file.
        """
        return self._kept(self._read(), number)

    def note(self, number: int, **values: Any) -> None:
        """Remember something of a step; all else stays as it is.

        Args:
            number: of the step.
            values: as `Kept` has them.

        Raises:
            UsageError: where the file cannot be read, or not be written.
        """
        document = self._read()
        self._kept(document, number)
        document.setdefault("step", {}).setdefault(str(number), {}).update(values)
        try:
            write(self.path, ABOUT + as_toml(document))
        except RecordsError as error:
            raise UsageError(str(error)) from error

    def _read(self) -> dict[str, Any]:
        try:
            document = tomllib.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{self.path} is not TOML: {error}; {_MENDED}") from error
        steps = document.get("step", {})
        if not isinstance(steps, dict) or not all(isinstance(one, dict) for one in steps.values()):
            raise UsageError(f"{self.path}: `step` is not a table of tables; {_MENDED}")
        return document

    def _kept(self, document: Mapping[str, Any], number: int) -> Kept:
        values = document.get("step", {}).get(str(number), {})
        texts = {name: self._text(values, number, name) for name in _TEXTS}
        hints = self._table(values, number, "hints", int)
        files = self._table(values, number, "files", str)
        return Kept(**texts, hints=hints, files=files)

    def _text(self, values: Mapping[str, Any], number: int, name: str) -> str:
        value = values.get(name, "")
        if isinstance(value, date | datetime):  # TOML has dates, and a hand may write one
            return str(value)
        if not isinstance(value, str):
            raise self._wrong(number, name, value, "a text")
        return value

    def _table(self, values: Mapping[str, Any], number: int, name: str, kind: type) -> Any:
        table = values.get(name, {})
        if not isinstance(table, dict):
            raise self._wrong(number, name, table, "a table")
        for value in table.values():
            if not isinstance(value, kind) or isinstance(value, bool):
                what = "a whole number" if kind is int else "a text"
                raise self._wrong(number, name, value, f"a table in which each value is {what}")
        return table

    def _wrong(self, number: int, name: str, value: Any, expected: str) -> UsageError:
        return UsageError(
            f"{self.path}: step {number}: {name} has {value!r}, and should be {expected}; {_MENDED}"
        )


_TEXTS = ("begun", "passed", "checked", "solution")


def now() -> str:
    """The time of day, as it is remembered."""
    return time.strftime("%Y-%m-%d %H:%M")


def as_toml(document: Mapping[str, Any]) -> str:
    """A document as `tomllib` reads it: tables of tables as sections, other tables in a line."""
    return "".join(f"\n{part}" if part.startswith("[") else part for part in _parts(document, ()))


def _parts(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    sections = {name: value for name, value in table.items() if _is_section(value, path)}
    own = {name: value for name, value in table.items() if name not in sections}
    if path and (own or not sections):
        yield f"[{'.'.join(map(_key, path))}]\n"
    for name, value in own.items():
        yield f"{_key(name)} = {_value(value)}\n"
    for name, value in sections.items():
        yield from _parts(value, (*path, name))


def _is_section(value: Any, path: tuple[str, ...]) -> bool:
    return isinstance(value, dict) and len(path) < 2


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("_", "").isalnum() else _quoted(name)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(name)} = {_value(one)}' for name, one in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)  # numbers, dates and times are written as TOML writes them


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
