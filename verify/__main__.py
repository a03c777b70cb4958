"""Entry point of `python -m verify`; a candidate's code is run in a child (`verify.sandbox`)."""

import os
import sys

from verify.sandbox import INTERRUPTED, enter, needs_child, supervise


def _main(argv: list[str]) -> int:
    """The command that is named; MAX and torch are imported by those that need them."""
    if argv[:1] == ["steps"]:
        from verify.steps import progress

        return progress.main(argv[1:])
    if needs_child(argv):
        return supervise(argv)
    enter()
    if argv[:1] == ["step"]:
        from verify.steps import cli as step

        return step.main(argv[1:])
    from verify import cli

    return cli.main(argv)


if __name__ == "__main__":
    code = _main(sys.argv[1:])
    if code == INTERRUPTED:
        os._exit(code)  # a normal end would wait for MAX's compiler
    sys.exit(code)
