"""`python -m bench [COMMAND]`: how fast is the MAX model?

Exit codes: 0; 1 where timed outputs disagree with the reference, or `compare` finds a regression;
2 with one sentence where something could not be run; 130 after Ctrl-C and 143 after SIGTERM, with
everything kept that was measured.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from bench.worker.process import WorkerError
from reference.checkpoint import CheckpointError
from reports.commands import (
    UsageError,
    as_called,
    cannot_run,
    exit_code_of,
    how_stopped,
    terminable,
    working_directory_last,
)
from reports.saved.records import RecordsError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "run": "bench.commands.run",
    "serve": "bench.commands.serving",
    "compare": "bench.commands.compare",
    "finish": "bench.commands.finish",
    "null": "bench.commands.null",
    "ceilings": "bench.commands.ceilings",
    "scaling": "bench.commands.scaling",
    "sweep": "bench.commands.sweep",
    "machines": "bench.commands.machines",
    "peers": "bench.peers",
    "env": "bench.commands.env",
    "gpu": "bench.commands.gpu_plan",
    "tiles": "bench.commands.tiles_plan",
}
FLAGS = ("-h", "--help", "-q", "--quiet", "--cold", "--padded-vocab")
"""Options without a value that may stand before a command."""

USAGE = """usage: python -m bench [COMMAND] [options]

  run       time arms beside each other; the default where no command is named
  serve     a load on a server, or on several beside each other: latencies, saturation
  compare   two runs: is the second slower? exit 1 if it is (for CI)
  finish    rows and a page for a run that was killed, from the samples in its records
  null      how often equal code is called different, and a planted +5% is found, on this machine
  ceilings  what this machine can read and multiply at most
  scaling   sweep sizes, and fit what a pass costs
  sweep     models x dtypes x sizes x threads, here or on the machines of a cluster
  machines  what each machine can do at most, and the same short run on each
  peers     install ONNX Runtime, OpenVINO, CTranslate2 and llama.cpp in an environment apart
  env       what about this machine will spoil a measurement, and what to do about it
  gpu       verify and bench on an NVIDIA GPU, all of it; --dry-run prints the plan
  tiles     the same on a CPU with AMX

`python -m bench COMMAND --help` lists the options of each; --version prints versions.

exit codes:
  0  measured; compare: no arm became slower; null: the rates are as they must be
  1  timed outputs disagree with the reference, or a server's answers are wrong; compare: an arm
     became slower; null: a rate is wrong
  2  it could not be run; one sentence says why
  130 after Ctrl-C, 143 after SIGTERM, 141 where the reader of the output went away"""


def _command(argv: Sequence[str]) -> tuple[str, list[str]]:
    """Which command is named, `run` where none is, and its options.

    Options may come before it, as in `tox -e bench-peers -- run -p 8`, where tox has written
    `--arms`: a word that follows an option with a dash is that option's value, and no command.
    """
    for place, word in enumerate(argv):
        if word in COMMANDS and not (place and _takes_a_value(argv[place - 1])):
            return word, [*argv[:place], *argv[place + 1 :]]
    return "run", list(argv)


def _takes_a_value(word: str) -> bool:
    """Whether this is an option whose value is the next word."""
    return word.startswith("-") and "=" not in word and word not in FLAGS


def main(argv: Sequence[str]) -> int:
    """Run the command line, and return the exit code."""
    working_directory_last()
    name, rest = _command(argv)
    if argv and argv[0] in ("-h", "--help"):
        print(as_called(USAGE))
        return 0
    if name == "run" and rest and not rest[0].startswith("-"):
        known = ", ".join(COMMANDS)
        return cannot_run("python -m bench", f"unknown command {rest[0]!r}; choose from {known}")
    try:
        with terminable():
            code: int = importlib.import_module(COMMANDS[name]).main(rest)
    except KeyboardInterrupt as stop:
        print(f"bench: {how_stopped(stop)} before anything was measured", file=sys.stderr)
        return exit_code_of(stop)
    except (UsageError, CheckpointError, RecordsError, WorkerError) as error:
        return cannot_run("bench", error)
    return code
