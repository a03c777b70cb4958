"""What tox is told: one range of Pythons, wherever it is written, and where torch comes from.

tox itself is not there to be imported.
"""

import ast
import re
import sys
import threading
import tomllib
from configparser import ConfigParser
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from runpy import run_path

import pytest

ROOT = Path(__file__).parents[1]
PIP = [sys.executable, "-m", "pip", "install"]


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


@pytest.fixture
def served(tmp_path):
    """An index of packages in a folder, on this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_torch_is_looked_for_in_the_index_of_its_cpu_builds_where_that_answers(served, tmp_path):
    command = run_path(str(ROOT / ".ci" / "install.py"))["command"]
    assert command(["torch"], served) == [*PIP, "torch"]  # it answers, and has none
    (tmp_path / "torch").mkdir()
    assert command(["torch"], served) == [*PIP, "--extra-index-url", served, "torch"]


@pytest.mark.parametrize("index", ["", "http://127.0.0.1:9/", "nonsense"])
def test_without_that_index_pip_takes_torch_from_where_it_takes_the_rest(index):
    assert run_path(str(ROOT / ".ci" / "install.py"))["command"](["-U", "x"], index) == [
        *PIP, "-U", "x",
    ]  # fmt: skip


def test_every_environment_installs_by_that_way():
    tox = ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    commands = [section["install_command"] for section in tox.values()
                if "install_command" in section]  # fmt: skip
    assert len(commands) == 2
    assert all(command.startswith("python {tox_root}/.ci/install.py ") for command in commands)


def test_the_plan_for_a_gpu_is_asked_before_anything_is_installed():
    tox = ConfigParser()
    tox.read(ROOT / "tox.ini")
    gpu = tox["testenv:gpu"]
    assert gpu["deps"] == ""
    assert gpu["commands"].startswith("python -m bench.commands.gpu_plan --install")
