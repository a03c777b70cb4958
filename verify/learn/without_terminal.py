"""What the keys do, as options: for CI, editors, screen readers, and slow machines."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from rich.text import Text

from reports.commands import CANNOT_RUN, UsageError
from reports.saved.files import write_json
from verify.learn import displayed
from verify.learn.learner_folder import CORE

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from verify.learn.learner_folder import Standing
    from verify.learn.learning_session import Session
    from verify.learn.step_check import Checked

EXIT = {"PASS": 0, "FAIL": 1, "ERROR": CANNOT_RUN}


def act(options: argparse.Namespace, session: Session, console: Console) -> int:
    """Do what the options ask for, once.

    Returns:
        0 where the current step passes, 1 where not, 2 where it could not be judged. What only
        shows something gives 0.
    """
    standing = session.standing()
    if options.list:
        console.print(displayed.listing(session.folder.all()))
    elif standing is None:
        _say_nothing_is_open(options, session, console)
    elif options.explain:
        console.print(displayed.explanation(standing.lesson, passed=bool(standing.kept.passed)))
    elif options.solution:
        session.take_solution()
        console.print(displayed.solution(standing.lesson))
    elif options.reset:
        copy = session.folder.begin_again(standing.number)
        file = session.folder.begin(standing.number)
        console.print(displayed.reset_said(copy, file))
    else:
        return _checked(options, session, console)
    answer(options, session)
    return 0


def _say_nothing_is_open(options: argparse.Namespace, session: Session, console: Console) -> None:
    if options.explain or options.solution or options.reset or options.hint is not None:
        raise UsageError("all twelve steps are done: no step is open")
    console.print(displayed.ALL_DONE if session.whole else displayed.WHOLE_IS_NEXT)
    if not session.whole:
        console.print("without a terminal: --whole")


def _checked(options: argparse.Namespace, session: Session, console: Console) -> int:
    """Check all that has changed, then the current step; with `--next` as MAX compiles it."""
    compiled = bool(options.next or options.compile)
    for number in session.due():
        if number != session.number:
            _look(session, number)
    session.choose()  # a step that had passed may come first now
    standing = session.standing()
    if standing is None:
        _say_nothing_is_open(options, session, console)
        answer(options, session)
        return 0
    if standing.number not in session.found or compiled:
        _look(session, standing.number, compiled=compiled)
    found = session.found[standing.number]
    if options.hint is not None:
        _take_hints(options.hint, session, found)
    _show(session, standing, found, console)
    answer(options, session, found)
    if found.passed:
        _go_on(options, session, standing, console)
    return EXIT[found.verdict]


def _look(session: Session, number: int, *, compiled: bool = False) -> None:
    """Check a step, to the end."""
    check = session.check(number, compiled=compiled)
    if check is None:
        raise UsageError(f"step {number} has no file; --reset writes its skeleton again")
    try:
        session.take(check.run(session.table(check.file)))
    finally:
        check.end()


def _take_hints(asked: str, session: Session, found: Checked) -> None:
    """`--hint` takes the next level, `--hint 3` a certain one."""
    if found.failed_phase is None:
        return
    if asked == NEXT_LEVEL:
        session.take_hint(found)
    elif not session.take_hint(found, int(asked)):
        raise UsageError(
            f"--hint {asked}: there are {len(session.hints(found))} hints on {found.subject!r} of "
            f"step {found.number}"
        )


NEXT_LEVEL = "next"
"""What `--hint` without a number stands for."""


def _show(session: Session, standing: Standing, found: Checked, console: Console) -> None:
    console.print(displayed.heading(session.folder.standing(standing.number), session.done))
    for other in session.broken():
        console.print(displayed.broken(other))
    hints, level = session.hints(found), session.level(found)
    console.print(displayed.outcome(found, hints, level, waits=False))


def _go_on(
    options: argparse.Namespace, session: Session, standing: Standing, console: Console
) -> None:
    """What comes after a step that passes."""
    if session.waits_for_compile():
        console.print(Text("--next has MAX compile it, and begins the next step", "green"))
        return
    console.print()
    console.print(displayed.afterwards(standing.lesson))
    if not options.next:
        console.print(Text(f"Step {standing.number} is done. --next begins the next one", "green"))
        return
    if session.choose() is None:
        console.print(Text(displayed.ALL_DONE if session.whole else displayed.WHOLE_IS_NEXT))
        return
    following = session.standing()
    if following is not None:
        console.print()
        console.print(displayed.heading(following, session.done))
        console.print("--explain says what it is about; --once checks it")


def _phases(session: Session, found: Checked) -> list[dict[str, Any]]:
    """With the hints that have been taken alone."""
    hints = session.hints(found)[: session.level(found)]
    return [asdict(replace(phase, hints=() if phase.passed else hints)) for phase in found.phases]


def answer(
    options: argparse.Namespace, session: Session, found: Checked | None = None, verdict: str = ""
) -> None:
    """What `--json` asked for: the current step, and how all of them stand.

    Args:
        options: with the file's name; None writes nothing.
        session: it is about.
        found: the check of the current step, where there was one.
        verdict: of the whole model, where that was asked for.
    """
    if options.json is None:
        return
    steps = [
        {
            "step": one.number, "title": one.lesson.step.title, "standing": one.word or "open",
            "file": str(one.file) if one.file else None, "passed": one.kept.passed or None,
            "hints": sum(one.kept.hints.values()), "solution": one.kept.solution or None,
        }
        for one in session.folder.all()
    ]  # fmt: skip
    so_far = "PASS" if session.done == CORE else "FAIL"
    values: dict[str, Any] = {
        "verdict": verdict or (found.verdict if found else so_far),
        "step": found.number if found else session.number,
        "compiled": bool(found and found.compiled),
        "phases": _phases(session, found) if found else [],
        "whole": session.whole,
        "steps": steps,
    }
    if found is not None and found.verdict == "ERROR":
        values["reason"] = found.reason
    write_json(options.json, values)
