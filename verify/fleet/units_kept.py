"""The records of a run that is made of units: written once, and taken up again where it ended.

The run's folder holds a `unit` record for each unit that was done, with all that it found, and a
`node` record for whatever happened to a node. A unit of the same key and arguments is not done
again where the same folder is given again; one that failed is.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Self

from reports.saved.environment import PACKAGES
from reports.saved.records import RECORDS, RecordsError, RunWriter, read_run
from verify.fleet.fleet_bar import FleetBar
from verify.fleet.node_check import description
from verify.fleet.unit import Done
from verify.fleet.units_run import HERE, run_units

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from reports.saved.records import Kind, Run
    from verify.fleet.unit import NodeNews, Spread, Unit


class KeptUnits:
    """A run made of units, with its records; a context manager.

    Args:
        kind: of the run, as `reports.saved.records.Kind` has it.
        units: all of it, in order.
        command: how it was started.
        environment: as `reports.saved.environment.collect` returns it.
        out: the run's folder; one that holds records of the same work is continued. None makes
            a new one.
        brief: makes of what came of a unit what its record tells, where that is less. It may write
            into the folder that it is given, which is the run's.

    Attributes:
        units: as given.
        done: what came of units so far, by key; those of an earlier run too. None of them has an
            error.
        failed: those that have one, by key.
        folder: of the run, once it is entered.
        complete: whether the folder held all of it already, and an end; nothing is written then.

    Raises:
        RecordsError: on entering, where the folder holds other work, or work of other code, or
            cannot be written.
    """

    def __init__(
        self,
        kind: Kind,
        units: Sequence[Unit],
        *,
        command: Sequence[str],
        environment: Mapping[str, Any],
        out: Path | None = None,
        brief: Callable[[Done, Path], Done] = lambda done, _: done,
    ) -> None:
        self.units = units
        self._brief = brief
        self.done: dict[str, Done] = {}
        self.failed: dict[str, Done] = {}
        self.complete = False
        self._stack = ExitStack()
        self._mine = description()
        self._environment = {**environment, "code_sha256": self._mine["code"]}
        self._known = read_run(out) if out is not None and (out / RECORDS).exists() else None
        self._out = out
        self._writer = (
            RunWriter(kind, command=command, environment=self._environment, out=out)
            if out is None or self._known is None
            else RunWriter.continued(out, self._known)
        )
        self._kind = kind

    def __enter__(self) -> Self:
        """Read what is there, and open the records."""
        if self._known is not None:
            self._take_up(self._known)
        if self.complete:
            assert self._out is not None
            self.folder = self._out
        else:
            self._stack.enter_context(self._writer)
            self.folder = self._writer.folder
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the records."""
        self._stack.__exit__(kind, error, traceback)

    def run(self, spread: Spread = HERE, *, quiet: bool = False) -> Generator[Done, None, None]:
        """Do what has not been done, with a bar; yields each as soon as it is written down.

        Args:
            spread: where.
            quiet: without a bar.

        Raises:
            FleetError, RecordsError: as `run_units` and `RunWriter.write`.
        """
        left = [unit for unit in self.units if unit.key not in self.done]
        if not left:
            return
        with ExitStack() as stack:
            bar = stack.enter_context(FleetBar(len(self.units), len(self.done), quiet=quiet))

            def listen(news: NodeNews) -> None:
                self._writer.write(news.record())
                bar.news(news)

            found = stack.enter_context(closing(run_units(left, spread, listen)))
            for whole in found:
                done = self._brief(whole, self.folder)
                self._keep(done)
                bar.advance(done)
                yield done

    def in_order(self) -> list[Done]:
        """What came of the units, in their order, whichever was done first."""
        return [self.done[unit.key] for unit in self.units if unit.key in self.done]

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the end, unless it was there; a run without one is continued."""
        if not self.complete:
            self._writer.finish(summary)

    def _keep(self, done: Done) -> None:
        self._writer.write(done.record())
        (self.failed if done.error else self.done)[done.key] = done

    def _take_up(self, run: Run) -> None:
        """What an earlier run has done of these units.

        Raises:
            RecordsError: where it is not part of this.
        """
        self._check(run)
        asked = {unit.key: unit.sha256 for unit in self.units}
        for record in run.of("unit"):
            done = Done.read(record)
            if asked.get(done.key, done.sha256) != done.sha256:
                raise RecordsError(
                    f"{run.folder} holds other work: {done.key} was done with other options"
                )
            if done.error is None and done.key in asked:
                self.done.setdefault(done.key, done)
        if run.end is not None:
            self.complete = len(self.done) == len(self.units)
            if not self.complete:
                raise RecordsError(f"{run.folder} holds a run that has come to its end")

    def _check(self, run: Run) -> None:
        if run.kind != self._kind:
            raise RecordsError(f"{run.folder} holds a run of {run.kind}, not of {self._kind}")
        for name, here in self._mine["code"].items():
            if run.environment.get("code_sha256", {}).get(name) != here:
                raise RecordsError(f"{run.folder} was begun with other code of {name}/")
        before = run.environment.get("versions", {})
        for name in PACKAGES:
            if before.get(name) != self._mine["versions"][name]:
                raise RecordsError(f"{run.folder} was begun with {name} {before.get(name)}")
