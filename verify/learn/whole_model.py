"""After the twelve steps: the learner's own GPT-2, from the files, as one model.

Loaded with a checkpoint, verified in every place, it writes a text and is timed beside PyTorch and
impl's engine. Each of these is a command of its own in a process of its own; what they find is kept
in the learner's folder, as `gpt2.json` and as a page, `my_gpt2.html`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from reports.commands import STOPPED, TERMINATED, Terminated, UsageError
from reports.saved.files import write, write_json
from verify.learn.kept_state import now
from verify.learn.learner_folder import CORE, WHOLE
from verify.steps.definitions import defined_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from verify.learn.learner_folder import LearnerFolder

PAGE = "my_gpt2.html"
ARMS = "max,torch,candidate"
BUDGET = "60s"
"""What the benchmark may take."""

WORKLOADS = ("-p", "32", "-n", "16", "-d", "32")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is done with the model.

    Attributes:
        model: names the checkpoint that it is loaded with.
        budget: of the benchmark, such as `60s`; "0" for none.
        quick: compile nothing: the graph is verified, and writes, in float64; nothing is timed.
    """

    model: str = "tiny"
    budget: str = BUDGET
    quick: bool = False


def whole_model(folder: LearnerFolder, asked: Asked, console: Console) -> str:
    """Verify the learner's model, have it write, time it, and make its page.

    Returns:
        The verdict: PASS, FAIL, UNDERPOWERED or ERROR.

    Raises:
        UsageError: where a file of the twelve is missing.
    """
    candidate = _named(folder, CORE - 1)
    generation = _named(folder, CORE)
    files = folder.table_of_whole()
    kept: dict[str, Any] = {
        "model": asked.model, "compiled": not asked.quick, "candidate": candidate,
        "when": now(), "files": files,
        "steps": [_step_line(folder, number) for number in range(1, CORE + 1)],
    }  # fmt: skip
    _say(console, "1 of 3: every layer beside PyTorch's")
    words = ["verify", "--candidate", candidate, "--model", asked.model]
    verified = _run([*words, "--quick"] if asked.quick else words)
    kept["verdict"] = verified.get("verdict", "ERROR")
    kept["reason"] = verified.get("reason", "")
    if kept["verdict"] in ("PASS", "UNDERPOWERED"):
        kept["verified"] = _figures(Path(verified["run"]))
        _say(console, "2 of 3: it writes a text, with your step 12")
        kept["text"] = text_of(folder, asked, candidate, generation)
        _show_text(kept["text"], console)
        if asked.budget != "0" and not asked.quick:
            kept["times"] = _timed(candidate, asked, console)
    write_json(folder.path / WHOLE, kept)
    if "verified" in kept:
        write_page(folder, kept)
        console.print(f"Your page, to keep: {folder.path / PAGE}")
    return str(kept["verdict"])


def _timed(candidate: str, asked: Asked, console: Console) -> dict[str, Any]:
    """Times of three models that took turns, each of which has been verified on these weights."""
    _say(console, "3 of 3: timed beside PyTorch and impl's engine, which is verified first")
    _run(["verify", "--model", asked.model, "--quiet"])
    return _times(
        _run(["bench", "--candidate", candidate, "--model", asked.model, "--arms", ARMS, *WORKLOADS,
              "--budget", asked.budget])
    )  # fmt: skip


def _named(folder: LearnerFolder, number: int) -> str:
    """What a step's file defines, as `FILE.py:NAME`."""
    standing = folder.standing(number)
    if standing.file is None:
        raise UsageError(f"step {number} has no file: --reset writes its skeleton again")
    defined = defined_in(standing.file)
    names = [name for name in standing.lesson.step.names if name in defined]
    if not names:
        raise UsageError(f"{standing.file} defines no {standing.lesson.step.name}")
    return f"{standing.file}:{names[0]}"


def _run(words: Sequence[str]) -> dict[str, Any]:
    """A command of this project, on the learner's terminal; what its `--json` says.

    Raises:
        KeyboardInterrupt: where a signal stopped it.
    """
    with tempfile.TemporaryDirectory(prefix="verify-learn-") as place:
        answer = Path(place) / "answer.json"
        command = [sys.executable, "-m", *words, "--json", str(answer)]
        code = subprocess.run(command, env=os.environ, check=False).returncode
        if code in STOPPED:
            raise Terminated if code == TERMINATED else KeyboardInterrupt
        try:
            values: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {"verdict": "ERROR", "reason": f"{words[0]} ended without an answer ({code})"}
    return values


def text_of(folder: LearnerFolder, asked: Asked, candidate: str, generation: str) -> dict[str, Any]:
    """What the learner's model writes, or the reason why it writes nothing.

    Args:
        folder: the learner's.
        asked: with which weights.
        candidate: the model, as `FILE.py:NAME`.
        generation: what chooses its tokens, likewise.
    """
    words = ["verify", "learn", str(folder.path), "--own-text", candidate, generation]
    return _run([*words, "--model", asked.model, *(["--quick"] if asked.quick else [])])


def _show_text(found: dict[str, Any], console: Console) -> None:
    if "text" in found:
        console.print(Text(found["text"], "cyan"))
        console.print(f"{found['tokens']} tokens in {found['seconds']:.2f} s, without a cache")
    else:
        console.print(Text(f"no text: {found.get('reason')}", "yellow"))


def _figures(run_folder: Path) -> dict[str, Any]:
    """The headline of a verification, and its map, from its records."""
    from reports.figures.model_map import place_map
    from reports.pages.headline import verify_headline
    from reports.saved.records import read_run
    from reports.tables.frames import checks_frame, computing_taps, layers_frame

    run = read_run(run_folder)
    checks = checks_frame(run)
    layers = layers_frame(checks, (run.end or {}).get("order") or ())
    head = verify_headline(run, checks)
    return {
        "title": head.title, "lead": head.lead, "run": str(run_folder),
        "figures": [asdict(one) for one in head.figures],
        "map": asdict(place_map(layers, computing_taps(checks), None)),
    }  # fmt: skip


def _times(timed: dict[str, Any]) -> dict[str, Any]:
    """Of a benchmark's answer: what was said, and its rows."""
    names = ("workload", "arm", "status", "median_s", "tok_s", "invalid_reasons")
    rows = [{name: row.get(name) for name in names} for row in timed.get("rows", ())]
    return {
        "answers": timed.get("answers", []), "rows": rows, "reason": timed.get("reason", ""),
        "cpu": (timed.get("environment") or {}).get("cpu", ""),
    }  # fmt: skip


def _step_line(folder: LearnerFolder, number: int) -> dict[str, Any]:
    """A step as the page lists it."""
    one = folder.standing(number)
    lines = one.file.read_text(encoding="utf-8", errors="replace").count("\n") if one.file else 0
    return {
        "number": number, "title": one.lesson.step.title, "name": one.lesson.step.name,
        "file": one.file.name if one.file else "", "lines": lines, "passed": one.kept.passed,
        "hints": sum(one.kept.hints.values()), "solution": bool(one.kept.solution),
    }  # fmt: skip


def write_page(folder: LearnerFolder, kept: dict[str, Any]) -> Path:
    """The page of what was kept of the whole model."""
    from reports.pages.learner_page import learner_page

    return write(folder.path / PAGE, learner_page(kept))


def _say(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, "bold"))
