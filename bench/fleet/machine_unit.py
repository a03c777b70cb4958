"""What a machine can do at most, and a short run of fixed workloads, where this process is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.fleet.hardware import describe
from bench.fleet.whole_run import run_whole
from reports.saved.environment import default_threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIZES = ("-p", "128", "-n", "16", "-d", "32", "-b", "1")
"""The workloads that machines are compared by: a prompt of 128 tokens, and 16 decode steps."""

CEILING_TURNS = "20"
"""Half of them are blocks of each ceiling; a run adds 20 blocks of its own."""


def measure(words: Sequence[str], model: str, device: str) -> Iterator[dict[str, Any]]:
    """The ceilings, then a run of `SIZES`, with all CPUs that are granted here.

    Args:
        words: further options of `python -m bench run`.
        model: whose weights are read.
        device: that is measured.

    Yields:
        The machine, and both runs, as `bench.fleet.sweep_unit.measure` yields them.
    """
    found = describe(device)
    yield {"record": "machine", **found}
    here = ["--model", model, "--device", device, "--threads", str(default_threads()), *SIZES]
    yield run_whole(["ceilings", *here, "--blocks", CEILING_TURNS], "ceilings").as_record()
    yield run_whole(["run", *here, *words], "speeds").as_record()
