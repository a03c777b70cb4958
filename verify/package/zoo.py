"""`python -m verify zoo`: every architecture that is built into MAX, asked the six answers.

Each is verified on a tiny model that is drawn, in a process of its own whose time is limited. What
is done is written down at once, and not done again where the same folder is given. The atlas is a
page with a row for each architecture: what was answered, in how many seconds, what failed, and why
one could not be asked.

An architecture is a unit of work (`verify.fleet`): they are asked here one after the other, or
spread over machines.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.commands import (
    UNDERPOWERED,
    Parser,
    UsageError,
    cannot_run,
    exit_code_of,
    how_stopped,
    open_console,
)
from reports.saved.home import runs_root
from verify.fleet.fleet_bar import FleetBar
from verify.fleet.fleet_options import add_on, check_on
from verify.fleet.unit import FleetError, Spread, Unit
from verify.fleet.units_run import run_units
from verify.options import natural, positive
from verify.package.atlas import RECORDS, atlas, line_of, read_rows
from verify.package.names import ANSWERS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from rich.console import Console

LIMIT_S = 600.0
"""For one architecture, without compiling."""

WITHOUT_CONFIGURATION = tuple(name for name in ANSWERS if name != "configuration")

PACKAGES = re.compile(r"/[^\s'\"]*/site-packages/")
"""Where Python's packages are."""


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 where no architecture that could be asked is wrong, else 1.

    3 where none is wrong, and for one of them mistakes would not have been noticed.
    """
    options = _parser().parse_args(argv)
    try:
        check_on(options.on)
        names = _asked(options.names)
    except UsageError as error:
        return cannot_run("verify", error)
    console = open_console()
    options.out.mkdir(parents=True, exist_ok=True)
    records = options.out / RECORDS
    done = {(row["name"], row["seed"]) for row in read_rows(records)}
    units = [unit for unit in _units(names, options) if _place(unit) not in done]
    try:
        _ask_all(units, options, console)
    except KeyboardInterrupt as stop:
        told = f"{how_stopped(stop)}; what was asked is in {records}, and is not asked again"
        print(f"verify: {told}", file=sys.stderr)
        return exit_code_of(stop)
    except FleetError as error:
        return cannot_run("verify", error)
    rows = [row for row in read_rows(records) if row["name"] in names]
    page = options.out / "README.md"
    page.write_text(atlas(rows), encoding="utf-8")
    console.print(f"Atlas: {page}", highlight=False)
    found = {row["verdict"] for row in rows}
    return 1 if "FAIL" in found else UNDERPOWERED if "UNDERPOWERED" in found else 0


def _units(names: Sequence[str], options: argparse.Namespace) -> Iterator[Unit]:
    """A unit for each architecture and seed; its key is both."""
    shared = {"limit_s": options.limit, "compiled": options.compiled}
    for name in names:
        for seed in range(options.seed, options.seed + options.seeds):
            answers = ANSWERS if seed == options.seed else WITHOUT_CONFIGURATION
            asked = {"name": name, "seed": seed, "answers": list(answers), **shared}
            yield Unit(f"{name} {seed}", "verify.package.zoo:asked", asked)


def _place(unit: Unit) -> tuple[str, int]:
    return unit.arguments["name"], unit.arguments["seed"]


def asked(**arguments: Any) -> Iterator[dict[str, Any]]:
    """The unit of work: one architecture's row, as `ask` makes it."""
    yield ask(**arguments)


def _ask_all(units: Sequence[Unit], options: argparse.Namespace, console: Console) -> None:
    """Ask, and write each row down at once.

    Raises:
        FleetError: where some could not be asked, or nobody is there to ask them.
    """
    unasked = []
    with FleetBar(len(units)) as bar, closing(
        run_units(units, Spread(options.on, cpus=options.cpus), bar.news)
    ) as found:  # fmt: skip
        for done in found:
            bar.advance(done)
            unasked += [done] * bool(done.error)
            for row in done.records:
                _write({**row, "node": done.node, "machine": done.machine}, options.out, console)
    if unasked:
        raise FleetError(f"{len(unasked)} could not be asked: {unasked[0].key}: {unasked[0].error}")


def _write(row: dict[str, Any], out: Path, console: Console) -> None:
    with (out / RECORDS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    console.print(line_of(row), highlight=False, markup=False, soft_wrap=True)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m verify zoo",
        description="Verify every text architecture that is built into MAX, on tiny models.",
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="architectures; all where none is named")
    add("-o", "--out", type=Path, default=runs_root() / "runs" / "zoo", metavar="DIR",
        help="where rows are written, and those that are there are kept")  # fmt: skip
    add("--limit", type=positive, default=LIMIT_S, metavar="S",
        help=f"seconds for one architecture ({LIMIT_S:g})")  # fmt: skip
    add("--compiled", action="store_true", help="compile those that are right, too (minutes each)")
    add("--seed", type=int, default=0, help="draws the tiny models (0)")
    add("--seeds", type=natural, default=1, metavar="N",
        help="tiny models of each, the configuration's answer for the first alone (1)")  # fmt: skip
    add_on(parser)
    return parser


def _asked(names: Sequence[str]) -> list[str]:
    """The architectures that are named, or all."""
    known = built_ins()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"MAX has no architecture {unknown[0]} built in")
    return list(names) or known


def built_ins() -> list[str]:
    """The names of MAX's architectures; none is imported."""
    from max.pipelines.lib.arch_lookup import ARCH_LOOKUP

    return sorted({*ARCH_LOOKUP._lazy_architectures, *ARCH_LOOKUP.architectures})


def ask(
    name: str, answers: Sequence[str], *, seed: int, limit_s: float, compiled: bool
) -> dict[str, Any]:
    """One architecture's row.

    Args:
        name: of a built-in architecture.
        answers: which are asked for.
        seed: draws its tiny model.
        limit_s: after which it is ended.
        compiled: whether MAX compiles it, too.
    """
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="verify-zoo-") as scratch:
        file = Path(scratch) / "outcome.json"
        command = [
            sys.executable, "-m", "verify", "package", name, "--seed", str(seed),
            "--answers", ",".join(answers), "--json", str(file),
            "--out", str(Path(scratch) / "run"),
            *(() if compiled else ("--quick",)),
        ]  # fmt: skip
        code, said = _run(command, limit_s)
        found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    row: dict[str, Any] = {"record": "architecture", "name": name, "seed": seed}
    row["seconds"] = round(time.monotonic() - start_s, 1)
    if code is None:
        return {**row, "verdict": "ERROR", "reason": f"not done after {limit_s:g} s"}
    if not found.get("checks"):
        return {**row, "verdict": "SKIP", "reason": _reason(said, found)}
    return {**row, **_figures(found)}


def _run(command: Sequence[str], limit_s: float) -> tuple[int | None, str]:
    """The exit code of a command, None where it was ended, and what it said on stderr."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ,
        process_group=0,
    )  # fmt: skip
    try:
        _, said = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        _end(process)
        return None, ""
    except BaseException:  # Ctrl-C, or the end of a process on a node of a cluster
        _end(process)
        raise
    return process.returncode, said


def _end(process: subprocess.Popen[str]) -> None:
    """End a command and what it has started, if they are still there."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.communicate()


def _reason(said: str, found: dict[str, Any]) -> str:
    """Why nothing was judged, in a sentence."""
    lines = [line for line in said.splitlines() if line.startswith("verify: ")]
    last = lines[-1].removeprefix("verify: ") if lines else "it ended without any output"
    return without_paths(str(found.get("error") or last))


def without_paths(text: str) -> str:
    """A sentence without the folders of this machine's packages."""
    return PACKAGES.sub("", text)


def _figures(found: dict[str, Any]) -> dict[str, Any]:
    """What the atlas tells of an outcome."""
    failed = [check for check in found["checks"] if check["verdict"] in ("FAIL", "ERROR")]
    findings = [str(one.get("text")) for one in found.get("findings") or [] if one.get("text")]
    return {
        "verdict": found["verdict"],
        "answers": found.get("answers") or {},
        "mutants": found.get("mutants"),
        "reason": without_paths("; ".join(_reasons(failed, findings))),
        "relative": max(_relative(found["checks"]), default=None),
    }


def _reasons(failed: Sequence[dict[str, Any]], findings: Sequence[str]) -> Iterator[str]:
    """What failed, a sentence for each answer."""
    sentences = [check for check in failed if check["mode"] in ("preflight", "checkpoint")]
    for check in sentences[:1]:
        tap = check["tap"] if check["mode"] == "checkpoint" else ""
        more = f" (and {len(sentences) - 1} more)" if len(sentences) > 1 else ""
        yield ": ".join(filter(None, [tap, check["message"]])) + more
    configuration = [check for check in failed if check["mode"] == "configuration"]
    fields = dict.fromkeys(_field(check) for check in configuration if check["tap"])
    if fields:
        yield f"does not follow {', '.join(fields)}"
    yield from (c["message"] for c in configuration if not c["tap"] and c["verdict"] == "ERROR")
    numbers = [check for check in failed if check["mode"].startswith("math")]
    if findings:
        yield findings[0]
    elif numbers:
        yield f"{numbers[0]['tap']}: {numbers[0]['message']}"


def _field(check: dict[str, Any]) -> str:
    """A field that is not followed, with the value where the field is a choice."""
    details = check["details"] or {}
    name = str(check["tap"]).rpartition(".")[2]
    return f"`{name}` {details['after']}" if isinstance(details.get("after"), str) else f"`{name}`"


def _relative(checks: Sequence[dict[str, Any]]) -> Iterator[float]:
    for check in checks:
        if check["mode"] in ("math", "math-free") and check["verdict"] == "PASS":
            yield float(check["relative"] or 0.0)
