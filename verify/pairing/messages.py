"""What the harness asks a candidate's process for, and what it answers."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from verify.apart.wire import Packed
from verify.candidate.staging import Staged
from verify.graph.adapter import Noted
from verify.pairing.outline import CandidateOutline  # noqa: TC001 - read where it is decoded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from verify.pairing.built import Wanted


class Load(msgspec.Struct, tag=True, frozen=True):
    """Import what `FILE.py:NAME` or `package.module:NAME` names; answered by `Loaded`."""

    candidate: str


class Build(msgspec.Struct, tag=True, frozen=True):
    """Build the candidate; answered by `Loaded`.

    Attributes:
        wanted: a pickled `Wanted`: only the harness sends one, and only it is believed.
        device: name of the device.
    """

    wanted: bytes
    device: str

    @classmethod
    def of(cls, wanted: Wanted, device: str) -> Build:
        """As the harness asks for it."""
        return cls(pickle.dumps(wanted), device)

    def read(self, ours: Mapping[str, ModuleType]) -> Wanted:
        """In the candidate's process.

        Args:
            ours: the harness's modules, whose names may be the candidate's by now.
        """
        wanted: Wanted = _Reader(io.BytesIO(self.wanted), ours).load()
        return wanted


class _Reader(pickle.Unpickler):
    """Reads what the harness has pickled, with the harness's own classes."""

    def __init__(self, file: io.BytesIO, ours: Mapping[str, ModuleType]) -> None:
        super().__init__(file)
        self._ours = ours

    def find_class(self, module: str, name: str) -> Any:
        """A class of the harness's, or of a library."""
        if module in self._ours:
            return getattr(self._ours[module], name)
        return super().find_class(module, name)


class Examine(msgspec.Struct, tag=True, frozen=True):
    """Ask what the candidate consists of; answered by `Outlined`.

    Attributes:
        shape: of the logits, as `Here.examined` takes it.
        output: what its user says that it returns.
    """

    shape: tuple[int, ...]
    output: str


class Value(msgspec.Struct, tag=True, frozen=True):
    """Ask for the candidate's own values of some of its parameters; answered by `Valued`."""

    names: list[str]


class Stage(msgspec.Struct, tag=True, frozen=True):
    """Trace the candidate, as `Staging.staged` does; answered by `Graphs`."""

    cut: list[str]
    result: str | None


class Ship(msgspec.Struct, tag=True, frozen=True):
    """Trace the plain graph alone, as `Staging.shipped` does; answered by `Shipped`."""

    last: bool


Request = Load | Build | Examine | Value | Stage | Ship


class Doing(msgspec.Struct, tag=True, frozen=True):
    """What goes on; no answer."""

    what: str


class Failed(msgspec.Struct, tag=True, frozen=True):
    """A `CandidateError`, with what it carries and the candidate's files so far."""

    error: str
    notes: list[str]
    files: list[str]
    place: tuple[str, int] | None


class Loaded(msgspec.Struct, tag=True, frozen=True):
    """The candidate's own files that are imported by now."""

    files: list[str]


class Outlined(msgspec.Struct, tag=True, frozen=True):
    """What the candidate consists of."""

    outline: CandidateOutline


class Valued(msgspec.Struct, tag=True, frozen=True):
    """Arrays by the names of parameters."""

    values: dict[str, Packed]


class Program(msgspec.Struct, frozen=True):
    """A staged program."""

    bytecode: bytes
    scalars: list[float]

    @classmethod
    def of(cls, noted: Noted) -> Program:
        """As it is sent."""
        return cls(noted.bytecode, list(noted.scalars))

    def noted(self) -> Noted:
        """As it is used."""
        return Noted(self.bytecode, tuple(self.scalars))


class Graphs(msgspec.Struct, tag=True, frozen=True):
    """The fields of `Staged`, everything made."""

    program: Program
    again: Program
    placed: Program
    taps: list[str]
    given: dict[str, str]
    forced_taps: list[str]
    parameter_names: list[str]
    libraries: list[str]
    files: list[str]

    @classmethod
    def of(cls, staged: Staged, files: list[str]) -> Graphs:
        """As they are sent."""
        return cls(
            program=Program.of(staged.program),
            again=Program.of(staged.again()),
            placed=Program.of(staged.placed()),
            taps=list(staged.taps),
            given=dict(staged.given),
            forced_taps=list(staged.forced_taps),
            parameter_names=list(staged.parameter_names),
            libraries=[str(path) for path in staged.libraries],
            files=files,
        )

    def staged(self) -> Staged:
        """As they are used."""
        return Staged(
            program=self.program.noted(),
            again=self.again.noted,
            placed=self.placed.noted,
            taps=self.taps,
            given=self.given,
            forced_taps=self.forced_taps,
            parameter_names=self.parameter_names,
            libraries=[Path(path) for path in self.libraries],
        )


class Shipped(msgspec.Struct, tag=True, frozen=True):
    """The plain graph."""

    program: Program
    libraries: list[str]


Answer = Doing | Failed | Loaded | Outlined | Valued | Graphs | Shipped


def packed(values: dict[str, Any]) -> dict[str, Packed]:
    """Arrays as they are sent."""
    return {name: Packed.of(array) for name, array in values.items()}
