"""One range of Python versions, wherever it is written; tox itself is not there to be imported."""

import ast
import re
import tomllib
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[1]


def promised():
    """The minor versions of Python 3 in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    low, end = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"]).groups()
    return list(range(int(low), int(end)))


def test_tox_refuses_every_python_but_the_promised_ones():
    (bounds,) = [
        ast.literal_eval(node.value)
        for node in ast.parse((ROOT / "toxfile.py").read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "(OLDEST, NEWEST)"
    ]
    assert bounds == ((3, promised()[0]), (3, promised()[-1]))
    assert (
        f"Python 3.{promised()[0]} to 3.{promised()[-1]} is needed"
        in (ROOT / "toxfile.py").read_text()
    )


def test_there_is_an_environment_for_each_promised_python():
    tox = ConfigParser()
    tox.read(ROOT / "tox.ini")
    versions = ",".join(map(str, promised()))
    assert f"testenv:py3{{{versions}}}" in tox.sections()
    assert tox["tox"]["skip_missing_interpreters"] == "true"
