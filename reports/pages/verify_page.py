"""The page of a verification, made from its saved records and arrays alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reference.taps import layer_of
from reports.figures import inside, logits, parity, tensors
from reports.figures.cases_of_places import cases_of_places
from reports.figures.fault_matrix import fault_matrix
from reports.figures.model_map import place_map
from reports.figures.paired_names import paired_names
from reports.figures.whole import whole
from reports.pages.headline import verify_headline
from reports.pages.rendering import MISFITS, render_page
from reports.saved.artefacts import FILE, Artefacts, read_artefacts
from reports.saved.records import PROBLEM
from reports.tables import numbers
from reports.tables.frames import computing_taps, gravest_first
from reports.tables.kinds import by_kind, coverage_line, sentences

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from reports.saved.records import Run

MOST_ROWS = 1000
"""Checks that a page lists: the gravest first. The tables next to it hold all of them."""


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
        "pointed_layer": layer_of(first) if first else None,
        "failing": bool((layers["verdict"] == "FAIL").any()),
        **_parity(run, checks, list(dict.fromkeys(taps)), divergence),
        "cases": cases_of_places(checks, list(dict.fromkeys(taps)), first),
        **_checks(checks),
        "matrix": fault_matrix(run),
        "pairing": paired_names(run),
    }
    tabs = [("parity", "Parity"), ("inside", "Inside the model"), ("power", "Planted faults")]
    tabs += [("checks", "All checks"), ("pairing", "Pairing"), ("run", "This run")]
    shown = {
        "parity": len(checks),
        "inside": context["insides"],
        "power": context["matrix"],
        "checks": len(checks),
        "pairing": context["pairing"],
        "run": True,
    }
    context["tabs"] = [(name, text) for name, text in tabs if shown[name]]
    return render_page("verify.html", run, context)


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
        "artefacts_problem": " ".join(filter(None, (artefacts.problem, _missing_parts(run)))),
        "attention_aid": inside.ATTENTION_AID,
        "steps_aid": inside.STEPS_AID,
        "coverage": coverage_line((run.end or {}).get("coverage") or {}),
    }


def _missing_parts(run: Run) -> str:
    """What the run could not keep for this page, and why."""
    problems = [f"{p.get('part')} ({p.get('error')})" for p in run.of(PROBLEM)]
    return f"Could not be kept: {'; '.join(problems)}." if problems else ""


def _from_artefacts(artefacts: Artefacts, divergence: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that are made from saved arrays."""
    return {
        "window": tensors.window(artefacts, divergence),
        "whole": whole(artefacts, divergence),
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
        "kinds": by_kind(checks),
        "sentences": sentences(checks),
    }
