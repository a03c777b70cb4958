"""What a verification found, for a program: read from what `--json` wrote."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

Verdict = Literal["PASS", "FAIL", "UNDERPOWERED"]

ALONE = ("isolated", "matched", "math")
"""Modes of checks that judge a place alone, on the reference's own activations."""

RUNNING = {"isolated": "free", "matched": "free", "math": "math-free"}
"""By such a mode, that of the same after all earlier places."""

WORST = ("PASS", "SKIP", "UNDERPOWERED", "FAIL", "ERROR")


class MaxParityError(RuntimeError):
    """A verification without a verdict; the message is one sentence.

    Attributes:
        place: file and line of the candidate's where it failed; None where it is not known.
    """

    def __init__(self, reason: str, place: tuple[str, int] | None = None) -> None:
        super().__init__(reason)
        self.place = place


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first place, in order of execution, that is wrong.

    Attributes:
        place: under Hugging Face's name; `:input` at its end means what the module is given.
        case: the input, `stress-2x33`.
        message: where and how much, in words.
        blame: whether it is MAX's or the port's, with the evidence; None where nothing is known.
        blamed_on: `compiler`, `graph` or `precision`.
        file, line: of the operation that departs first; None where they are not known.
    """

    place: str
    case: str
    message: str
    blame: str | None = None
    blamed_on: str | None = None
    file: Path | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Result:
    """A verification with a verdict; true where it is PASS.

    Attributes:
        candidate: as it was named, `my_model.py:MyGPT2`.
        model: the reference.
        verdict: PASS, FAIL, or UNDERPOWERED, where mistakes would not have been noticed.
        first_divergence: None where nothing fails.
        diagnosis: what is computed instead, in words; None where it is not known.
        checks: every comparison, as reports/SCHEMA.md has a `check`.
        excused: by place, why it was not compared.
        compiled: whether MAX's program was judged, rather than its mathematics alone.
        run: the folder with the records.
        page: the report.
    """

    candidate: str
    model: str
    verdict: Verdict
    first_divergence: Divergence | None
    diagnosis: str | None
    compiled: bool
    run: Path
    page: Path
    checks: tuple[Mapping[str, Any], ...] = field(default=())
    excused: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether it passed."""
        return self.verdict == "PASS"

    def __str__(self) -> str:
        """The verdict with its reasons, a line each."""
        compiled = "" if self.compiled else ", not compiled"
        first = self.first_divergence
        told = {
            "First divergence": first and first.message,
            "Diagnosis": self.diagnosis,
            "Blame": first and first.blame,
            "Report": self.page,
        }
        lines = [f"{name}: {value}" for name, value in told.items() if value]
        return "\n".join([f"{self.verdict}{compiled}: {self.candidate}, {self.model}", *lines])

    def __repr__(self) -> str:
        """The same in one line."""
        return f"<{'; '.join(str(self).splitlines())}>"

    @property
    def table(self) -> pd.DataFrame:
        """A row for each place in order of execution: its worst case alone.

        Columns: `place`, `verdict`, `case`, `shape`, `error` and `torch_error` (rms distance to
        float64, in the place's own unit), `used` and `used_free` (share of what is allowed, alone
        and after all earlier places), `message`. What was not measured is NaN.
        """
        import pandas as pd

        by_place = places(self.checks)
        mode = next((m for m in ALONE if any(c["mode"] == m for c in self.checks)), "")
        free = _worst_used(c for c in self.checks if c["mode"] == RUNNING.get(mode))
        rows = [_row(name, checks, free.get(name)) for name, checks in by_place.items()]
        return pd.DataFrame(rows, columns=list(_row("", [_NOTHING], None)))


def places(checks: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The checks that judge a place alone, by place, in the order in which they were made."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for check in checks:
        if check["mode"] in ALONE and check["tap"]:
            found.setdefault(check["tap"], []).append(check)
    return found


def result_of(candidate: str, model: str, told: Mapping[str, Any]) -> Result:
    """What `--json` tells of a verification.

    Raises:
        MaxParityError: where it has no verdict.
    """
    if told["verdict"] == "ERROR":
        place = told.get("place")
        raise MaxParityError(_reason(told), (place["file"], place["line"]) if place else None)
    divergence = told["first_divergence"]
    run = Path(told["run"])
    return Result(
        candidate=candidate, model=model, verdict=told["verdict"],
        first_divergence=_divergence(divergence, told.get("graph")) if divergence else None,
        diagnosis=divergence["diagnosis"] if divergence else None,
        compiled=told["compiled"], run=run, page=run / "report.html",
        checks=tuple(told["checks"]),
        excused={each["tap"]: each["reason"] for each in told["coverage"]["excused"]},
    )  # fmt: skip


def _reason(told: Mapping[str, Any]) -> str:
    failed = (c["message"] for c in told["checks"] if c["verdict"] == "ERROR")
    return str(told.get("reason") or next(failed, None) or "nothing was judged")


def _divergence(found: Mapping[str, Any], graph: Mapping[str, Any] | None) -> Divergence:
    departs = (op for op in (graph or {}).get("operations", ()) if op["departs"] and op["file"])
    at = next(departs, None)
    return Divergence(
        place=found["tap"], case=found["case"], message=found["message"], blame=found["blame"],
        blamed_on=found["blamed_on"], file=Path(at["file"]) if at else None,
        line=at["line"] if at else None,
    )  # fmt: skip


_NOTHING = dict.fromkeys(("verdict", "case", "shape", "rms", "torch_rms", "used", "message"))


def _row(
    place: str, checks: list[Mapping[str, Any]] | list[dict[str, None]], free: float | None
) -> dict[str, Any]:
    worst = max(checks, key=lambda c: (WORST.index(c["verdict"] or "PASS"), _number(c["used"])))
    shape = worst["shape"]
    return {
        "place": place,
        "verdict": worst["verdict"],
        "case": worst["case"],
        "shape": "x".join(map(str, shape)) if shape else "",
        "error": _number(worst["rms"]),
        "torch_error": _number(worst["torch_rms"]),
        "used": _number(worst["used"]),
        "used_free": _number(free),
        "message": worst["message"],
    }


def _worst_used(checks: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    worst: dict[str, float] = {}
    for check in checks:
        worst[check["tap"]] = max(worst.get(check["tap"], 0.0), _number(check["used"]))
    return worst


def _number(value: Any) -> float:
    """A figure of the records: null is NaN, and "inf" or "nan" what they say."""
    return float("nan") if value is None else float(value)
