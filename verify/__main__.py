"""Entry point of `python -m verify`.

A candidate's code is run in a child process (`verify.candidate.sandbox`).
"""

import os
import sys
from pathlib import Path

from reports.commands import CANNOT_RUN, INTERRUPTED
from verify.candidate.sandbox import enter, leave, needs_child, supervise, watched_file

MADE_FOR = "26.7"
"""The oldest version that has what `verify.candidate.staging` traces with: 26.6 has neither
`max.tree`, nor a `StagedGraph` that is made from a function, nor weights that are declarations."""


def _main(argv: list[str]) -> int:
    """The command that is named, a candidate's code in a child."""
    if argv[:1] == ["steps"]:
        from verify.steps import progress

        return progress.main(argv[1:])
    if "--watch" in argv:
        return _watch(argv)
    if needs_child(argv):
        return supervise(argv)
    enter()
    try:
        return leave(_command(argv))
    except SystemExit as end:  # argparse's: bad usage, or --help
        return leave(int(end.code or 0))


def _watch(argv: list[str]) -> int:
    """The candidate or the step's file that is named, judged again whenever it is saved."""
    from verify.watch import watch, watch_step

    rest = [word for word in argv if word != "--watch"]
    if argv[0] == "step":
        files = [Path(word) for word in rest[2:] if not word.startswith("-")]
        return watch_step(rest, files[0] if files else Path())
    named = watched_file(argv)
    if named is None:
        print("verify: --watch needs --candidate FILE.py:NAME", file=sys.stderr)
        return CANNOT_RUN
    return watch(rest, named)


def _command(argv: list[str]) -> int:
    """MAX and torch are imported by the commands that need them."""
    try:
        if argv[:1] == ["step"]:
            from verify.steps import single as step

            return step.main(argv[1:])
        from verify import cli

        return cli.main(argv)
    except ImportError as error:
        if not (error.name or "").startswith("max"):
            raise
        print(f"verify: the MAX that is installed has another interface: {error}", file=sys.stderr)
        print(f"verify: this is made for MAX {MADE_FOR}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    code = _main(sys.argv[1:])
    if code == INTERRUPTED:
        os._exit(code)  # a normal end would wait for MAX's compiler
    sys.exit(code)
