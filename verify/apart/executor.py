"""MAX's process: compiles a candidate's program and runs it, without the candidate's Python code.

What MAX does with a program, a crash included, takes neither the judge with it nor anything that
the judge has found. An input is sent when it is to be computed on, and not before.
"""

from __future__ import annotations

import itertools
import sys
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from impl.compiling import compile_announced
from impl.runtime import open_device
from verify.apart.process import Apart, EndedError, answer_until_alone
from verify.apart.wire import Packed
from verify.candidate.guard import CandidateError, texts_of
from verify.candidate.program import MODEL, CompiledProgram
from verify.graph.adapter import Noted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reference.trace import Array
    from verify.apart.wire import Wire
    from verify.candidate.program import BoundProgram

T = TypeVar("T")


class Compile(msgspec.Struct, tag=True, frozen=True):
    """Compile a program; answered by `Done`."""

    bytecode: bytes
    libraries: list[str]
    device: str


class Bind(msgspec.Struct, tag=True, frozen=True):
    """Give it weights; answered by `Done`.

    Attributes:
        key: what they are called from now on.
        arrays: every one once.
        names: by the name of a parameter, the number of its array.
    """

    key: int
    arrays: list[Packed]
    names: dict[str, int]


class Run(msgspec.Struct, tag=True, frozen=True):
    """Run a graph with weights; answered by `Arrays`."""

    key: int
    graph: str
    arrays: list[Packed]


class Drop(msgspec.Struct, tag=True, frozen=True):
    """Forget weights; not answered."""

    key: int


Request = Compile | Bind | Run | Drop


class Done(msgspec.Struct, tag=True, frozen=True):
    """It is done."""


class Failed(msgspec.Struct, tag=True, frozen=True):
    """MAX refuses; what it says, the exceptions that led to the last one included."""

    text: str


class Arrays(msgspec.Struct, tag=True, frozen=True):
    """What a graph returns."""

    arrays: list[Packed]


Answer = Done | Failed | Arrays


def compiled_apart(
    program: Noted, libraries: Sequence[Path], device: str, what: str = MODEL
) -> ProgramApart:
    """Compile a program in a process of its own.

    Args:
        program: as it was staged.
        libraries: Mojo kernels of its custom operations.
        device: name of the device that it runs on.
        what: it is, in a few words.

    Raises:
        RuntimeError: what MAX says where it cannot.
        CandidateError: where the process ends instead.
    """
    apart = Apart("verify.apart.executor", caches=True)
    result = ProgramApart(apart)
    request = Compile(program.bytecode, [str(path) for path in libraries], device)
    text = str(program.program().mlir_module)
    compile_announced(what, text, lambda: result.ask(request, Done, "compiling"))
    return result


class ProgramApart:
    """A compiled program in a process of its own.

    Args:
        apart: the process.
    """

    def __init__(self, apart: Apart) -> None:
        self._apart = apart
        self._keys = itertools.count()
        self._dropped: list[int] = []

    def ask(self, request: Request, kind: type[T], doing: str) -> T:
        """The answer to a request.

        Args:
            request: what is asked.
            kind: of the answer.
            doing: begins the sentence where the process ends instead.
        """
        while self._dropped:
            self._apart.send(Drop(self._dropped.pop()))
        self._apart.send(request)
        try:
            answer: Answer = self._apart.receive(Answer)
        except EndedError as ended:
            raise ended.as_candidates(f"{doing} its program") from None
        except msgspec.MsgspecError as error:
            raise CandidateError(f"{doing} its program gives nonsense: {error}") from None
        if isinstance(answer, Failed):
            raise RuntimeError(answer.text)
        if not isinstance(answer, kind):
            raise CandidateError(f"{doing} its program gives {type(answer).__name__}")
        return answer

    def bind(self, weights: Mapping[str, Array]) -> BoundApart:
        """The program with these weights."""
        key = next(self._keys)
        arrays = {id(array): array for array in weights.values()}
        order = {each: index for index, each in enumerate(arrays)}
        request = Bind(
            key,
            [Packed.of(array) for array in arrays.values()],
            {name: order[id(array)] for name, array in weights.items()},
        )
        self.ask(request, Done, "binding the weights of")
        return BoundApart(self, key)

    def drop(self, key: int) -> None:
        """Let weights go, with the next request: this may come in the middle of one."""
        self._dropped.append(key)


class BoundApart:
    """Such a program with its weights, which the other process holds.

    Args:
        program: compiled.
        key: of the weights.
    """

    def __init__(self, program: ProgramApart, key: int) -> None:
        self._program = program
        self._key = key
        weakref.finalize(self, program.drop, key)

    def run(self, graph: str, arrays: Sequence[Array]) -> list[Array]:
        """What one of its graphs returns for arrays on the host: copies on the host.

        Raises:
            CandidateError: where MAX, or its process, fails.
        """
        request = Run(self._key, graph, [Packed.of(array) for array in arrays])
        try:
            answer = self._program.ask(request, Arrays, "running")
        except RuntimeError as error:
            raise CandidateError(f"MAX cannot run its program: {error}") from None
        try:
            return [packed.array() for packed in answer.arrays]
        except (ValueError, TypeError) as error:
            raise CandidateError(f"running its program gives no array: {error}") from None


# ---- in MAX's process ---------------------------------------------------------------------------


class Executor:
    """Answers requests, one after another."""

    def __init__(self) -> None:
        self._compiled: CompiledProgram | None = None
        self._bound: dict[int, tuple[BoundProgram, list[Array]]] = {}

    def answer(self, request: Request) -> Answer | None:
        """What a request is answered with; None for nothing."""
        match request:
            case Compile(bytecode, libraries, device):
                self._compile(bytecode, libraries, device)
            case Bind(key, packed, names):
                assert self._compiled is not None
                arrays = [each.array() for each in packed]  # MAX reads them in place: kept alive
                weights = {name: arrays[index] for name, index in names.items()}
                self._bound[key] = (self._compiled.bind(weights), arrays)
            case Run(key, graph, packed):
                results = self._bound[key][0].run(graph, [each.array() for each in packed])
                return Arrays([Packed.of(array) for array in results])
            case Drop(key):
                self._bound.pop(key, None)
                return None
        return Done()

    def _compile(self, bytecode: bytes, libraries: list[str], device: str) -> None:
        program = Noted(bytecode).program()
        opened = open_device(device)
        paths = list(map(Path, libraries))
        self._compiled = CompiledProgram(program, opened, libraries=paths, announced=False)


def serve(wire: Wire) -> None:
    """Answer until the harness is gone."""
    executor = Executor()
    while True:
        request: Request = wire.receive(Request)
        try:
            answer = executor.answer(request)
        except (RuntimeError, ValueError, TypeError, KeyError) as error:
            wire.send(Failed("\n".join(texts_of(error))))
        else:
            if answer is not None:
                wire.send(answer)


if __name__ == "__main__":
    answer_until_alone(sys.argv[1:], serve)
