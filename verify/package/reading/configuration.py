"""Which fields of a configuration a package follows, each changed alone on a tiny model.

A field counts if changing it changes what transformers' model computes from the same weights, in
float64. Then the package is opened on the changed configuration and compared with the changed
model: it follows, or refuses with an error that names the field, or does not read it.

A package that ignores a field is wrong on the tiny model to begin with, where no field has its
usual value. Then fields are put back to usual values until it is right, and judged from there.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from reference.checkpoint import CheckpointError
from verify.graph.errors import GraphError
from verify.judge.verdict import Check
from verify.package.opening.subject import first_line, whole_message
from verify.package.reading.altered import Seen, Variants, agrees, relative, repaired
from verify.package.reading.drawn import tiny
from verify.package.reading.fields import at, changes, fields, rope_changes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from verify.judge.verdict import Verdict
    from verify.package.opening.subject import Package
    from verify.package.reading.fields import Change
    from verify.package.reading.fields import Path as Names

MODE = "configuration"

EFFECT = 1e-9
"""A field counts if it changes the largest logit by more than this share."""

SHARE = 1e-2
"""And it must be smaller than this share of what the field changes."""

NEUTRAL = (0, 1)
"""Numbers that stand in a graph for many reasons."""


def configuration_checks(
    source: Any, package: Package, *, only: Collection[str] = (), seed: int = 0
) -> Iterator[Check]:
    """Change each field of an architecture's configuration alone, on a drawn tiny model.

    Args:
        source: a configuration of transformers, or the name of an architecture.
        package: to open.
        only: names of the fields that are changed, without what leads to them; empty for all.
        seed: of the weights and the tokens.

    Yields:
        A check of each field that changes what transformers computes; before them one that fails
        where the package is not right with any.

    Raises:
        CheckpointError: for what is no decoder of transformers.
    """
    config = tiny(source)
    case = (config.architectures or [config.model_type])[0]
    with TemporaryDirectory() as place:
        variants = Variants(package, config, seed, Path(place))
        try:
            values, seen = _base(variants)
        except GraphError as error:
            yield Check(case=case, mode=MODE, tap="", verdict="ERROR", message=str(error))
            return
        if not agrees(seen):
            yield _never(case, seen)
        if seen.found is not None:
            for path in fields(values):
                if not only or path[-1] in only:
                    for check in _judged(variants, values, seen, path):
                        yield replace(check, case=case)


def _base(variants: Variants) -> tuple[dict[str, Any], Seen]:
    """The tiny configuration, with fields that the package ignores put back, and what both make.

    Raises:
        GraphError: where either cannot be computed.
    """
    values = variants.config.to_dict()
    try:
        folder = variants.written(values)
        truth = variants.truth(folder)
    except CheckpointError:
        raise
    except Exception as error:
        message = f"transformers' tiny model cannot be computed: {first_line(error)}"
        raise GraphError(message) from error
    seen = variants.seen(folder, truth)
    return (values, seen) if agrees(seen) else repaired(variants, values, seen)


def _judged(
    variants: Variants, values: Mapping[str, Any], base: Seen, path: Names
) -> Iterator[Check]:
    """The check of a field: for kinds of rotary embeddings one of each, and of what it brings."""
    unusual = at(variants.config.to_dict(), path)
    put_back = [] if at(values, path) == unusual else [unusual]
    for change in changes(values, path, put_back):
        check = _field(variants, base, change)
        if check is None:
            continue
        yield check
        if path[-1] != "rope_type" and check.verdict != "ERROR":
            return
        if check.verdict == "PASS" and check.relative is not None:
            yield from _inside(variants, change)


def _inside(variants: Variants, followed: Change) -> Iterator[Check]:
    """Checks of the fields of a kind of rotary embedding that the package follows."""
    base = variants.both(followed.values)
    for others in rope_changes(followed):
        checks = (_field(variants, base, inner) for inner in others)
        check = next((check for check in checks if check is not None), None)
        if check is not None:
            yield replace(check, message=f"{followed.after}: {check.message}")


def _field(variants: Variants, base: Seen, change: Change) -> Check | None:
    """The check of a changed field; None where it changes nothing, or transformers takes it not."""
    try:
        folder = variants.written(change.values)
        truth = variants.truth(folder)
    except Exception:  # a value that transformers refuses is none
        return None
    effect = relative(truth, base.truth)
    if not effect > EFFECT:
        return None
    try:
        seen = variants.seen(folder, truth)
    except GraphError as error:
        return _check(change, "ERROR", f"cannot be judged: {error}", effect)
    if seen.error is not None:
        return _refused(change, seen.error, effect)
    check = _followed(change, base, seen, effect)
    return replace(check, message=check.message + _still(variants, folder, change, check))


def _still(variants: Variants, folder: Path, change: Change, check: Check) -> str:
    """Which of the package's operations still compute with what a field said before."""
    if check.verdict != "FAIL" or not change.is_number or change.before in NEUTRAL:
        return ""
    found = variants.package.holders(folder, change.before)
    return f"; still computed with {change.before:g}: {', '.join(found)}" if found else ""


def _refused(change: Change, error: Exception, effect: float) -> Check:
    line = first_line(error)
    if names(change, whole_message(error)):
        return _check(change, "PASS", f"{_told(change)} is refused: {line}", effect, refused=True)
    message = f"{_told(change)} ends in an error that does not name it: {line}"
    return _check(change, "FAIL", message, effect, refused=True)


def _followed(change: Change, base: Seen, seen: Seen, effect: float) -> Check:
    assert base.found is not None
    assert seen.found is not None
    moved = relative(seen.found, base.found)
    said = f"{_told(change)} changes transformers' logits by {_share(effect)}"
    if not moved > EFFECT:
        message = f"`{change.path[-1]}` is not read: {said} and the package's not at all"
        return _check(change, "FAIL", message, effect, seen.difference)
    if not agrees(base):
        message = f"{said} and the package's by {_share(moved)}"
        return _check(change, "SKIP", message, effect)
    left = seen.difference
    if agrees(seen) and left < SHARE * effect:
        return _check(change, "PASS", f"{said} and the package's with them", effect, left)
    message = (
        f"`{change.path[-1]}` is read, but not as transformers does: {said} and the package's by"
        f" {_share(moved)}, and then they differ by {_share(left)}"
    )
    return _check(change, "FAIL", message, effect, left)


def _share(relative: float) -> str:
    percent = 100 * relative
    return f"{percent:.0f}%" if percent >= 10 else f"{percent:.2g}%"


def _check(
    change: Change, verdict: Verdict, message: str, effect: float, left: float | None = None, *,
    refused: bool = False,
) -> Check:  # fmt: skip
    details = {
        "before": change.before, "after": change.after, "effect": effect, "refused": refused,
        "switch": not change.is_number,
    }  # fmt: skip
    return Check(
        case="", mode=MODE, tap=change.field, verdict=verdict, message=message, details=details,
        relative=left,
    )  # fmt: skip


def _told(change: Change) -> str:
    return f"changing it from {_shown(change.before)} to {_shown(change.after)}"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def names(change: Change, message: str) -> bool:
    """Whether an error's message names the field or what it says, so that a reader knows why."""
    words = [change.path[-1]]
    if isinstance(change.after, str):
        words.append(change.after)
    if isinstance(change.after, bool):
        words.append(change.path[-1].rpartition("_")[2])
    return any(re.search(rf"(?i)(?<![a-z]){re.escape(w)}(?![a-z])", message) for w in words)


def _never(case: str, seen: Seen) -> Check:
    """The check of a package that is not right on any configuration that was tried."""
    if seen.error is not None:
        said = f"the package cannot be opened on a tiny model: {first_line(seen.error)}"
    else:
        said = (
            f"the package's logits differ from transformers' by {seen.difference:.2g} on a tiny"
            " model, and no field accounts for it: of the others only whether they are read is told"
        )
    return Check(case=case, mode=MODE, tap="", verdict="FAIL", message=said)
