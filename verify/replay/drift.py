"""What is another one now than when a run was made, a sentence each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.saved.manifest import differences
from reports.saved.records import RECORDS
from verify.candidate.own_files import changed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reports.saved.records import Run

CODE = {
    "impl_sha256": "the code of impl/, its Mojo kernels among it, has changed",
    "judge_sha256": "the code that judges (verify/ and reference/) has changed",
}
WEIGHTS = {"weights_sha256": "the weights have changed"}
MACHINE = ("cpu", "accelerator", "threads")


def of_the_folder(run: Run) -> list[str]:
    """What is not as the run wrote it."""
    return differences(run.folder, RECORDS)


def of_the_candidate(environment: Mapping[str, Any]) -> Iterator[str]:
    """Own files of the candidate that have changed or are gone."""
    files = environment.get("candidate_files")
    if files is None:
        return
    here = Path.cwd()
    for name in changed(files):
        what = "has changed" if (here / name).exists() else f"is not there, seen from {here}"
        yield f"{name}, of the candidate, {what}"


def of_the_surroundings(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Code, versions and machine.

    Args:
        then: the run's environment.
        now: what `reports.saved.environment.collect` says here.
    """
    yield from _hashes(CODE, then, now)
    before, after = (one.get("versions") or {} for one in (then, now))
    for name in before:
        if before[name] != after.get(name):
            yield f"{name} is {after.get(name) or 'not installed'}, and was {before[name]}"
    for name in MACHINE:
        if name in then and then[name] != now.get(name):
            yield f"{name}: {now.get(name)}, and was {then[name]}"


def of_the_weights(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """The checkpoint, which nobody knows before it is loaded.

    Args:
        then: the run's environment.
        now: that of the run that judged again.
    """
    yield from _hashes(WEIGHTS, then, now)


def _hashes(
    sentences: Mapping[str, str], then: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[str]:
    for name, sentence in sentences.items():
        if then.get(name) != now.get(name):
            yield f"{sentence}: {str(now.get(name))[:12]}, and was {str(then.get(name))[:12]}"
