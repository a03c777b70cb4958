"""Reports read saved records alone: neither max nor torch may be needed for them."""

import os
import subprocess
import sys
from pathlib import Path

# Importing max in another test sets PYTHONEXECUTABLE behind os.environ's back: children are given
# os.environ itself.
ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
import reports.__main__, reports.saved.environment, reports.saved.records, reports.tables.frames
reports.saved.environment.collect()
print(*(name for name in ("max", "torch", "transformers") if name in sys.modules))
"""


def test_reports_load_neither_max_nor_torch():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""


def test_records_need_the_standard_library_alone():
    program = (
        "import sys, reports.saved.records; print('numpy' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "False"]
