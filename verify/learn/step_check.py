"""One check of a step, in a process of its own that has made itself ready while the learner types.

It is `python -m verify step N FILE`, so that code that hangs, crashes or prints harms nothing here.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verify.candidate.sandbox import Standby

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PRINTED_LINES = 12
"""Of what the learner's code prints: so many of the last lines are shown."""

LONGEST_LINE = 200

PLAIN_STEPS = frozenset({1, 12, 13})
"""Steps of plain Python: there is nothing to compile."""


def printable(text: str) -> str:
    """A text with `?` for what would move a terminal's cursor or change its colours."""
    lines = text.expandtabs().split("\n")
    return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)


@dataclass(frozen=True, slots=True)
class PhaseSeen:
    """One phase, as `verify step --json` has it; see `verify.steps.phases.Phase`."""

    title: str
    passed: bool
    problem: str = ""
    hints: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    said: str = ""
    task: int | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> PhaseSeen:
        """A phase from JSON, of this version or one without levels of hints."""
        hints = values.get("hints") or [hint for hint in [values.get("hint")] if hint]
        return cls(
            title=values["title"], passed=values["passed"], hints=tuple(hints),
            problem=printable(values.get("problem", "")), said=values.get("said", ""),
            notes=tuple(map(printable, values.get("notes", ()))),
            task=values.get("task"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check came to.

    Attributes:
        number: of the step.
        verdict: PASS, FAIL, or ERROR where it could not be judged.
        compiled: whether MAX compiled it; else its graph was evaluated in float64.
        phases: up to the first that failed.
        reason: why it could not be judged.
        printed: the last lines that the learner's code printed.
        seconds: that it took.
        when: the time of day at its end.
        table: hashes of the files as they were when it began (`LearnerFolder.table`).
    """

    number: int
    verdict: str
    compiled: bool
    phases: tuple[PhaseSeen, ...] = ()
    reason: str = ""
    printed: tuple[str, ...] = ()
    seconds: float = 0.0
    when: str = ""
    table: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether all phases did."""
        return self.verdict == "PASS"

    @property
    def failed_phase(self) -> PhaseSeen | None:
        """The phase that failed, if one did."""
        return next((phase for phase in self.phases if not phase.passed), None)

    @property
    def subject(self) -> str:
        """What its hints are about: `TODO 2`, or the phase that failed; "" where it passed."""
        phase = self.failed_phase
        if phase is None:
            return ""
        return f"TODO {phase.task}" if phase.task else phase.title


class StepCheck:
    """A check that has not begun yet; everything that it needs is being imported.

    Made in a program's main thread: its process ends with the thread that started it.

    Args:
        number: of the step.
        file: the learner's.
        compiled: whether MAX compiles it.
        limits: further words for `python -m verify step`.
    """

    def __init__(
        self, number: int, file: Path, *, compiled: bool = False, limits: Sequence[str] = ()
    ) -> None:
        self.number, self.file = number, file
        self.compiled = compiled and number not in PLAIN_STEPS
        self._folder = tempfile.TemporaryDirectory(prefix="verify-learn-")
        self._answer = Path(self._folder.name) / "step.json"
        words = ["step", str(number), str(file), "--quiet", "--json", str(self._answer), *limits]
        self._standby = Standby(words if self.compiled else [*words, "--quick"])
        self._ended = False
        self._thread: threading.Thread | None = None

    def run(self, table: Mapping[str, str]) -> Checked:
        """Check the file as it is now, and wait for the outcome.

        Args:
            table: hashes of the files, taken before.
        """
        started = time.monotonic()
        code, problem = self._standby.judge()
        printed = () if code is None else tuple(self._standby.printed(PRINTED_LINES))
        values = self._answered()
        verdict = values.get("verdict", "ERROR")
        return Checked(
            number=self.number,
            verdict=verdict,
            compiled=self.compiled,
            phases=tuple(PhaseSeen.of(phase) for phase in values.get("phases", ())),
            reason=printable(values.get("reason") or problem or "it ended without a verdict"),
            printed=tuple(printable(line)[:LONGEST_LINE] for line in printed),
            seconds=time.monotonic() - started,
            when=time.strftime("%H:%M:%S"),
            table=dict(table),
        )

    def start(self, table: Mapping[str, str], done: Callable[[StepCheck, Checked], None]) -> None:
        """The same in a thread; nothing is called once `end` was.

        Args:
            table: hashes of the files, taken before.
            done: called in that thread.
        """

        def work() -> None:
            found = self.run(table)
            if not self._ended:
                done(self, found)

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End its process, whatever it does; a second time does nothing."""
        if not self._ended:
            self._ended = True
            self._standby.kill()
            if self._thread is not None:
                self._thread.join()
            self._standby.end()
            self._folder.cleanup()

    def _answered(self) -> dict[str, Any]:
        try:
            values = json.loads(self._answer.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}
