"""Entry point of `python -m verify`."""

import os
import sys

from verify.cli import INTERRUPTED, main

if __name__ == "__main__":
    code = main(sys.argv[1:])
    if code == INTERRUPTED:
        os._exit(code)  # a normal end would wait for MAX's compiler
    sys.exit(code)
