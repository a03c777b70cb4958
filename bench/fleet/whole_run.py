"""A whole run of the benchmark in a process of its own, handed back as text.

Whoever asked for it may be on another machine, so nothing of the run stays where it was measured.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.output.render import STEP_SUMMARY
from reports.saved.files import ANSWER
from reports.saved.records import RECORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

STOP_S = 15.0
"""How long a run that is stopped may take to write down what it has."""

NOT_INHERITED = (STEP_SUMMARY, ANSWER)
"""Variables that name files of the whole command: a part of it must not write there."""


@dataclass(frozen=True, slots=True)
class WholeRun:
    """What is left of a run.

    Attributes:
        name: tells it from the other runs of its unit.
        code: the exit code of `python -m bench`.
        said: its last sentence on standard error; empty where it said nothing.
        records: of its `records.jsonl`; empty where it wrote none.
    """

    name: str
    code: int
    said: str
    records: str

    def as_record(self) -> dict[str, Any]:
        """As a unit hands it back."""
        return {
            "record": "whole_run", "name": self.name, "code": self.code, "said": self.said,
            "records": self.records,
        }  # fmt: skip

    @classmethod
    def read(cls, record: dict[str, Any]) -> WholeRun:
        """From such a record."""
        return cls(**{name: record[name] for name in ("name", "code", "said", "records")})


def run_whole(words: Sequence[str], name: str = "run") -> WholeRun:
    """Run `python -m bench WORDS`, and wait until it has ended.

    Ctrl-C here ends the run too, before it is passed on. Should this process be killed, the kernel
    kills the run.
    """
    with tempfile.TemporaryDirectory(prefix="bench-unit-") as scratch:
        folder = Path(scratch) / "run"
        command = [sys.executable, "-m", "bench.fleet", str(os.getpid()), *words, "--quiet",
                   "--out", str(folder)]  # fmt: skip
        code, said = _run(command)
        file = folder / RECORDS
        records = file.read_text(encoding="utf-8") if file.exists() else ""
    return WholeRun(name, code, said, records)


def _run(command: Sequence[str]) -> tuple[int, str]:
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, process_group=0,
        env={name: text for name, text in os.environ.items() if name not in NOT_INHERITED},
    )  # fmt: skip
    try:
        _, said = process.communicate()
    except KeyboardInterrupt:
        _end(process)
        raise
    return process.returncode, _last_sentence(said)


def _end(process: subprocess.Popen[str]) -> None:
    """Let a run end by itself, or by force where it does not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=STOP_S)
            return


def _last_sentence(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1].removeprefix("bench: ") if lines else ""
