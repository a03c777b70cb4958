"""The kinds of check, as people read them: a name for each, and what was seen in a sentence.

Figures come first (`logit_figures`, `by_kind`), sentences are made from them.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reference.taps import short_name
from reports.tables.frames import worst
from reports.tables.numbers import figure, multiple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

MODES = {
    "preflight": "preflight",
    "checkpoint": "weights both ways",
    "configuration": "configuration",
    "device": "device",
    "parameters": "weights as loaded",
    "oracle": "float64 x 2",
    "coverage": "coverage",
    "math": "mathematics",
    "math-free": "mathematics, whole",
    "math-served": "… as it is served",
    "math-range": "… declared range",
    "math-control": "… spoilt results",
    "math-power": "… planted faults",
    "math-mutants": "… mutants",
    "isolated": "each stage alone",
    "matched": "matched filters",
    "precision": "precision",
    "free": "running free",
    "plain": "graph that ships",
    "observer": "effect of tapping",
    "logits": "logits",
    "perplexity": "perplexity",
    "greedy": "greedy tokens",
    "control": "spoilt results",
    "power": "planted faults",
    "max-power": "faults in MAX",
    "metamorphic": "invariances",
    "served": "as it is served",
    "engine": "KV-cached engine",
    "engine-quality": "rounded weights",
    "engine-power": "faults of a cache",
}
"""What each kind of check is called in tables."""


LISTED = ("preflight", "checkpoint", "configuration")
"""Kinds of check that are sentences about a package, each of which is shown."""

RIGHT = {
    "preflight": "it fits the MAX that is installed, opens, and has a pass",
    "checkpoint": "every tensor is read, and every parameter filled, bit for bit",
    "configuration": "every field that changes transformers' model is followed, or refused",
}
"""What is said of those where all is right."""

SEEN = ("case", "tap", "verdict", "message", "details", "ratio", "max_abs", "relative")
"""The keys of a check that `seen` looks at."""


@dataclass(frozen=True, slots=True)
class Kind:
    """All checks of one kind.

    Attributes:
        name: what it is called in tables.
        passed, of: how many passed, and how many there are.
        used: share of the allowed error, of the gravest.
        verdict: the gravest.
        seen: in a sentence.
    """

    name: str
    passed: int
    of: int
    used: Any
    verdict: str
    seen: str


@dataclass(frozen=True, slots=True)
class LogitFigures:
    """What the logits of several cases come to.

    Attributes:
        kl_max: the largest KL divergence from float64, in nats.
        flips: positions at which the first choice differs.
        positions: how many there are.
    """

    kl_max: float
    flips: int
    positions: int


def by_kind(checks: pd.DataFrame) -> list[Kind]:
    """Each kind of check in a line, in the order in which they were made."""
    return [_kind(str(mode), group) for mode, group in checks.groupby("mode", sort=False)]


def sentences(checks: pd.DataFrame) -> list[tuple[str, str]]:
    """What fails of a package that is not a comparison of numbers: the kind, and a sentence."""
    failed = checks[checks["mode"].isin(LISTED) & checks["verdict"].isin(("FAIL", "ERROR"))]
    return [
        (MODES[row["mode"]], f"{row['tap']}: {row['message']}" if _by_tap(row) else row["message"])
        for row in failed[["mode", "tap", "message"]].to_dict("records")
    ]


def _by_tap(row: Mapping[Any, Any]) -> bool:
    """Whether a sentence is about a tensor or a parameter, which is its tap."""
    return bool(row["mode"] == "checkpoint" and row["tap"])


def _kind(mode: str, group: pd.DataFrame) -> Kind:
    gravest = worst(group)
    return Kind(
        name=MODES.get(mode, mode),
        passed=int((group["verdict"] == "PASS").sum()),
        of=len(group),
        used=gravest["used"],
        verdict=str(gravest["verdict"]),
        seen=seen(mode, group[list(SEEN)].to_dict("records"), gravest.to_dict()),
    )


def seen(mode: str, checks: Sequence[Mapping[Any, Any]], gravest: Mapping[Any, Any]) -> str:
    """One telling figure for each kind of check, or what went wrong.

    Args:
        mode: the kind.
        checks: all records of this kind.
        gravest: the one with the gravest verdict, then the largest share of the allowed error.
    """
    if mode in LISTED and gravest.get("verdict") == "PASS":
        return RIGHT[mode]
    if gravest.get("message"):
        where = " ".join(filter(None, (short_name(gravest.get("tap")), str(gravest["case"]))))
        return f"{where}: {gravest['message']}"
    return _figures(mode, checks, gravest)


def _figures(mode: str, checks: Sequence[Mapping[Any, Any]], gravest: Mapping[Any, Any]) -> str:
    details = gravest.get("details") or {}
    try:
        match mode:
            case "precision":
                return _precision_seen(details)
            case "observer":
                changes = [_worst_of(check.get("max_abs")) for check in checks]
                return f"largest change of a logit: {max(changes):.1e}"
            case "oracle":
                largest = max(_worst_of(check.get("relative")) for check in checks)
                return f"NumPy and Hugging Face differ by {largest:.1e} at most"
            case "parameters":
                return f"{details['parameters']} parameters, read back bit for bit"
            case "logits":
                return _logits_seen(logit_figures(checks))
            case "perplexity":
                return (
                    f"{details['perplexity']:.6f}; oracle {details['oracle_perplexity']:.6f}, "
                    f"PyTorch {details['torch_perplexity']:.6f}"
                )
            case "greedy":
                equal = details["rows"] - details["parted"]
                each = f"{details['new_tokens']} tokens each"
                return f"{equal} of {details['rows']} continuations equal, {each}"
            case "metamorphic":
                return "causal, and independent of batch, row, length and history; edges refused"
            case "control":
                return f"{len(checks)} times a result was spoilt, and rejected at every place"
            case "matched":
                found = [check["details"] for check in checks if check.get("details")]
                nearest = max(found, key=lambda one: figure(one["share"]) or 0.0)
                return f"{nearest['share']:.1%} of the way to {nearest['fault']} at most"
            case "math" | "math-free":
                return _mathematics_seen(checks)
            case "math-served" | "served":
                return (
                    "uneven rows, chunks, decoding, ends of pages and reused prefixes: each logit"
                )
            case "math-range":
                return "finite too in the dtypes that the graph declares"
            case "math-control":
                return f"{len(checks)} times a result was spoilt, and rejected at every place"
            case "math-power" | "power" | "max-power" | "engine-power":
                return _power_seen(checks)
            case "math-mutants":
                return _mutants_seen(checks)
            case "engine":
                return _engines_seen(checks)
            case "engine-quality":
                return _logits_seen(logit_figures(checks))
            case "isolated" | "free" | "plain":
                ratios = [value for check in checks if (value := figure(check.get("ratio")))]
                return f"error over PyTorch's: {max(ratios):.2f} at most" if ratios else ""
    except (KeyError, TypeError, ValueError):  # a record of another version
        return ""
    return ""


def _engines_seen(checks: Sequence[Mapping[Any, Any]]) -> str:
    """Each engine by what runs, the ways in which it was read, and what these differ by."""
    paths = dict.fromkeys(check["details"]["path"] for check in checks)
    said = []
    for path in paths:
        read = [check["details"] for check in checks if check["details"]["path"] == path]
        ways = ", ".join(sorted({details["way"] for details in read}))
        apart = max((figure(details.get("from_decode")) or 0.0 for details in read), default=0.0)
        alike = f" (decoding is {apart:.0e} from parts)" if apart else ""
        said.append(f"{path}: {ways} = the whole sequence{alike}")
    return "; ".join(said)


def _mathematics_seen(checks: Sequence[Mapping[Any, Any]]) -> str:
    """How near float64 results are to float64."""
    largest = max((figure(check.get("relative")) or 0.0 for check in checks), default=0.0)
    return f"the traced graph in float64 is within {largest:.1e} of the oracle"


def _precision_seen(details: Mapping[str, Any]) -> str:
    """Bits that are right: in the median place, and in the worst."""
    where = f"{short_name(details['least_at'])}, {details['least_case']}"
    return (
        f"{details['class']}: {details['median_bits']:.1f} bits right in the median, "
        f"{details['least_bits']:.1f} at least ({where}; PyTorch {details['torch_bits_there']:.1f})"
    )


def logit_figures(checks: Sequence[Mapping[Any, Any]]) -> LogitFigures | None:
    """The largest divergence, and how many first choices differ; None without figures."""
    details = [one for check in checks if isinstance(one := check.get("details"), dict)]
    details = [one for one in details if "kl_max" in one]
    if not details:
        return None
    return LogitFigures(
        kl_max=max(_worst_of(one["kl_max"]) for one in details),
        flips=sum(one.get("top1_flips") or 0 for one in details),
        positions=sum(one.get("positions") or 0 for one in details),
    )


def _logits_seen(found: LogitFigures | None) -> str:
    if found is None:
        return ""
    flips = f"{found.flips} of {found.positions} first choices differ"
    return f"KL at most {found.kl_max:.1e} nats; {flips}"


def _worst_of(value: Any) -> float:
    """A figure to take the largest of: what is not a number is worse than any."""
    number = figure(value)
    return 0.0 if number is None else math.inf if math.isnan(number) else number


def _power_seen(checks: Sequence[Mapping[Any, Any]]) -> str:
    """The weakest margin, and how many faults could not be shown."""
    judged = [check for check in checks if check["verdict"] != "SKIP"]
    weakest = min(judged, key=_margin, default=checks[0])
    skipped = len(checks) - len(judged)
    rest = f"; {skipped} not applicable" if skipped else ""
    return f"weakest margin {multiple(_margin(weakest))} ({weakest['case']}){rest}"


def _mutants_seen(checks: Sequence[Mapping[Any, Any]]) -> str:
    """How many mutants of the graph were caught, how many change nothing, and the weakest."""
    details = [check["details"] for check in checks]
    caught, judged = (sum(one[key] for one in details) for key in ("caught", "judged"))
    equivalent, unjudged = (sum(one[key] for one in details) for key in ("equivalent", "unjudged"))
    margins = [(figure(one["margin"]) or 0.0, one["weakest"]) for one in details if one["weakest"]]
    margin, name = min(margins, default=(0.0, ""))
    weakest = f"; weakest margin {multiple(margin)} ({name})" if margins else ""
    rest = f", {unjudged} not judged" if unjudged else ""
    return f"{caught} of {judged} mutants caught, {equivalent} equivalent{rest}{weakest}"


def _margin(check: Mapping[Any, Any]) -> float:
    return figure((check.get("details") or {}).get("margin")) or 0.0


def coverage_line(coverage: Mapping[str, Any]) -> str:
    """How many of the reference's places were compared, in a sentence; empty if that is unknown."""
    if not coverage:
        return ""
    reasons = Counter(str(one.get("reason")) for one in coverage.get("excused") or [])
    excused = "; ".join(f"{count} excused: {reason}" for reason, count in reasons.items())
    line = f"Coverage: {coverage.get('compared')} of {coverage.get('expected')} places compared"
    return f"{line}; {excused}" if excused else line
