"""What every command line answers alike."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from tests.processes import ROOT


@pytest.mark.parametrize("program", ["verify", "bench", "reports", "impl", "reference"])
def test_every_command_line_tells_its_versions_in_one_line(program):
    done = subprocess.run(
        [sys.executable, "-m", program, "--version"], cwd=ROOT, env=os.environ,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0
    (line,) = done.stdout.splitlines()
    assert line.startswith("max-parity ")
    assert line.endswith(f", MAX {version('max')}, PyTorch {version('torch')}")
