"""A learner's session: which step it is about, what has to be checked, what has been found.

It neither prints nor waits: `terminal` and `without_terminal` do, each in its way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verify.learn.displayed import LEVELS
from verify.learn.kept_state import now
from verify.learn.learner_folder import CORE, MOST
from verify.learn.step_check import PLAIN_STEPS, StepCheck

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from verify.learn.learner_folder import LearnerFolder, Standing
    from verify.learn.step_check import Checked


THOUGHT = (
    "print the shape after each line, and say for each sum, mean or softmax which axis it runs "
    "over and which must stay; the explanation says what each line is for"
)
"""The last hint where a phase has none of its own: the line of thought that finds most mistakes."""


class Session:
    """One session over a folder.

    Args:
        folder: the learner's, open.
        compiled: whether each check compiles.
        quick: whether nothing is ever compiled: a step is done once its graph is right in float64.
        limits: further words for `python -m verify step`.

    Attributes:
        number: the step that the session is about; None once all are done.
        found: by step, the last check of it.
    """

    def __init__(
        self,
        folder: LearnerFolder,
        *,
        compiled: bool = False,
        quick: bool = False,
        limits: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.compiled, self.quick = compiled, quick
        self.limits = tuple(limits)
        self.found: dict[int, Checked] = {}
        self.number: int | None = None
        self.choose()

    # ---- which step ---------------------------------------------------------------------------

    def choose(self) -> int | None:
        """Turn to the first step that is not done, and begin its file where there is none.

        One that had passed, has changed and has not been checked since comes after the others.

        Returns:
            Its number; None where nothing is left, or where the whole model comes first.
        """
        self.number = self._first_open()
        if self.number is not None:
            self.folder.begin(self.number)
        return self.number

    def _first_open(self) -> int | None:
        core = [one for one in self.folder.all()[:CORE] if not one.done]
        first = [one for one in core if not (one.changed and self._is_new(one))] or core
        if first:
            return first[0].number
        later = (self.folder.standing(number) for number in range(CORE + 1, MOST + 1))
        return next((one.number for one in later if not one.done), None) if self.whole else None

    @property
    def whole(self) -> bool:
        """Whether the model of the twelve steps has been verified as it is now."""
        return self.folder.whole_is_done()

    @property
    def done(self) -> int:
        """How many of the twelve steps are."""
        return sum(one.done for one in self.folder.all()[:CORE])

    def standing(self) -> Standing | None:
        """How the session's step stands."""
        return None if self.number is None else self.folder.standing(self.number)

    # ---- what has to be checked ---------------------------------------------------------------

    def due(self) -> list[int]:
        """Steps to check: those that had passed and have changed, and the session's own.

        A step whose last check was of the same files is not among them.
        """
        numbers = [one.number for one in self.folder.all() if one.changed and self._is_new(one)]
        own = self.standing()
        if own and not own.done and own.file and self._is_new(own) and own.number not in numbers:
            numbers.append(own.number)
        return numbers

    def _is_new(self, one: Standing) -> bool:
        last = self.found.get(one.number)
        return last is None or last.table != one.table

    def check(self, number: int, *, compiled: bool = False) -> StepCheck | None:
        """A check of a step, made ready; None where it has no file.

        Args:
            number: of the step.
            compiled: whether MAX compiles it, whatever the session does otherwise.
        """
        file = self.folder.standing(number).file
        if file is None:
            return None
        compiles = (compiled or self.compiled) and not self.quick
        return StepCheck(number, file, compiled=compiles, limits=self.limits)

    def table(self, file: Path) -> dict[str, str]:
        """As `LearnerFolder.table`."""
        return self.folder.table(file)

    # ---- what was found -----------------------------------------------------------------------

    def take(self, found: Checked) -> None:
        """Remember a check; a step that has passed as far as it has to is done.

        A step that had passed before is done again without a compile: the whole model is compiled.
        """
        self.found[found.number] = found
        one = self.folder.standing(found.number)
        enough = found.compiled or found.number in PLAIN_STEPS or self.quick or one.kept.passed
        if found.passed and enough and found.table == one.table:
            self.folder.state.note(
                found.number,
                passed=one.kept.passed or now(),
                checked="compiled" if found.compiled else _how(found.number),
                files=dict(found.table),
            )

    def waits_for_compile(self) -> bool:
        """Whether the session's step has passed as it is now, and has yet to be compiled."""
        one = self.standing()
        if one is None or one.done:
            return False
        last = self.found.get(one.number)
        return last is not None and last.passed and last.table == one.table

    def broken(self) -> list[Checked]:
        """Checks of other steps that had passed and do not any more."""
        return [
            found
            for number, found in sorted(self.found.items())
            if number != self.number and not found.passed and self.folder.standing(number).changed
        ]

    # ---- hints --------------------------------------------------------------------------------

    def hints(self, found: Checked) -> tuple[str, ...]:
        """The hints on what fails: its own, then what holds for the whole step, up to three."""
        phase = found.failed_phase
        if phase is None:
            return ()
        step = self.folder.standing(found.number).lesson.step
        further = (f"{step.formula}; shapes: {step.shapes}", THOUGHT)
        return (*phase.hints, *further[max(0, len(phase.hints) - 1) :])[:LEVELS]

    def level(self, found: Checked) -> int:
        """How many levels of hints have been taken on what fails; 1 at least."""
        return max(1, self.folder.state.of(found.number).hints.get(found.subject, 1))

    def take_hint(self, found: Checked, level: int | None = None) -> bool:
        """Take the next level of hints on what fails, or a certain one.

        Returns:
            Whether there was one.
        """
        wanted = self.level(found) + 1 if level is None else level
        if wanted > len(self.hints(found)):
            return False
        hints = dict(self.folder.state.of(found.number).hints)
        hints[found.subject] = max(wanted, hints.get(found.subject, 0))
        self.folder.state.note(found.number, hints=hints)
        return True

    def take_solution(self) -> None:
        """Note that the solution was shown, where the step has not passed."""
        one = self.standing()
        if one and not one.kept.passed and not self.waits_for_compile() and not one.kept.solution:
            self.folder.state.note(one.number, solution=now())


def _how(number: int) -> str:
    return "plain Python" if number in PLAIN_STEPS else "float64"
