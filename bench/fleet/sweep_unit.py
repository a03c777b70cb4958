"""One unit of a sweep, measured where this process is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.fleet.hardware import describe
from bench.fleet.whole_run import run_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def measure(words: Sequence[str], device: str) -> Iterator[dict[str, Any]]:
    """A run of `python -m bench WORDS`.

    Args:
        words: `run` and its options.
        device: that is measured.

    Yields:
        The machine (`bench.fleet.hardware.describe`), and the run (`WholeRun.as_record`).
    """
    yield {"record": "machine", **describe(device)}
    yield run_whole(words).as_record()
