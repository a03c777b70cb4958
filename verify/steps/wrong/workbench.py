"""What the check of a step makes of a solution, in float64 through its graph: nothing is compiled.

All are checked in this process, one after another. That is safe here and not for files of
learners: these are the project's own, none of which hangs, writes, or changes what others read.
Each is a file of its own name beside the solutions of the other steps, which it may import.
"""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from verify.steps.course import STEPS
from verify.steps.lessons import lesson
from verify.steps.phases import check_step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verify.steps.wrong.mistake import Mistake

UNNAMED = re.compile(
    r"no known fault explains it|rows are wrong|its rows are the right ones|error grows|"
    r"only heads \[|only the (query|key|value)s? (is|are|and)|error is as large as|"
    r"^[^:]*: \d[\d,]* (NaN|infinite)"
)
"""A difference that is described, and whose reason is not named."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one solution.

    Attributes:
        passed: whether every phase passed.
        phase: title of the one that failed; "" for none.
        said: its problem and its hints, as one text.
    """

    passed: bool
    phase: str
    said: str

    @property
    def named(self) -> bool:
        """Whether what is said names a reason, and does not only describe the difference."""
        return not self.passed and not UNNAMED.search(self.said)


class Bench:
    """A folder with the solutions of all steps, in which others are tried.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tried = 0
        for step in STEPS:
            text = lesson(step.number).solution
            (folder / f"step_{step.number:02}.py").write_text(text, encoding="utf-8")

    def check(self, number: int, text: str) -> Trial:
        """Check the text of a file as a step.

        Args:
            number: of the step.
            text: of the file.
        """
        self._tried += 1
        file = self._folder / f"tried_{self._tried}.py"
        file.write_text(text, encoding="utf-8")
        phases = list(check_step(STEPS[number - 1], file, quick=True))
        sys.modules.pop(f"candidate_{file.stem}", None)
        last = phases[-1]
        said = " ".join((last.problem, last.hint, *last.hints[1:]))
        return Trial(last.passed, "" if last.passed else last.title, " ".join(said.split()))

    def misses(self, mistake: Mistake) -> str:
        """Why a mistake is not caught as it has to be; "" where it is."""
        trial = self.check(mistake.step, mistake.text)
        if trial.passed:
            return "passes"
        if not trial.named:
            return f"is caught and not named: {trial.said}"
        if not re.search(mistake.says, trial.said):
            return f"is caught for another reason than {mistake.says!r}: {trial.said}"
        return ""


@contextmanager
def bench() -> Iterator[Bench]:
    """A bench in a folder that is gone afterwards."""
    with TemporaryDirectory(prefix="steps-") as folder:
        yield Bench(Path(folder))
