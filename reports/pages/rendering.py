"""Templates filled: what every page has, whatever it shows."""

from __future__ import annotations

import shlex
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from reference.taps import short_name
from reports.saved.artefacts import FILE
from reports.tables import numbers, paired
from reports.tables.tidy import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reports.saved.records import Run

TEMPLATES = Path(__file__).parent / "templates"

KINDS = {"verify": "Verification", "bench": "Benchmark", "endpoint": "Endpoint parity",
         "campaign": "Campaign", "rules": "Contest of rules", "sweep": "Sweep",
         "machines": "Machines", "training": "Verified training"}  # fmt: skip
"""What runs are called, by kind."""

MISFITS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What comes of records and arrays that are not of the documented kind."""


def render_page(template: str, run: Run, context: Mapping[str, Any]) -> str:
    """Fill a run's template; every page has its title, its environment and its files."""
    kind = KINDS.get(run.kind, run.kind)
    identity = str(run.header.get("run_id", ""))
    model = str(run.environment.get("model", ""))
    return render_template(
        template,
        title=f"{context['head'].verdict} {kind.lower()} of {model or 'a model'}",
        kicker=" · ".join(filter(None, (kind, model, identity))),
        footer=f"Made from the saved records of {identity or run.folder.name}, format "
        f"{run.header.get('schema_version')}.",
        command=command_line(run),
        environment=list(flat(run.environment)),
        files=_files(run.folder),
        **context,
    )


def render_template(template: str, **context: Any) -> str:
    """Fill a template; style and script are put into the page, so that it needs nothing else."""
    style, script = (
        Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 - our own files
        for name in ("parts/report.css", "parts/report.js")
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
        numbers.scientific, numbers.percent, numbers.multiple, numbers.short, numbers.duration,
        numbers.shape, numbers.brief, short_name,
    ):  # fmt: skip
        environment.filters[function.__name__] = function
    for name, made in (("name_of", paired.name_of), ("strength", paired.strength),
                       ("word", paired.word), ("said", paired.said)):  # fmt: skip
        environment.filters[name] = made
    environment.filters["formatted"] = lambda value, form: environment.filters[form](value)
    return environment


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Nested entries under dotted names, in words."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "not known" if value is None else str(value)


def _files(folder: Path) -> list[str]:
    names = list(NAMES.values())
    candidates = [f"{name}.{end}" for name in names for end in ("md", "csv", "parquet")]
    candidates += ["junit.xml", "records.jsonl", FILE]
    return [name for name in candidates if (folder / name).is_file()]
