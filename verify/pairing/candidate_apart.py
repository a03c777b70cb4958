"""A candidate in a process of its own, as the harness sees it.

The judge imports nothing of the candidate's. It asks for what the candidate consists of and for its
graphs, which are data, and ends the process before it draws a case. What MAX compiles of the graphs
runs in a third process (`verify.apart.executor`), which the candidate's Python code has never
been in.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from impl.runtime import open_device
from verify.apart.executor import compiled_apart
from verify.apart.process import Apart, EndedError
from verify.candidate.descendants import ClingingError
from verify.candidate.guard import CandidateError
from verify.candidate.model_graphs import Candidate
from verify.candidate.sandbox import say
from verify.pairing import messages

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from reference.trace import Array
    from verify.candidate.program import Compiled
    from verify.candidate.staging import Staged
    from verify.graph.adapter import Noted
    from verify.pairing.built import Wanted
    from verify.pairing.outline import CandidateOutline

T = TypeVar("T")

PROCESS = "verify.pairing.candidate_process"

MOST_TOLD = 8
"""How many things that a candidate's process does in one answer are counted apart."""

MOST_NOTES = 10
LONGEST = 1000
"""Of a sentence from a candidate's process, in letters."""

_waiting: list[Apart] = []


def one_line(text: str) -> str:
    """A sentence from a candidate's process, fit for a terminal: one line, printable, not too long.

    Args:
        text: whatever it is.
    """
    return "".join(each if each.isprintable() else " " for each in text)[:LONGEST].rstrip()


def stand_by() -> None:
    """Start the process of the next candidate now, so that it is ready when it is messages."""
    _waiting.append(Apart(PROCESS))


class CandidateApart:
    """A candidate in a process of its own.

    Args:
        candidate: `FILE.py:NAME` or `package.module:NAME`; it is imported at once, over there.

    Attributes:
        files: its own files that it has imported so far.

    Raises:
        CandidateError: whatever is wrong with the candidate, in every method.
    """

    def __init__(self, candidate: str) -> None:
        self.files: list[str] = []
        self._candidate = candidate
        self._device = "cpu"
        self._begin()

    def _begin(self) -> None:
        self._doing = f"importing {self._candidate.rpartition(':')[0]}"
        self._apart = _waiting.pop() if _waiting else Apart(PROCESS)
        self._ask(messages.Load(self._candidate), messages.Loaded)

    def build(self, wanted: Wanted, device: str) -> None:
        """Call its factory; where its process has ended, in a new one.

        Args:
            wanted: how.
            device: name of the device that it shall run on.
        """
        if self._apart.has_ended:
            self._begin()
        self._device = device
        self._ask(messages.Build.of(wanted, device), messages.Loaded)

    def examined(self, shape: Sequence[int], output: str = "logits") -> CandidateOutline:
        """What it consists of; see `Here.examined`."""
        outline = self._ask(messages.Examine(tuple(shape), output), messages.Outlined).outline
        return replace(outline, said=one_line(outline.said))

    def values(self, names: Sequence[str]) -> dict[str, Array]:
        """Its own values of some of its parameters; see `Here.values`."""
        answer = self._ask(messages.Value(list(names)), messages.Valued)
        try:
            found = {name: answer.values[name].array() for name in names}
        except (KeyError, ValueError, TypeError):
            raise self._nonsense() from None
        return found

    def candidate(self, cut: Collection[str], result: str | None) -> Candidate:
        """Its graphs, to be evaluated here or compiled in a third process."""
        answer = self._ask(messages.Stage(sorted(cut), result), messages.Graphs)
        return Candidate(answer.staged(), open_device(self._device), self._compiled)

    def _compiled(self, staged: Staged) -> Compiled:
        return compiled_apart(staged.program, staged.libraries, self._device)

    def shipped(self, *, last: bool) -> tuple[Noted, list[Path]]:
        """Its plain graph alone; see `Here.shipped`."""
        answer = self._ask(messages.Ship(last), messages.Shipped)
        return answer.program.noted(), [Path(path) for path in answer.libraries]

    def end(self) -> None:
        """End its process, and whatever it has started."""
        try:
            self._apart.end()
        except ClingingError as error:
            raise CandidateError(f"{self._doing}: {error}") from None

    def _ask(self, request: messages.Request, kind: type[T]) -> T:
        """What the candidate's process answers; what it says on the way is passed on."""
        say(f"candidate {self._doing}")
        self._apart.send(request)
        told = {self._doing}
        try:
            while True:
                answer: messages.Answer = self._apart.receive(messages.Answer)
                if not isinstance(answer, messages.Doing):
                    return self._checked(answer, kind)
                self._hear(one_line(answer.what), told)
        except EndedError as ended:
            error = ended.as_candidates(self._doing)
            error.files = self.files
            raise error from None
        except ClingingError as clinging:
            raise CandidateError(f"{self._doing}: {clinging}") from None
        except msgspec.MsgspecError:
            raise self._nonsense() from None
        finally:
            say("harness")

    def _hear(self, what: str, told: set[str]) -> None:
        """Pass on which of its code runs, so that its time is counted.

        Args:
            what: it says; whatever else than its own code that may be counts as that too.
            told: what it has said before. Its time begins anew with each of a few words alone.
        """
        self._doing = what.removeprefix("candidate ") if what != "harness" else self._doing
        if self._doing not in told and len(told) < MOST_TOLD:
            told.add(self._doing)
            say(f"candidate {self._doing}")

    def _checked(self, answer: messages.Answer, kind: type[T]) -> T:
        if isinstance(answer, messages.Failed):
            self.files = answer.files
            self.end()
            error = CandidateError(one_line(answer.error))
            error.files, error.place = answer.files, answer.place
            for note in answer.notes[:MOST_NOTES]:
                error.add_note(one_line(note))
            raise error
        if not isinstance(answer, kind):
            raise self._nonsense()
        if isinstance(answer, messages.Loaded | messages.Graphs):
            self.files = answer.files
        return answer

    def _nonsense(self) -> CandidateError:
        self.end()
        return CandidateError(
            f"{self._doing}: the candidate's process answers what verify has not asked for"
        )
