"""A wrong solution of a step: the lesson's own solution with a few lines changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from verify.steps.lessons import lesson

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal["people", "slip", "catalogue", "mutant"]

Edit = tuple[str, str]
"""A piece of the solution, which is there exactly once, and what stands in its place."""


class EditError(ValueError):
    """An edit's old text is not in the solution exactly once: the lesson has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One wrong solution.

    Attributes:
        step: number of the step.
        name: what is wrong, in a few words.
        kind: `people`: seen in public code or threads; `slip`: what one writes by habit, or by
            oversight; `catalogue`: a planted fault, as a learner would write it; `mutant`: one of
            the kinds of mutants, chosen by hand.
        source: repository and number of the issue or pull request; "" for a slip; the fault's id;
            the mutant's kind.
        says: regular expression that the problem and its hint, as one text, have to match.
        edits: of the lesson's solution.
    """

    step: int
    name: str
    kind: Kind
    source: str
    says: str
    edits: tuple[Edit, ...]

    @property
    def text(self) -> str:
        """The text of the file.

        Raises:
            EditError: where the solution has changed, so that an edit does not apply.
        """
        return edited(lesson(self.step).solution, self.edits, f"step {self.step}, {self.name}")


def edited(text: str, edits: Iterable[Edit], name: str) -> str:
    """A text with each edit made once.

    Args:
        text: of a solution.
        edits: old and new pieces.
        name: for the message of an error.

    Raises:
        EditError: where an old piece is missing, or there more than once.
    """
    for old, new in edits:
        if text.count(old) != 1:
            raise EditError(f"{name}: {old!r} is there {text.count(old)} times, not once")
        text = text.replace(old, new)
    return text


def catalogued(name: str, fault: str, says: str, *edits: Edit) -> Mistake:
    """A fault of `verify.faults.catalogue`."""
    return Mistake(step=0, name=name, kind="catalogue", source=fault, says=says, edits=edits)


def seen(name: str, where: str, says: str, *edits: Edit) -> Mistake:
    """What people wrote, in a repository and thread; where that is "", a slip."""
    kind: Kind = "people" if where else "slip"
    return Mistake(step=0, name=name, kind=kind, source=where, says=says, edits=edits)


def mutated(name: str, rule: str, says: str, *edits: Edit) -> Mistake:
    """A mutant of the solution, of one of the kinds of `verify.mutants.generate`."""
    return Mistake(step=0, name=name, kind="mutant", source=rule, says=says, edits=edits)


def of_step(number: int, *mistakes: Mistake) -> tuple[Mistake, ...]:
    """Wrong solutions of a step."""
    return tuple(replace(mistake, step=number) for mistake in mistakes)
