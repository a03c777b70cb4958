"""An endpoint's run as records, as what `--json` writes, and as a verdict in a line."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from reports.tables.numbers import percent
from verify.endpoint.abilities import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verify.endpoint.abilities import Abilities
    from verify.endpoint.asking import Found
    from verify.endpoint.misuse import Treated
    from verify.endpoint.noticed import Planted

Verdict = Literal["PASS", "FAIL", "UNDERPOWERED"]

OPERATION = "operation"
"""The group of the cases of `verify.endpoint.misuse`."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run found.

    Attributes:
        abilities: of the server.
        found: by case.
        treated: bad questions and bad clients; empty where none were tried.
        planted: what the plan would notice; empty where that was not asked.
        unasked: sentences on what was not checked.
    """

    abilities: Abilities
    found: list[Found] = field(default_factory=list)
    treated: list[Treated] = field(default_factory=list)
    planted: list[Planted] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """Of the run."""
        if any(one.wrong for one in self.found) or any(t.verdict == "FAIL" for t in self.treated):
            return "FAIL"
        return "UNDERPOWERED" if any(one.state == "missed" for one in self.planted) else "PASS"

    @property
    def unchecked(self) -> list[str]:
        """What was not checked, and why."""
        lacking = [f"{WORDS[name]} ({why})" for name, why in self.abilities.lacking.items()]
        return [*lacking, *self.unasked]

    def first_wrong(self) -> dict[str, Any] | None:
        """The first thing that is wrong, as records have it."""
        for found in self.found:
            if found.wrong:
                wrong = asdict(found.wrong)
                return {"case": found.case.name, "group": found.case.group, **wrong}
        for one in self.treated:
            if one.verdict == "FAIL":
                return {"case": one.name, "group": OPERATION, "message": one.message,
                        "position": None, "expected": "a 4xx with a reason, and right afterwards",
                        "got": str(one.status or ""), "margin": None, "text": one.name}  # fmt: skip
        return None

    def line(self) -> str:
        """The verdict in a line, with what was not checked."""
        counts = self.counts()
        parts = [
            f"{counts['cases']} cases, {counts['answers']} answers, {counts['tokens']:,} tokens"
        ]
        parts.append(f"{counts['ties']} ties" if counts["ties"] else "no ties")
        if counts["wrong"]:
            parts.append(f"{counts['wrong']} answers wrong")
        if (used := counts["used"]) is not None:
            parts.append(f"log-probabilities use {percent(used)} of what is allowed")
        if self.planted:
            states = Counter(one.state for one in self.planted)
            asked = len(self.planted) - states["not applicable"]
            parts.append(f"{states['caught']} of {asked} planted faults noticed")
        if self.treated:
            right = sum(one.verdict == "PASS" for one in self.treated)
            parts.append(f"{right} of {len(self.treated)} bad questions and clients treated well")
        unchecked = f" Not checked: {'; '.join(self.unchecked)}." if self.unchecked else ""
        return f"{self.verdict}: {', '.join(parts)}.{unchecked}"

    def counts(self) -> dict[str, Any]:
        """Figures of the run as a whole."""
        used = [one.used for one in self.found if one.used is not None]
        return {
            "cases": len(self.found),
            "answers": sum(len(one.case.asked) for one in self.found),
            "wrong": sum(j.wrong is not None for one in self.found for j in one.judged),
            "tokens": sum(one.tokens for one in self.found),
            "ties": sum(one.ties for one in self.found),
            "used": max(used, default=None),
        }

    def end(self) -> dict[str, Any]:
        """The run's last record."""
        return {
            "verdict": self.verdict,
            "line": self.line(),
            "first_wrong": self.first_wrong(),
            "unchecked": self.unchecked,
            "counts": self.counts(),
        }

    def report(self) -> dict[str, Any]:
        """What `--json` has besides environment and version."""
        return {
            **self.end(),
            "cases": [*map(case_of, self.found), *map(treated_of, self.treated)],
            "planted": [planted_of(one) for one in self.planted],
        }


def case_of(found: Found) -> dict[str, Any]:
    """A case as a record has it."""
    return {
        "name": found.case.name,
        "group": found.case.group,
        "verdict": found.verdict,
        "answers": len(found.case.asked),
        "at_once": found.case.at_once,
        "wrong": sum(one.wrong is not None for one in found.judged),
        "tokens": found.tokens,
        "ties": found.ties,
        "used": found.used,
        "status": None,
        "message": found.message(),
        "sampled": asdict(found.sampled) if found.sampled else None,
    }


def treated_of(treated: Treated) -> dict[str, Any]:
    """A bad question or client, likewise."""
    return {
        "name": treated.name,
        "group": OPERATION,
        "verdict": treated.verdict,
        "answers": 1,
        "at_once": 1,
        "wrong": int(treated.verdict == "FAIL"),
        "tokens": 0,
        "ties": 0,
        "used": None,
        "status": treated.status,
        "message": treated.message,
        "sampled": None,
    }


def answers_of(found: Found) -> Iterator[dict[str, Any]]:
    """Every answer of a case, as records have them."""
    for number, (asked, judged) in enumerate(zip(found.case.asked, found.judged, strict=False)):
        wrong = judged.wrong
        yield {
            "case": found.case.name,
            "number": number,
            "prompt_tokens": len(asked.prompt),
            "streamed": asked.question.stream,
            "verdict": "FAIL" if wrong else "PASS",
            "tokens": judged.tokens,
            "ties": judged.ties,
            "used": judged.used,
            "message": wrong.message if wrong else "",
            "position": wrong.position if wrong else None,
            "expected": wrong.expected if wrong else "",
            "got": wrong.got if wrong else "",
            "margin": wrong.margin if wrong else None,
        }


def planted_of(planted: Planted) -> dict[str, Any]:
    """A planted fault, likewise."""
    return {**asdict(planted), "text": planted.text}
