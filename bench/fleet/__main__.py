"""`python -m bench.fleet PARENT WORD ...`: `python -m bench WORD ...` that ends with its parent."""

import runpy
import sys

from reports.commands import end_with_parent

if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    sys.argv[1:] = sys.argv[2:]
    runpy.run_module("bench", run_name="__main__", alter_sys=True)
