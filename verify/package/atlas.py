"""The atlas: a page with a row for each architecture that is built into MAX."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from verify.package.names import ANSWERS, V3

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

RECORDS = "architectures.jsonl"

MARKS = {"PASS": "✅", "FAIL": "❌", "ERROR": "⚠️", "UNDERPOWERED": "◐", "SKIP": "-"}

WORDS = {
    "PASS": "right", "FAIL": "wrong", "ERROR": "without a verdict",
    "UNDERPOWERED": "without proof of power",
}  # fmt: skip
"""What verdicts are called."""

TITLE = """\
# The architectures of MAX, beside transformers

Each text architecture that is built into MAX was asked six questions about a tiny model, drawn so
that every number of its configuration is an unusual one (`python -m verify zoo`). Nothing of the
first five is compiled: MAX's graph is evaluated in float64, as it is served, and compared with
transformers in float64. *Mathematics* is wrong where the package does not follow a number of that
configuration; *configuration* is wrong where it does not follow some field that changes
transformers' model, and does not refuse it either: such a checkpoint would be served wrong, without
a word. On checkpoints with the usual values many of these are right.
"""

LEGEND = """\
✅ right, ❌ wrong, ⚠️ could not be judged, ◐ a planted mistake would not have been noticed, - not
asked. The figure is seconds. *largest error*: relative, of any stage that is right.
"""


def read_rows(records: Path) -> list[dict[str, Any]]:
    """The rows that have been written so far; the last of each architecture and seed."""
    if not records.exists():
        return []
    lines = records.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    return list({(row["name"], row["seed"]): row for row in rows}.values())


def atlas(rows: Sequence[dict[str, Any]]) -> str:
    """The page, in Markdown."""
    first = list({row["name"]: row for row in reversed(rows)}.values())[::-1]
    asked = [row for row in first if row.get("answers")]
    others = [row for row in first if not row.get("answers")]
    parts = [TITLE, _summary(asked, others), "", *_table(asked), "", LEGEND]
    if len(rows) > len(first):
        parts += [_seeds(rows), ""]
    if others:
        parts += ["## Not asked", "", *_reasons(others), ""]
    return "\n".join(parts)


def _summary(asked: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> str:
    """How many there are, and what came of each answer."""
    said = []
    for name in ANSWERS:
        verdicts = Counter(
            row["answers"][name]["verdict"] for row in asked if name in row["answers"]
        )
        if verdicts.keys() - {"SKIP"}:
            counts = [f"{verdicts[kind]} {word}" for kind, word in WORDS.items() if verdicts[kind]]
            said.append(f"{name} {', '.join(counts)}")
    sentence = f"{len(asked)} architectures were asked, and {len(others)} could not be."
    return f"{sentence} Of those that were: {'; '.join(said)}."


def _seeds(rows: Sequence[dict[str, Any]]) -> str:
    """How many of several tiny models of an architecture are right, their configuration aside."""
    right: dict[str, list[bool]] = {}
    for row in rows:
        given = row.get("answers") or {"": {"verdict": "SKIP"}}
        verdicts = {one["verdict"] for name, one in given.items() if name != "configuration"}
        right.setdefault(row["name"], []).append(verdicts == {"PASS"})
    said = [
        f"{name} {sum(each)} of {len(each)}"
        for name, each in sorted(right.items())
        if len(each) > 1
    ]
    return (
        "Several tiny models of one architecture, each with weights and token ids of its own, were "
        f"right in all but their configuration: {', '.join(said)}."
    )


def _table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "| architecture | API | " + " | ".join(ANSWERS) + " | largest error | what fails |"
    yield "|---" * (len(ANSWERS) + 4) + "|"
    for row in sorted(rows, key=lambda row: row["name"]):
        cells = [_cell(row["answers"].get(name)) for name in ANSWERS]
        api = "V3" if row["name"].endswith(V3) else "V2"
        error = row.get("relative")
        yield "| " + " | ".join([
            row["name"].removesuffix(V3), api, *cells, f"{error:.0e}" if error else "",
            _escaped(row.get("reason") or ""),
        ]) + " |"  # fmt: skip


def _cell(answer: dict[str, Any] | None) -> str:
    if answer is None:
        return ""
    return f"{MARKS.get(answer['verdict'], answer['verdict'])} {answer['seconds']:.0f}"


def _reasons(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "| architecture | why |"
    yield "|---|---|"
    for row in sorted(rows, key=lambda row: row["name"]):
        yield f"| {row['name']} | {_escaped(row.get('reason') or '')} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def line_of(row: dict[str, Any]) -> str:
    """One row for the terminal."""
    answers = " ".join(
        f"{name} {answer['verdict']}" for name, answer in (row.get("answers") or {}).items()
    )
    why = f": {row['reason']}" if row.get("reason") else ""
    return f"{row['verdict']:<12} {row['name']} ({row['seconds']:.0f} s) {answers}{why}"
