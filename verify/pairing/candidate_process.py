"""The candidate's process: imports, builds and traces it, and answers what the harness asks.

It is never given an input, the reference's weights or what is right, and it ends before the first
case is drawn: all that is left of the candidate then is its graphs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impl.runtime import open_device
from verify.apart.process import answer_until_alone, give_way
from verify.candidate.factory import load_factory
from verify.candidate.guard import CandidateError, guarded
from verify.candidate.own_files import is_own
from verify.candidate.sandbox import heard_by
from verify.pairing import messages
from verify.pairing.built import built_here

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from verify.apart.wire import Wire
    from verify.pairing.built import Here


class Tracer:
    """Answers requests, one after another."""

    def __init__(self) -> None:
        self._factory: Callable[[Any], Any] | None = None
        self._here: Here | None = None
        self._ours: dict[str, ModuleType] = {}

    def answer(self, request: messages.Request) -> messages.Answer:
        """What a request is answered with.

        Raises:
            CandidateError: whatever is wrong with the candidate.
        """
        match request:
            case messages.Load(candidate):
                self._ours = give_way()
                self._factory = load_factory(candidate)
                return messages.Loaded(own_files())
            case messages.Build(device=device):
                assert self._factory is not None
                self._here = built_here(
                    request.read(self._ours), self._factory, open_device(device)
                )
                return messages.Loaded(own_files())
            case _:
                assert self._here is not None
                return self._of(self._here, request)

    def _of(self, here: Here, request: messages.Request) -> messages.Answer:
        match request:
            case messages.Examine(shape, output):
                return messages.Outlined(here.examined(shape, output))
            case messages.Value(names):
                return messages.Valued(messages.packed(here.values(names)))
            case messages.Ship(last):
                program, libraries = here.shipped(last=last)
                return messages.Shipped(
                    messages.Program.of(program), [str(path) for path in libraries]
                )
            case messages.Stage(cut, result):
                staged = here.staged(frozenset(cut), result)
                with guarded(here.calling):
                    return messages.Graphs.of(staged, own_files())
        raise AssertionError(request)


def own_files() -> list[str]:
    """The candidate's own files that are imported by now."""
    named = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    files = {Path(file).resolve() for file in named if file}
    return sorted(str(file) for file in files if is_own(file))


def serve(wire: Wire) -> None:
    """Answer until the harness is gone."""
    heard_by(lambda what: wire.send(messages.Doing(what)))
    tracer = Tracer()
    while True:
        request: messages.Request = wire.receive(messages.Request)
        try:
            wire.send(tracer.answer(request))
        except CandidateError as error:
            notes = [str(note) for note in getattr(error, "__notes__", ())]
            wire.send(messages.Failed(str(error), notes, own_files(), error.place))


if __name__ == "__main__":
    answer_until_alone(sys.argv[1:], serve)
