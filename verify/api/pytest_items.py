"""The tests of `pytest --max-parity`: one for each place of the model, and one for all else.

They are collected from the names of the places alone. The verification runs once, in a process of
its own, when the first test needs it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from .ask import check, lines
from .judgement import MaxParityError, places

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from .judgement import Result

ROOM = "max_parity"
"""Begins every id: `max_parity::transformer.h.0.attn`."""

ELSE = "everything_else"
"""The test of what belongs to no place: logits, parameters, coverage, power, the free run."""

SHOWN = 3
"""Messages of a place that are shown."""


class Parity:
    """The plugin of a session that verifies a model.

    Args:
        candidate: `FILE.py:NAME`.
        folder: where that is found, and where the run goes.
        model: the GPT-2 to compare with.
        reference: `hf:FOLDER` of another decoder; "" for a GPT-2.
        quick: whether the mathematics alone is judged.
        arguments: further options of `max-parity verify`.
    """

    def __init__(
        self, candidate: str, folder: Path, *, model: str, reference: str, quick: bool,
        arguments: list[str],
    ) -> None:  # fmt: skip
        self.candidate, self.folder = candidate, folder
        self.model, self.reference = model, reference
        self.quick, self.arguments = quick, arguments
        self.told_by = ""

    @classmethod
    def of(cls, config: pytest.Config, candidate: str) -> Parity:
        """As options and configuration have it; a path of the configuration begins at its file."""
        named = config.getoption("--max-parity")
        begin = config.inipath.parent if config.inipath else config.rootpath

        def asked(name: str) -> Any:
            given = config.getoption(f"--max-parity-{name}")
            return config.getini(f"max_parity_{name}") if given is None else given

        return cls(
            candidate,
            config.invocation_params.dir if named else begin,
            model=asked("model"),
            reference=asked("reference"),
            quick=asked("quick"),
            arguments=config.getoption("--max-parity-arg") or config.getini("max_parity_args"),
        )

    @cached_property
    def _outcome(self) -> Result | MaxParityError:
        """The verification, made once; an error is the same for every test."""
        try:
            return check(
                self.candidate, model=self.model, reference=self.reference or None,
                quick=self.quick, arguments=self.arguments, folder=self.folder,
            )  # fmt: skip
        except MaxParityError as error:
            return error

    @property
    def result(self) -> Result:
        """What was found, after `why_none` has said that there is something."""
        assert not isinstance(self._outcome, MaxParityError)
        return self._outcome

    def why_none(self, asker: str) -> str:
        """Why there is no verdict; "" where there is one.

        Args:
            asker: the test that asks: the first one is told in full.
        """
        if not isinstance(self._outcome, MaxParityError):
            return ""
        self.told_by = self.told_by or asker
        first = asker == self.told_by
        return str(self._outcome) if first else f"no verdict, as {self.told_by} says"

    def names(self) -> list[str]:
        """The places, in order of execution.

        Raises:
            pytest.UsageError: where there is no such model.
        """
        which = ["--reference", self.reference] if self.reference else ["--model", self.model]
        try:
            return lines(["verify", "places", *which], self.folder)
        except MaxParityError as error:
            raise pytest.UsageError(f"--max-parity: {error}") from error

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Add the tests, before `-k` and others choose of them."""
        room = Room.from_parent(session, name=ROOM, nodeid=ROOM)
        items += [Place.from_parent(room, name=name, parity=self) for name in self.names()]
        items.append(Else.from_parent(room, name=ELSE, parity=self))

    def pytest_report_header(self) -> str:
        """What is verified."""
        how = ", its mathematics alone" if self.quick else ""
        return f"max-parity: {self.candidate} beside {self.reference or self.model}{how}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The verdict, and where the page is."""
        outcome = self.__dict__.get("_outcome")
        if outcome is not None and not isinstance(outcome, MaxParityError):
            terminalreporter.section("max-parity")
            terminalreporter.write_line(str(outcome))


class Room(pytest.Collector):
    """Holds the tests; they come from no file."""

    def collect(self) -> Iterable[pytest.Item]:
        """Nothing: the tests are added to the session."""
        return []


class Judged(pytest.Item):
    """A test that reports a part of the verification."""

    def __init__(self, *, parity: Parity, **others: Any) -> None:
        super().__init__(**others)
        self.parity = parity

    def setup(self) -> None:
        """Verify, unless an earlier test has; without a verdict the test is an error."""
        if why := self.parity.why_none(self.nodeid):
            pytest.fail(why, pytrace=False)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it is, for the terminal."""
        return self.config.rootpath / ROOM, None, self.name


class Place(Judged):
    """One place, judged alone on the reference's activations."""

    def runtest(self) -> None:
        """Pass where every case did; skip where the model has no counterpart of the place."""
        result = self.parity.result
        if why := result.excused.get(self.name):
            pytest.skip(why)
        found = places(result.checks).get(self.name)
        if not found:
            pytest.fail(f"{self.name} was not compared", pytrace=False)
        if failed := [each for each in found if each["verdict"] != "PASS"]:
            lines = _about_place(failed, len(found), self.name, result)
            pytest.fail("\n".join(lines), pytrace=False)


class Else(Judged):
    """Everything that is not one place alone."""

    def runtest(self) -> None:
        """Pass where all of it did."""
        result = self.parity.result
        alone = {id(each) for found in places(result.checks).values() for each in found}
        failed = [
            each for each in result.checks
            if id(each) not in alone and each["verdict"] not in ("PASS", "SKIP")
        ]  # fmt: skip
        if failed:
            pytest.fail("\n".join(_about_all(failed, result)), pytrace=False)


def _about_place(
    failed: list[Mapping[str, Any]], of: int, name: str, result: Result
) -> Iterable[str]:
    yield f"{name}: {len(failed)} of {of} comparisons fail"
    for each in failed[:SHOWN]:
        yield f"  {each['case']} ({each['mode']}): {each['message']}"
    if result.first_divergence and result.first_divergence.place == name:
        yield from str(result).splitlines()[1:]
    elif result.first_divergence:
        yield f"The first that fails is {result.first_divergence.place}"


def _about_all(failed: list[Mapping[str, Any]], result: Result) -> Iterable[str]:
    by_mode: dict[str, list[Mapping[str, Any]]] = {}
    for each in failed:
        by_mode.setdefault(each["mode"], []).append(each)
    for mode, some in by_mode.items():
        first = some[0]
        where = " ".join(filter(None, (first["case"], first["tap"])))
        yield f"{mode}: {len(some)} {first['verdict']}, first {where}: {first['message']}"
    if result.first_divergence:
        yield from str(result).splitlines()[1:]
