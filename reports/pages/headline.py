"""What a run says in a few lines: the verdict, what was compared, the figures, what was skipped.

The page, the index and the Markdown summary all begin with this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reference.taps import short_name
from reports.figures.fault_matrix import fault_matrix
from reports.figures.operations import StageGraph, stage_graph
from reports.tables.frames import missing, worst
from reports.tables.kinds import logit_figures
from reports.tables.numbers import duration, figure, multiple, percent, short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from reports.saved.records import Run


@dataclass(frozen=True, slots=True)
class Fact:
    """A named value, with a longer text for the tooltip."""

    name: str
    value: str
    more: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The beginning of a report.

    Attributes:
        verdict: PASS, FAIL, ERROR, UNDERPOWERED, INCOMPLETE, EMPTY, or for a benchmark MEASURED,
            PARTLY, SKIPPED.
        title: the verdict in words.
        lead: a sentence or two.
        diagnosis: what the first failing place computes instead; empty if unknown or none fails.
        blame: whether that is MAX's or the port's; empty likewise.
        further: what else was found to be wrong, and how much that accounts for.
        graph: the operations of the first failing place; None where they are not known.
        figures: the numbers to remember.
        facts: what was compared, on what, with what.
        skipped: what was left out, and why.
        warnings: what the reader must know before the figures.
    """

    verdict: str
    title: str
    lead: str
    diagnosis: str = ""
    blame: str = ""
    further: Sequence[str] = field(default=())
    graph: StageGraph | None = None
    figures: Sequence[Fact] = field(default=())
    facts: Sequence[Fact] = field(default=())
    skipped: Sequence[Fact] = field(default=())
    warnings: Sequence[str] = field(default=())


def verify_headline(run: Run, checks: pd.DataFrame) -> Headline:
    """The headline of a verification."""
    verdict, title, lead = _verdict(run, checks)
    divergence = (run.end or {}).get("first_divergence") or {}
    return Headline(
        verdict=verdict,
        title=title,
        lead=lead,
        diagnosis=str(divergence.get("diagnosis") or ""),
        blame=str(divergence.get("blame") or ""),
        further=_further(run),
        graph=stage_graph(run),
        figures=_verify_figures(run, checks),
        facts=run_facts(run),
        skipped=_skipped(checks),
        warnings=run_warnings(run),
    )


def _further(run: Run) -> list[str]:
    """How much the diagnosis accounts for, and what else is wrong."""
    findings = run.of("finding")
    texts = [f"Also: {finding.get('text') or ''}" for finding in findings[1:]]
    if not findings:
        return []
    stages, total = findings[0].get("stages"), findings[0].get("of")
    texts = [f"This covers {stages} of {total} failing comparisons.", *texts]
    rest = int(total or 0) - sum(int(finding.get("stages") or 0) for finding in findings)
    return [*texts, f"{rest} further ones are not explained here."] if rest > 0 else texts


def _verdict(run: Run, checks: pd.DataFrame) -> tuple[str, str, str]:
    if not len(checks):
        return "EMPTY", "Nothing was checked", "No checks were recorded in this run."
    if (checks["verdict"] == "SKIP").all():
        return "SKIPPED", "Nothing was verified", "Every check was skipped; the reasons are below."
    verdict = str((run.end or {}).get("verdict") or _verdict_so_far(checks))
    match verdict:
        case "PASS":
            return verdict, "The same model", _passed(run, checks)
        case "FAIL":
            return verdict, "Not the same model", _failed(run, checks)
        case "UNDERPOWERED":
            return verdict, "Not proven", _first_message(checks, verdict)
        case "INCOMPLETE":
            passed = int((checks["verdict"] == "PASS").sum())
            text = f"The {passed} checks made until then passed, which proves nothing yet."
            return verdict, "Not finished", text
    return verdict, "Could not be judged", _first_message(checks, "ERROR")


def _verdict_so_far(checks: pd.DataFrame) -> str:
    """Of a run without an end: a failure stands, but passes prove nothing."""
    found = set(checks["verdict"])
    return next((v for v in ("FAIL", "ERROR", "UNDERPOWERED") if v in found), "INCOMPLETE")


def _passed(run: Run, checks: pd.DataFrame) -> str:
    alone = checks[checks["mode"] == "isolated"]
    if not len(alone):
        return "Every check passed."
    closest = worst(alone)
    dtypes = " and ".join(map(str, (run.end or {}).get("dtypes") or ["float32"]))
    return (
        f"Each of {alone['tap'].nunique()} places stays within what {dtypes} allows, in "
        f"{alone['case'].nunique()} cases. The closest comes to {percent(closest['used'])} of it: "
        f"{short_name(closest['tap'])}."
    )


def _failed(run: Run, checks: pd.DataFrame) -> str:
    divergence = (run.end or {}).get("first_divergence") or {}
    if divergence.get("message"):
        return f"First divergence: {divergence['message']}."
    return _first_message(checks, "FAIL")


def _first_message(checks: pd.DataFrame, verdict: str) -> str:
    some = checks[checks["verdict"] == verdict]
    if not len(some):
        return ""
    first = some.iloc[0]
    where = " ".join(filter(None, (short_name(first["tap"]), str(first["case"] or ""))))
    rest = f" And {len(some) - 1} more." if len(some) > 1 else ""
    message = "no reason was recorded" if missing(first["message"]) else first["message"]
    return f"{where}: {message}.{rest}"


def _verify_figures(run: Run, checks: pd.DataFrame) -> list[Fact]:
    figures = []
    alone = checks[checks["mode"] == "isolated"]
    if len(alone):
        failed = alone.loc[alone["verdict"] != "PASS", "tap"].nunique()
        total = alone["tap"].nunique()
        figures.append(Fact("places within bounds", f"{total - failed} of {total}"))
        closest = worst(alone)
        more = f"{short_name(closest['tap'])} in {closest['case']}"
        figures.append(Fact("of the allowed error, at most", percent(closest["used"]), more))
    figures += _precision_figures(checks)
    figures += _logit_figures(checks)
    matrix = fault_matrix(run)
    if matrix and (weakest := matrix.weakest) and weakest.best:
        unseen = sum(fault.verdict == "SKIP" for fault in matrix.faults)
        value = f"{matrix.caught} of {len(matrix.faults) - unseen}"
        more = f"weakest margin {multiple(weakest.best.margin)} ({weakest.name})"
        more += f"; {unseen} change nothing here" if unseen else ""
        figures.append(Fact("planted faults caught", value, more))
    return [*figures, *_mutant_figures(run)]


def _mutant_figures(run: Run) -> list[Fact]:
    """How many changes of one operation were caught."""
    found = (run.end or {}).get("mutants") or {}
    if not found.get("judged"):
        return []
    equivalent = found.get("equivalent")
    more = f"{equivalent} change nothing" if equivalent else ""
    return [
        Fact("changes of one operation caught", f"{found['caught']} of {found['judged']}", more)
    ]


def _precision_figures(checks: pd.DataFrame) -> list[Fact]:
    """The precision that the results have, of the device that has least."""
    details = [d for d in checks.loc[checks["mode"] == "precision", "details"] if d]
    found = [d for d in details if isinstance(d, dict) and figure(d.get("median_bits")) is not None]
    if not found:
        return []
    least = min(found, key=lambda one: figure(one["median_bits"]) or 0.0)
    more = f"{least.get('class')}; {short(least.get('least_bits'))} in the worst"
    return [Fact("bits right, in the median", f"{figure(least['median_bits']):.1f}", more)]


def _logit_figures(checks: pd.DataFrame) -> list[Fact]:
    figures = []
    logits = checks[checks["mode"] == "logits"].to_dict("records")
    if found := logit_figures(logits):
        figures.append(Fact("first choices differ", f"{found.flips} of {found.positions}"))
        figures.append(Fact("nats of KL divergence, at most", f"{found.kl_max:.1e}"))
    return figures


def _skipped(checks: pd.DataFrame) -> list[Fact]:
    some = checks[checks["verdict"] == "SKIP"]
    pairs = zip(some["case"], some["message"], strict=True)
    return [Fact(str(case or "?"), str(why or "")) for case, why in dict.fromkeys(pairs)]


def run_warnings(run: Run) -> list[str]:
    """What is wrong with the records themselves."""
    warnings = []
    if run.end is None:
        warnings.append("The run was interrupted: this is what was recorded until then.")
    if run.damaged:
        warnings.append("The last record was cut off and is left out.")
    if run.environment.get("dirty"):
        warnings.append("The code had uncommitted changes.")
    notes = (run.header.get("environment") or {}).get("checkpoint_notes") or []
    warnings += [f"Checkpoint: {note}." for note in notes]
    return warnings


def run_facts(run: Run) -> list[Fact]:
    """What ran, on what: model, weights, versions, machine, code, time."""
    environment = run.environment
    versions = environment.get("versions") or {}
    facts = [
        Fact("model", str(environment.get("model", "unknown"))),
        Fact("weights", _hash(environment.get("weights_sha256")), "sha256 of the checkpoint"),
        Fact("candidate", str(environment.get("candidate", "impl")), _own_files(environment)),
        Fact("MAX", str(versions.get("max") or "not installed")),
        Fact("PyTorch", str(versions.get("torch") or "not installed"), _transformers(versions)),
        Fact("device", _devices(run)),
        Fact("machine", _machine(environment), str(environment.get("system") or "")),
        Fact("commit", _commit(environment), _hash(environment.get("impl_sha256")) + " impl/"),
        Fact("max-parity", *_tool(environment.get("tool") or {})),
        Fact("started", _moment(run.header.get("started_utc"))),
    ]
    if (took := duration_s(run)) is not None:
        facts.append(Fact("took", duration(took)))
    return [fact for fact in facts if fact.value]


def _own_files(environment: Mapping[str, Any]) -> str:
    """What a candidate's verdict is one of: all of its own files."""
    files = environment.get("candidate_files")
    if not files:
        return ""
    count = f"{len(files)} files" if len(files) > 1 else "one file"
    return f"sha256 {_hash(environment.get('candidate_sha256'))} of {count}"


def _transformers(versions: Mapping[str, Any]) -> str:
    found = versions.get("transformers")
    return f"transformers {found}" if found else ""


def _devices(run: Run) -> str:
    recorded = (run.end or {}).get("devices")
    if isinstance(recorded, list) and recorded:
        dtypes = ", ".join(map(str, (run.end or {}).get("dtypes") or []))
        return " ".join(filter(None, (", ".join(map(str, recorded)), dtypes)))
    ran = (
        r
        for r in run.records
        if r.get("device") and "SKIP" not in (r.get("status"), r.get("verdict"))
    )
    found = dict.fromkeys(r["device"] for r in ran)
    return ", ".join(map(str, found)) or str(run.environment.get("accelerator") or "cpu")


def _machine(environment: Mapping[str, Any]) -> str:
    parts = [str(environment.get("accelerator") or ""), str(environment.get("cpu") or "")]
    threads = environment.get("threads")
    if threads:
        count = ", ".join(map(str, threads)) if isinstance(threads, list) else str(threads)
        parts.append(f"{count} threads")
    return ", ".join(filter(None, parts))


def _commit(environment: Mapping[str, Any]) -> str:
    commit = environment.get("commit")
    if not commit:
        return "outside git"
    return f"{str(commit)[:10]}{' + changes' if environment.get('dirty') else ''}"


def _tool(tool: Mapping[str, Any]) -> tuple[str, str]:
    """The version of this project that ran, and its commit; nothing in older records."""
    return str(tool.get("version") or ""), _commit(tool) if tool.get("commit") else ""


def _hash(value: Any) -> str:
    return str(value)[:12] if not missing(value) and value else "unknown"


def _moment(stamp: Any) -> str:
    moment = moment_of(stamp)
    return f"{moment:%-d %b %Y, %H:%M} UTC" if moment else ""


def moment_of(stamp: Any) -> datetime | None:
    """A recorded moment; None where it cannot be read."""
    try:
        return datetime.fromisoformat(str(stamp)).astimezone(UTC)
    except ValueError:
        return None


def duration_s(run: Run) -> float | None:
    """From the run's start to its end, in seconds; None where it was interrupted."""
    first = moment_of(run.header.get("started_utc"))
    last = moment_of((run.end or {}).get("finished_utc"))
    return (last - first).total_seconds() if first and last else None
