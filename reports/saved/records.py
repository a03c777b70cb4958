"""The records of a run: one JSON object a line, appended while the run goes on.

The first line describes the run, the last one its end; a run that was interrupted has no end, and
everything that it had finished is readable. Only the standard library is used.

Figures that do not exist (no samples, nothing measured) are `null`. Figures that were measured and
are not finite are the strings "nan", "inf" and "-inf", because JSON has no numbers for them.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from reports.saved.home import make_root, runs_root
from reports.saved.known_runs import remember
from reports.saved.manifest import seal
from reports.saved.upgrade import upgraded

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TextIO

Kind = Literal["verify", "bench", "endpoint", "campaign", "rules", "sweep", "machines", "training"]

# History of the format:
# 1  first form: `run`, then `check` (verify) or `phase`, `sample`, `agreement`, `row`, `effect`
#    (bench), then `end`.
# 2  bench: `null`, `ceiling`, `memory`, `layer`, `scaling`; verdicts, latencies, clean blocks.
# 3  verify: one shape of a sighting, in `fault` records and in the details of a fault's check;
#    `caught` is what `told` was. `reports.saved.upgrade` reads older ones.
# 4  bench: several processes of each arm, one after the other (`generation`); ratios and medians
#    with the intervals of processes; `luck`, `pause`, `failure`, `called`; shares of the wall time.
# 5  the candidate is all of its own files (`candidate_files`, `candidate_sha256` over them); CPU
#    and accelerator by their real names; `judge_sha256`, `directory`; a manifest.json.
# reports/SCHEMA.md documents the records, and what each version changed.
SCHEMA_VERSION = 5

RECORDS = "records.jsonl"
PROBLEM = "problem"
"""The record of a part of a report that could not be made."""


class RecordsError(ValueError):
    """Records that cannot be written or read; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Run:
    """The records of one run.

    Attributes:
        folder: where they are.
        header: the first record: `run_id`, `kind`, `command`, `started_utc`, `environment`.
        records: everything between the header and the end, in the order of writing, in today's
            format whatever they were written in.
        end: the last record, or None where the run was interrupted.
        damaged: lines that could not be read: 1 where the last line was cut off, else 0.
    """

    folder: Path
    header: dict[str, Any]
    records: tuple[dict[str, Any], ...]
    end: dict[str, Any] | None
    damaged: int

    @property
    def kind(self) -> str:
        """`verify`, `bench`, or another `Kind`."""
        return str(self.header.get("kind"))

    @property
    def environment(self) -> dict[str, Any]:
        """What it ran on, as `reports.saved.environment.collect` describes it; empty if unknown."""
        found = self.header.get("environment")
        return found if isinstance(found, dict) else {}

    def of(self, record: str) -> list[dict[str, Any]]:
        """The records of one kind."""
        return [values for values in self.records if values.get("record") == record]


class RunWriter:
    """Writes the records of one run; a context manager.

    Args:
        kind: what runs.
        command: how it was started.
        environment: as `reports.saved.environment.collect` returns it.
        out: the run's folder; None makes a new one in `root/runs`.
        root: holds `runs/`, and `latest/` with a link to the newest run of each kind; None is where
            runs go (`reports.saved.home`).

    Raises:
        RecordsError: on entering, if the folder cannot be written or already holds records.
    """

    folder: Path
    run_id: str

    def __init__(
        self,
        kind: Kind,
        *,
        command: Sequence[str],
        environment: Mapping[str, Any],
        out: Path | None = None,
        root: Path | None = None,
    ) -> None:
        self.kind = kind
        self._command, self._environment = list(command), environment
        self._out, self._root = out, root or runs_root()
        self._file: TextIO | None = None
        self._continues = self._ended = False

    @classmethod
    def continued(cls, folder: Path, run: Run) -> Self:
        """A writer that appends to a run which did not come to its end.

        A last line that was cut off is taken away first.

        Args:
            folder: of the run.
            run: its records.

        Raises:
            RecordsError: on entering, if they cannot be written.
        """
        writer = cls(
            cast("Kind", run.kind),
            command=run.header["command"], environment=run.environment, out=folder,
        )  # fmt: skip
        writer._continues = True
        return writer

    def __enter__(self) -> Self:
        """Make the folder and write the header."""
        if self._continues:
            return self._enter_again()
        started = datetime.now(UTC)
        self.folder = self._make_folder(f"{started:%Y%m%dT%H%M%SZ}-{self.kind}")
        self.run_id = self.folder.name
        path = self.folder / RECORDS
        try:
            self._file = path.open("x", encoding="utf-8")
            fcntl.flock(self._file, fcntl.LOCK_EX)  # freed with the process, however it ends
        except FileExistsError:
            raise RecordsError(f"{self.folder} already holds the records of a run") from None
        except OSError as error:
            raise RecordsError(f"{path} cannot be written: {error.strerror}") from error
        self.write(
            {
                "record": "run",
                "schema_version": SCHEMA_VERSION,
                "run_id": self.run_id,
                "kind": self.kind,
                "command": self._command,
                "started_utc": _stamp(started),
                "environment": self._environment,
            }
        )
        return self

    def _enter_again(self) -> Self:
        assert self._out is not None
        self.folder, self.run_id = self._out, self._out.name
        path = self.folder / RECORDS
        try:
            self._file = path.open("a", encoding="utf-8")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            whole, newline, cut = path.read_bytes().rpartition(b"\n")
            if cut:
                self._file.truncate(len(whole + newline))
        except BlockingIOError:
            if self._file is not None:
                self._file.close()
            raise RecordsError(
                f"{self.folder} is still being written: its run has not ended"
            ) from None
        except OSError as error:
            raise RecordsError(f"{path} cannot be written: {error.strerror}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file; make the run known, interrupted or not, and sealed where it has an end.

        `latest/<kind>` points to a run in `root`; others are remembered there.
        """
        if self._file is not None:
            with suppress(OSError):  # every record was flushed; a full disk was reported then
                self._file.close()
            self._file = None
        try:
            if self._ended:
                seal(self.folder)
            if self._out is None:
                _replace_link(self._root / "latest" / self.kind, self.folder)
            elif not self._continues:
                remember(self._root, self.folder, RECORDS)
        except OSError as problem:
            warnings.warn(f"what tells of {self.run_id} is not up to date: {problem}", stacklevel=2)

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record and hand it to the operating system."""
        if self._file is None:
            raise RecordsError("records can only be written inside `with`")
        line = json.dumps(strict(record), allow_nan=False, ensure_ascii=False)
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:  # a full disk; what was written before can be read
            raise RecordsError(
                f"{self.folder / RECORDS} cannot be written: {error.strerror}"
            ) from error

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the end record; a run without one was interrupted."""
        self.write({"record": "end", **summary, "finished_utc": _stamp(datetime.now(UTC))})
        self._ended = True

    def append(self, record: Mapping[str, Any]) -> None:
        """Append one record to a run that has ended, outside `with`.

        Raises:
            RecordsError: if it cannot be written.
        """
        path = self.folder / RECORDS
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(strict(record), allow_nan=False, ensure_ascii=False) + "\n")
        except OSError as error:
            raise RecordsError(f"{path} cannot be written: {error.strerror}") from error

    def _make_folder(self, run_id: str) -> Path:
        if self._out is not None:
            return _mkdir(self._out, exist_ok=True)
        runs = self._runs()
        for name in itertools.chain([run_id], (f"{run_id}-{n}" for n in itertools.count(2))):
            try:
                return _mkdir(runs / name, exist_ok=False)
            except FileExistsError:
                continue
        raise AssertionError("itertools.count ended")

    def _runs(self) -> Path:
        try:
            make_root(self._root)
        except OSError as error:
            raise RecordsError(f"folder {self._root} cannot be made: {error.strerror}") from error
        return _mkdir(self._root / "runs", exist_ok=True)


def read_run(folder: Path) -> Run:
    """Read a run's records; a last line that was cut off is left out and counted.

    Raises:
        RecordsError: if there are no records, a line is damaged, or a newer version wrote them.
    """
    path = folder / RECORDS
    try:
        lines = path.read_bytes().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        raise RecordsError(f"{folder} holds no {RECORDS}") from None
    except OSError as error:
        raise RecordsError(f"{path} cannot be read: {error.strerror}") from error
    records, damaged = _parse_lines(path, lines)
    if not records:
        raise RecordsError(f"{path} is empty")
    header, *rest = records
    _check_header(path, header)
    end = _taken_end(rest)
    version = header["schema_version"]
    today = tuple(upgraded(record, version) for record in rest)
    return Run(folder, header, today, end and upgraded(end, version), damaged)


def _taken_end(records: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The end, taken out of the records; None where the run was interrupted.

    What could not be made of a run that has ended is told after its end.
    """
    last = len(records) - 1
    while last >= 0 and records[last]["record"] == PROBLEM:
        last -= 1
    return records.pop(last) if last >= 0 and records[last]["record"] == "end" else None


def read_header(folder: Path) -> dict[str, Any]:
    """Read a run's first record alone.

    Raises:
        RecordsError: as `read_run`.
    """
    path = folder / RECORDS
    try:
        with path.open("rb") as file:
            header = _parse(path, 1, file.readline())
    except OSError as error:
        raise RecordsError(f"{path} cannot be read: {error.strerror}") from error
    _check_header(path, header)
    return header


def _parse_lines(path: Path, lines: Sequence[bytes]) -> tuple[list[dict[str, Any]], int]:
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(_parse(path, number, line))
        except RecordsError:
            if number < len(lines) or number == 1:
                raise
            return records, 1
    return records, 0


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:  # JSONDecodeError and UnicodeDecodeError
        raise RecordsError(f"line {number} of {path} is damaged") from None
    if not isinstance(record, dict) or not isinstance(record.get("record"), str):
        raise RecordsError(f"line {number} of {path} is not a record")
    return record


def _check_header(path: Path, header: Mapping[str, Any]) -> None:
    version = header.get("schema_version")
    if header["record"] != "run" or not isinstance(version, int):
        raise RecordsError(f"{path} does not begin with the description of a run")
    if version > SCHEMA_VERSION:
        raise RecordsError(
            f"{path} has format {version}, but this version reads {SCHEMA_VERSION} at most"
        )


def _mkdir(folder: Path, *, exist_ok: bool) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except FileExistsError:
        if not exist_ok:
            raise
        raise RecordsError(f"{folder} is a file, not a folder") from None
    except OSError as error:
        raise RecordsError(f"folder {folder} cannot be made: {error.strerror}") from error
    return folder


def _replace_link(link: Path, folder: Path) -> None:
    """Let `link` point to `folder` without a moment in which there is no link."""
    link.parent.mkdir(parents=True, exist_ok=True)
    target = folder.resolve()
    root = link.parent.parent.resolve()
    if target.is_relative_to(root):  # relative, so that the repository can be moved
        target = Path(os.path.relpath(target, link.parent.resolve()))
    new = link.with_name(f".{link.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    try:
        new.replace(link)
    except OSError:
        new.unlink()
        raise


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def strict(value: Any) -> Any:
    """`value` as strict JSON; the module's docstring says what becomes of what is not finite."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, Mapping):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # numpy's arrays and scalars
        return strict(value.tolist())
    raise TypeError(f"{type(value).__name__} cannot be recorded")
