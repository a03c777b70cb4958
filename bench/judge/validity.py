"""Was this very model verified? A speed counts only for a model that is right.

A verification is a finished run of `python -m verify` of impl's own model whose environment has the
same weights, the same code of `impl/` (its Mojo kernels too) and the same MAX, on the same device;
for an engine, one that checked this very engine (`--engines`) with the kernels that it takes here,
else one in float32. For the model that `--candidate` names it is a run of this candidate, none of
whose own files has changed or is gone.
Of all such runs the newest decides. What `impl/serving` serves counts once `python -m verify
package impl/serving` passed, compiled, with the same code and MAX.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impl.choosing.kept import fastest_here
from impl.choosing.kernel_choice import choose
from impl.precompile import KernelError
from reports.saved.known_runs import known
from reports.saved.records import RECORDS, RecordsError, read_header, read_run
from verify.candidate.own_files import changed_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from impl.config import GPT2Config
    from reports.saved.records import Run


MOST_NAMED = 3
"""Files that a reason names."""

CHANGED = "impl/ or MAX has changed since the model was verified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What has to have been verified.

    Attributes:
        command: the verification that is asked for where there is none.
        engine: as `python -m verify --engines` names it; empty for the model without a cache.
        config: the model's sizes, for which the kernels of `auto` may have been measured.
        tf32: whether its products of float32 may use TF32: it was judged by what that allows then,
            and not otherwise.
        candidate: `impl`, or `FILE.py:NAME`, of which NAME counts.
        candidate_file: that file as it is now; None for `impl`, or where it is gone.
    """

    command: str
    weights_sha256: str
    impl_sha256: str
    max_version: str | None
    device: str
    engine: str
    config: GPT2Config | None = None
    tf32: bool = False
    candidate: str = "impl"
    candidate_file: Path | None = None


def why_unverified(subject: Verified, root: Path) -> str:
    """The reason why the subject's speed does not count, or nothing if it passed.

    Args:
        subject: the model, code, device and dtype.
        root: the folder that holds `runs/` and `latest/`.
    """
    try:
        kernels = _kernels(subject)
    except KernelError as error:
        return str(error)
    of_name = [run for run in _runs(root, subject) if run.end is not None]
    finished = [run for run in of_name if not _changed_files(run, subject)]
    covering = [run for run in finished if _covers(run, subject, kernels)]
    code = subject.impl_sha256, subject.max_version
    matching = [run for run in covering if _code(run) == code]
    if not matching:
        why = CHANGED if covering else _nearest(finished, of_name, subject)
        return f"{why}: run `{subject.command}` first"
    return _not_passed(matching)


def why_package_unverified(
    package: str, environment: Mapping[str, Any], command: str, root: Path
) -> str:
    """The reason why a served package's speed does not count, or nothing if it passed.

    Any checkpoint will do: what the server answers on the one that it has is judged by itself.

    Args:
        package: its folder, of which the name counts; it belongs to `impl/`.
        environment: of the run, whose code and MAX must have been verified.
        command: the verification that is asked for where there is none.
        root: the folder that holds `runs/` and `latest/`.
    """
    of_name = [
        run
        for run in _verifications(root, lambda header: _package(header) == Path(package).name)
        if run.end is not None and run.end.get("compiled", True)
    ]
    code = environment.get("impl_sha256"), (environment.get("versions") or {}).get("max")
    matching = [run for run in of_name if _code(run) == code]
    if not matching:
        why = CHANGED if of_name else f"{package} was never verified"
        return f"{why}: run `{command}` first"
    return _not_passed(matching)


def _package(header: Mapping[str, Any]) -> str:
    """The name of the folder that `verify package` was given; empty for any other verification."""
    candidate = (header.get("environment") or {}).get("candidate", "")
    return Path(candidate).name if "package" in (header.get("command") or ()) else ""


def _runs(root: Path, subject: Verified) -> Iterator[Run]:
    """Every readable verification of these weights and this model, each once."""
    return _verifications(root, lambda header: _same_model(header, subject))


def _not_passed(runs: Sequence[Run]) -> str:
    """Why the newest run does not count; nothing where it passed."""
    newest = max(runs, key=lambda run: str(run.header.get("started_utc")))
    verdict = (newest.end or {}).get("verdict")
    if verdict == "PASS":
        return ""
    return f"verification {newest.header.get('run_id')} ended with {verdict}, not PASS"


def _verifications(root: Path, wanted: Callable[[Mapping[str, Any]], bool]) -> Iterator[Run]:
    """Every readable verification whose header is wanted, each once."""
    folders = {path.parent.resolve() for path in root.glob(f"runs/*/{RECORDS}")}
    folders |= {path.parent.resolve() for path in root.glob(f"latest/verify/{RECORDS}")}
    folders |= {folder for folder in known(root) if (folder / RECORDS).is_file()}
    for folder in folders:
        try:
            header = read_header(folder)
            if header.get("kind") == "verify" and wanted(header):
                yield read_run(folder)
        except RecordsError:
            continue  # a damaged run verifies nothing


def _same_model(header: Mapping[str, Any], subject: Verified) -> bool:
    environment = header.get("environment") or {}
    return environment.get("weights_sha256") == subject.weights_sha256 and _name(
        environment.get("candidate", "impl")
    ) == _name(subject.candidate)


def _changed_files(run: Run, subject: Verified) -> list[str]:
    """The candidate's own files that are not what the run verified; none for `impl`.

    A run that does not tell its files, of format 4 or older, counts as changed.
    """
    if subject.candidate == "impl":
        return []
    files = run.environment.get("candidate_files")
    if not isinstance(files, dict) or not files or subject.candidate_file is None:
        return [subject.candidate]
    return changed_beside(files, subject.candidate_file)


def _name(candidate: str) -> str:
    """What is called in a candidate's file, wherever that lies."""
    return candidate.rpartition(":")[2]


def _code(run: Run) -> tuple[str | None, str | None]:
    """The code of `impl/` and the MAX that a run verified."""
    versions = run.environment.get("versions") or {}
    return run.environment.get("impl_sha256"), versions.get("max")


def _kernels(subject: Verified) -> str:
    """What the path of the subject's engine begins with here; empty for the model without a cache.

    Raises:
        impl.precompile.KernelError: where that engine cannot run here.
    """
    if not subject.engine:
        return ""
    kernels, _, dtype = subject.engine.partition(":")
    choice = choose(
        kernels,
        dtype or "float32",
        on_cpu=subject.device == "cpu",
        measured=lambda: fastest_here(subject.config),
    )
    return choice.path


def _covers(run: Run, subject: Verified, kernels: str) -> bool:
    """Whether the run judged this engine, on the weights as they are and the subject's device."""
    end = run.end or {}
    if not end.get("compiled", True):  # --quick judges the mathematics alone
        return False
    given = [check for check in _judged(run) if check.get("regime", "given") == "given"]
    devices = end.get("devices") or [check.get("device") for check in given]
    if subject.device not in devices or bool(run.environment.get("tf32")) != subject.tf32:
        return False
    if subject.engine:
        own = [check for check in given if check.get("mode") == "engine"]
        details = [c.get("details") or {} for c in own if c.get("device") == subject.device]
        paths = [str(each.get("path")) for each in details if each.get("engine") == subject.engine]
        return any(path.startswith(kernels) for path in paths)
    dtypes = end.get("dtypes") or [check.get("dtype") for check in given]
    return bool(given) and "float32" in dtypes


def _judged(run: Run) -> list[dict[str, Any]]:
    return [check for check in run.of("check") if check.get("verdict") != "SKIP"]


def _nearest(finished: list[Run], of_name: list[Run], subject: Verified) -> str:
    """What comes closest to a verification, where none covers the subject.

    Args:
        finished: verifications of these weights and of this candidate as it is now.
        of_name: those of what has its name.
        subject: what has to have been verified.
    """
    if any(_covers(run, subject, "") for run in finished):
        return f"the engine {subject.engine} was verified with other kernels than it takes here"
    if finished:
        what = f"the engine {subject.engine}" if subject.engine else "the model"
        return f"{what} was not verified with these weights on {subject.device}"
    if of_name:
        newest = max(of_name, key=lambda run: str(run.header.get("started_utc")))
        names = ", ".join(_changed_files(newest, subject)[:MOST_NAMED])
        return f"{names} changed since {subject.candidate} was verified"
    if subject.candidate != "impl":
        return f"{subject.candidate} was never verified with these weights"
    return "these weights were never verified"
