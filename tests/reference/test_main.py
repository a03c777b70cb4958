"""`python -m reference`: mistakes are answered in one line, before torch is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reference.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "python -m reference: the following arguments are required: command; see --help\n"),
        (["bake"], "python -m reference: argument command: invalid choice: 'bake'"),
        (["train", "--steps", "0"], "python -m reference train: argument --steps: 0 is not above"),
    ],
)
def test_a_mistake_is_answered_in_one_line_with_exit_code_2(capsys, arguments, sentence):
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(sentence)
    assert printed.err.count("\n") == 1


def test_help_names_the_command_and_what_it_does(capsys):
    with pytest.raises(SystemExit) as raised:
        main(["--help"])
    assert raised.value.code == 0
    assert "make the embedded checkpoint anew" in capsys.readouterr().out


def test_a_mistake_does_not_wait_for_torch():
    program = """
import sys
from reference.__main__ import main
try:
    main([])
except SystemExit as end:
    print(end.code, "torch" in sys.modules)
"""
    # Importing max in this process sets PYTHONEXECUTABLE behind os.environ's back.
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "2 False\n"
