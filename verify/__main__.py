"""Entry point of `python -m verify`; a candidate's code is run in a child (`verify.sandbox`)."""

import os
import sys

from verify.sandbox import enter, needs_child, supervise

if __name__ == "__main__":
    if needs_child(sys.argv[1:]):
        sys.exit(supervise(sys.argv[1:]))
    enter()
    from verify.cli import INTERRUPTED, main

    code = main(sys.argv[1:])
    if code == INTERRUPTED:
        os._exit(code)  # a normal end would wait for MAX's compiler
    sys.exit(code)
