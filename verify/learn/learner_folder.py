"""A learner's folder: files of the steps, never written over, and which of them are done."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.commands import UsageError, as_called
from verify.candidate.own_files import files_of
from verify.learn.kept_state import State, now
from verify.steps.course import STEPS
from verify.steps.lessons import lesson
from verify.steps.progress import find

if TYPE_CHECKING:
    from pathlib import Path

    from verify.learn.kept_state import Kept
    from verify.steps.lessons import Lesson

CORE = 12
"""Steps that make a GPT-2; what comes after them is built on it."""

MOST = len(STEPS)
"""With the steps that are built on it."""

COPIES = "kept"
"""The folder in the learner's that copies of what is begun again lie in."""

WHOLE = "gpt2.json"
"""What was found of the whole model."""

DIGITS = 16
"""Of a sha256, as the state has it: enough to tell files apart, and short enough to be read."""

README = """\
# A GPT-2 in MAX, written by you

    {command} {folder}

goes on where you stopped. Open the step's file in your editor; each time you save it, it is checked
within seconds. Without a terminal, or from an editor:

    {command} {folder} --once         check the current step, and say what to do next
    {command} {folder} --next         check it as MAX compiles it, and begin the next one
    {command} {folder} --explain      what the step is about
    {command} {folder} --hint         a hint; again: the next of three levels
    {command} {folder} --solution     one way to write it
    {command} {folder} --list         what is done
    {command} {folder} --reset        begin the step's file again; a copy is kept in {copies}/
    {command} {folder} --whole        after the twelve: verify the whole, let it write, time it

- `step_01.py` to `step_{core}.py` are yours: nothing here is ever written over. They import each
  other, so that the last ones are the whole model.
- `progress.toml` is what is remembered. You may edit or delete it.
- Print what you like from your code: it is shown below the result of the check.
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a step stands.

    Attributes:
        lesson: the step's.
        file: in which it is written; None where there is none.
        kept: what is remembered of it.
        table: its own files now, as `Kept.files` has them.
    """

    lesson: Lesson
    file: Path | None
    kept: Kept
    table: dict[str, str]

    @property
    def number(self) -> int:
        """Of the step."""
        return self.lesson.step.number

    @property
    def done(self) -> bool:
        """Whether it has passed as it is now."""
        return bool(self.kept.passed and self.table) and self.kept.files == self.table

    @property
    def changed(self) -> bool:
        """Whether it has passed, and has another content since."""
        return bool(self.kept.passed and self.table) and not self.done

    @property
    def word(self) -> str:
        """For a list."""
        if self.done:
            return "done"
        if self.changed:
            return "changed"
        return "begun" if self.file else ""


class LearnerFolder:
    """The folder, and what is remembered of it.

    Args:
        path: of the folder; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = State(path)

    def open(self) -> bool:
        """Make the folder where it is not there; returns whether it is begun now.

        Raises:
            UsageError: where it cannot be made, or its state cannot be read.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path} is a file, and a folder for your steps is needed")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.state.of(1)
            fresh = not self.state.path.exists() and find(lesson(1).step, self.path) is None
            readme = self.path / "README.md"
            if fresh and not readme.exists():
                command = as_called("python -m verify learn")
                text = README.format(command=command, folder=self.path, copies=COPIES, core=CORE)
                readme.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{error.filename}: {error.strerror}") from error
        return fresh

    def standing(self, number: int) -> Standing:
        """How a step stands now."""
        one = lesson(number)
        file = find(one.step, self.path)
        return Standing(one, file, self.state.of(number), self.table(file) if file else {})

    def all(self) -> list[Standing]:
        """How all steps stand; those after the twelve once one of them has been begun."""
        core = [self.standing(number) for number in range(1, CORE + 1)]
        more = [self.standing(number) for number in range(CORE + 1, MOST + 1)]
        return core + (more if any(one.file for one in more) else [])

    def whole_is_done(self) -> bool:
        """Whether the model of the twelve steps has been verified as its files are now."""
        try:
            kept = json.loads((self.path / WHOLE).read_text(encoding="utf-8"))
            return bool(kept["verdict"] == "PASS" and kept["files"] == self.table_of_whole())
        except (OSError, ValueError, LookupError, TypeError):
            return False

    def table_of_whole(self) -> dict[str, str]:
        """The files that the whole model and its generation are made of."""
        return self._own(CORE - 1) | self._own(CORE)

    def _own(self, number: int) -> dict[str, str]:
        file = find(lesson(number).step, self.path)
        return self.table(file) if file else {}

    def table(self, file: Path) -> dict[str, str]:
        """The step's file and those of the folder that it imports, with their hashes."""
        here = self.path.resolve()
        found = {}
        for each in files_of(file.resolve()):
            if each.is_relative_to(here):
                with suppress(OSError):
                    digits = hashlib.sha256(each.read_bytes()).hexdigest()[:DIGITS]
                    found[each.relative_to(here).as_posix()] = digits
        return found

    def name(self, number: int) -> Path:
        """The file that a step's skeleton is written to."""
        return self.path / f"step_{number:02}.py"

    def begin(self, number: int) -> Path:
        """The step's file; where there is none, its skeleton is written.

        Raises:
            UsageError: where it cannot be written.
        """
        file = find(lesson(number).step, self.path)
        if file is not None:
            return file
        return self._written(number, self.name(number))

    def begin_again(self, number: int) -> Path | None:
        """Write the step's skeleton in place of its file, of which a copy is kept.

        Returns:
            The copy; None where there was no file.
        """
        file = find(lesson(number).step, self.path)
        copy = self._copied(file) if file else None
        if file:
            file.unlink()
        self._written(number, file or self.name(number))
        return copy

    def _copied(self, file: Path) -> Path:
        """A copy under a name that no other has."""
        folder = self.path / COPIES
        try:
            folder.mkdir(exist_ok=True)
            base = f"{file.stem}-{time.strftime('%Y%m%d-%H%M%S')}"
            copy, count = folder / f"{base}.py", 1
            while copy.exists():
                count += 1
                copy = folder / f"{base}-{count}.py"
            shutil.copy2(file, copy)
        except OSError as error:
            raise UsageError(f"no copy of {file} can be kept, and it stays: {error}") from error
        return copy

    def _written(self, number: int, file: Path) -> Path:
        try:
            with file.open("x", encoding="utf-8") as opened:  # never over a file that is there
                opened.write(lesson(number).skeleton)
        except OSError as error:
            raise UsageError(f"{file} cannot be written: {error.strerror}") from error
        if not self.state.of(number).begun:
            self.state.note(number, begun=now())
        return file
