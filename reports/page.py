"""One self-contained HTML page for each run, made from its saved records and arrays alone."""

from __future__ import annotations

import math
import shlex
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from reports import inside, logits, numbers, parity, tensors
from reports.artefacts import FILE, Artefacts, read_artefacts
from reports.headline import verify_headline
from reports.kinds import MODES, SEEN, seen
from reports.places import computing_taps, place_map
from reports.power import fault_matrix
from reports.tables import gravest_first, worst
from reports.tidy import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from reports.records import Run

TEMPLATES = Path(__file__).parent / "templates"

MISFITS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What comes of records and arrays that are not of the documented kind."""

MOST_ROWS = 1000
"""Checks that a page lists: the gravest first. The tables beside it hold all of them."""


def verify_page(run: Run, checks: pd.DataFrame, layers: pd.DataFrame) -> str:
    """The page of a verification.

    Args:
        run: its records.
        checks: as `checks_frame` returns them.
        layers: as `layers_frame` makes them from those.
    """
    divergence = (run.end or {}).get("first_divergence") or {}
    known = set(computing_taps(checks))
    taps = [tap for tap in layers["tap"] if tap in known]
    first = str(divergence.get("tap") or "") or None
    context = {
        "head": verify_headline(run, checks),
        "map": place_map(layers, known, first),
        "pointed_layer": _layer(first),
        "failing": bool((layers["verdict"] == "FAIL").any()),
        **_parity(run, checks, list(dict.fromkeys(taps)), divergence),
        **_checks(checks),
        "matrix": fault_matrix(run),
    }
    tabs = [("parity", "Parity"), ("inside", "Inside the model"), ("power", "Planted faults")]
    tabs += [("checks", "All checks"), ("run", "This run")]
    shown = {
        "parity": len(checks),
        "inside": context["insides"],
        "power": context["matrix"],
        "checks": len(checks),
        "run": True,
    }
    context["tabs"] = [(name, text) for name, text in tabs if shown[name]]
    return render_page("verify.html", run, context)


def _layer(tap: str | None) -> int | None:
    parts = (tap or "").removesuffix(":input").split(".")
    numbers_in = [int(part) for part in parts if part.isdecimal()]
    return numbers_in[0] if numbers_in else None


def _parity(
    run: Run, checks: pd.DataFrame, taps: list[str], divergence: Mapping[str, Any]
) -> dict[str, Any]:
    artefacts = read_artefacts(run.folder)
    try:
        drawn = _from_artefacts(artefacts, divergence)
    except MISFITS as error:
        kind = f"{type(error).__name__}: {error}"
        artefacts = Artefacts(problem=f"{FILE} has arrays that do not fit ({kind}).")
        drawn = _from_artefacts(artefacts, divergence)
    return {
        **drawn,
        "errors": parity.errors_by_place(checks, taps),
        "growth": parity.growth(checks, taps),
        "artefacts_problem": artefacts.problem,
        "attention_aid": inside.ATTENTION_AID,
        "steps_aid": inside.STEPS_AID,
        "coverage": coverage_line((run.end or {}).get("coverage") or {}),
    }


def _from_artefacts(artefacts: Artefacts, divergence: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that are made from saved arrays."""
    return {
        "window": tensors.window(artefacts, divergence),
        "tokens": tensors.token_heat(artefacts, divergence),
        "kl": logits.divergences(artefacts),
        "leads": logits.leads(artefacts),
        "insides": inside.insides(artefacts),
    }


def _checks(checks: pd.DataFrame) -> dict[str, Any]:
    """The table of single checks, and the one by kind."""
    listed = gravest_first(checks).head(MOST_ROWS)
    rows = listed.to_dict("records")
    for row in rows:
        used = numbers.figure(row["used"])
        row["used_value"] = "" if used is None or math.isnan(used) else used
    total, shown = len(checks), len(rows)
    note = "The gravest come first, then those nearest to what is allowed."
    if shown < total:
        note += f" {shown:,} of {total:,} are listed; checks.csv and checks.parquet hold all."
    return {
        "check_rows": rows,
        "check_modes": list(dict.fromkeys(map(str, listed["mode"]))),
        "check_verdicts": list(dict.fromkeys(map(str, listed["verdict"]))),
        "checks_note": note,
        "kinds": [_kind(mode, group) for mode, group in checks.groupby("mode", sort=False)],
    }


def _kind(mode: Any, group: pd.DataFrame) -> dict[str, Any]:
    gravest = worst(group)
    records = group[list(SEEN)].to_dict("records")
    return {
        "name": MODES.get(str(mode), str(mode)),
        "passed": int((group["verdict"] == "PASS").sum()),
        "of": len(group),
        "used": numbers.percent(gravest["used"]),
        "verdict": gravest["verdict"],
        "seen": seen(str(mode), records, gravest.to_dict()),
    }


def coverage_line(coverage: Mapping[str, Any]) -> str:
    """How many of the reference's places were compared, in a sentence."""
    if not coverage:
        return ""
    excused = coverage.get("excused") or []
    reasons = dict.fromkeys(str(one.get("reason")) for one in excused)
    line = f"Coverage: {coverage.get('compared')} of {coverage.get('expected')} places compared"
    return f"{line}; {len(excused)} excused: {'; '.join(reasons)}." if excused else f"{line}."


def render_page(template: str, run: Run, context: Mapping[str, Any]) -> str:
    """Fill a run's template; every page has its title, its environment and its files."""
    kind = {"verify": "Verification", "bench": "Benchmark"}.get(run.kind, run.kind)
    identity = str(run.header.get("run_id", ""))
    model = str(run.environment.get("model", ""))
    return render_template(
        template,
        title=f"{context['head'].verdict} {kind.lower()} of {model or 'a model'}",
        kicker=" · ".join(filter(None, (kind, model, identity))),
        footer=f"Made from the saved records of {identity or run.folder.name}, format "
        f"{run.header.get('schema_version')}.",
        command=command_line(run),
        environment=list(_flat(run.environment)),
        files=_files(run.folder),
        **context,
    )


def render_template(template: str, **context: Any) -> str:
    """Fill a template; style and script are put into the page, so that it needs nothing else."""
    style, script = (
        Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 - our own files
        for name in ("report.css", "report.js")
    )
    return _environment().get_template(template).render(css=style, script=script, **context)


def command_line(run: Run) -> str:
    """How the run was started."""
    command = run.header.get("command")
    return shlex.join(map(str, command)) if isinstance(command, list) else str(command or "")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html", "svg"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (
        numbers.scientific, numbers.percent, numbers.multiple, numbers.short, numbers.seconds,
        numbers.shape, numbers.short_tap, numbers.ratio,
    ):  # fmt: skip
        environment.filters[function.__name__] = function
    environment.filters["formatted"] = lambda value, form: environment.filters[form](value)
    return environment


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Nested entries under dotted names."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "not known" if value is None else str(value)


def _files(folder: Path) -> list[str]:
    names = list(NAMES.values())
    candidates = [f"{name}.{end}" for name in names for end in ("md", "csv", "parquet")]
    candidates += ["junit.xml", "records.jsonl", FILE]
    return [name for name in candidates if (folder / name).is_file()]
