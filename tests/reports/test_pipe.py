"""A reader that goes away ends no program early, and no program says anything of it."""

import os
import subprocess
import sys

import pytest

from tests.processes import ROOT

WRITES = """
import sys
from reports.program import as_program

def main(argv):
    for number in range(1000):
        print("line", number, flush=True)
        print("noise", file=sys.stderr)
    open(argv[0], "w").write("done")
    return 0

sys.exit(as_program("verify", main))
"""


def unread(command, **kind):
    """Run a command whose standard output nobody reads, from the beginning."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            command, stdout=writer, cwd=ROOT, env=os.environ, text=True, check=False, timeout=120,
            **kind,
        )  # fmt: skip
    finally:
        os.close(writer)


def test_a_program_without_a_reader_goes_on_and_says_so_by_its_exit_code(tmp_path):
    target = tmp_path / "written"
    done = unread([sys.executable, "-c", WRITES, str(target)], stderr=subprocess.PIPE)
    assert done.returncode == 141
    assert done.stderr == "noise\n" * 1000
    assert target.read_text() == "done"


def test_nobody_reads_errors_either(tmp_path):
    target = tmp_path / "written"
    done = unread([sys.executable, "-c", WRITES, str(target)], stderr=subprocess.STDOUT)
    assert done.returncode == 141
    assert target.read_text() == "done"


def test_a_program_that_is_read_to_its_end_has_its_own_exit_code(tmp_path):
    command = [sys.executable, "-c", WRITES, str(tmp_path / "written")]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1000


QUICK = ["verify", "--quick", "--lengths", "9", "--candidate"]
OWN = "tests/verify/models/own_names.py:MyGPT"


@pytest.mark.parametrize(
    "words",
    [["verify", "--help"], ["verify", "step", "7", "--explain"], ["bench", "--help"],
     ["bench", "run", "--help"], ["reports", "--help"], ["reference", "--help"],
     ["impl", "--help"], ["impl", "info"], ["bench", "--version"]],
    ids=" ".join,
)  # fmt: skip
def test_every_command_line_is_silent_without_a_reader(words):
    done = unread([sys.executable, "-m", *words], stderr=subprocess.PIPE)
    assert done.returncode == 141
    assert done.stderr == ""


def test_a_verification_without_a_reader_leaves_its_page_and_its_json(tmp_path):
    out, file = tmp_path / "run", tmp_path / "out.json"
    words = [*QUICK, OWN, "--out", str(out), "--json", str(file)]
    done = unread([sys.executable, "-m", *words], stderr=subprocess.PIPE)
    assert done.returncode == 141
    assert "Traceback" not in done.stderr
    assert (out / "report.html").is_file()
    assert '"verdict": "PASS"' in file.read_text()
