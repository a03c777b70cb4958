"""The wheel alone, in an environment of its own, in a user's repository that is nowhere near ours.

The repository is `tests/sample_repository`: a model of two files, one of them in a package called
`reports`, as one of our own folders is.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
FOLDERS = ("impl", "reference", "verify", "bench", "reports")
ACTION = ROOT / ".github" / "actions" / "max-parity"
SAMPLE = ROOT / "tests" / "sample_repository"
FEW = ["--quick", "--regimes", "given", "--lengths", "1,5", "--batch", "2"]

pytestmark = pytest.mark.wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Built from a copy, so that nothing is left in the repository."""
    source, built = (tmp_path_factory.mktemp(name) for name in ("source", "built"))
    unwanted = shutil.ignore_patterns("__pycache__", "runs", "latest")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=unwanted)
    for file in ROOT.iterdir():
        if file.is_file() and not file.name.startswith("."):
            shutil.copy(file, source)
    as_it_is = ["--no-build-isolation"] if builds_here() else []  # else pip fetches setuptools
    pip("wheel", "--no-deps", *as_it_is, "-w", built, source)
    (made,) = built.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def commands(wheel, tmp_path_factory):
    """The folder of commands of an environment with the wheel, and the packages of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    pip("--python", folder / "bin" / "python", "install", "--no-deps", wheel)
    assert (folder / "bin" / "max-parity").is_file(), "pip installed it somewhere else"
    packages = next(folder.glob("lib/python*/site-packages"))
    ours = sysconfig.get_path("purelib")
    (packages / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    return folder / "bin"


@pytest.fixture
def repository(tmp_path):
    """The sample, committed once."""
    folder = shutil.copytree(SAMPLE, tmp_path / "sample")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "First"]):
        who = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *who, *words], cwd=folder, check=True)
    return folder


def builds_here():
    """Whether this environment has what pyproject.toml asks for to build."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (needed,) = map(Requirement, project["build-system"]["requires"])
    try:
        return version(needed.name) in needed.specifier
    except PackageNotFoundError:
        return False


def pip(*words):
    """Run pip, quietly."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    # Importing max in this process sets PYTHONEXECUTABLE behind os.environ's back, by which another
    # environment's Python would take itself for this one, and install here.
    subprocess.run([*command, *map(str, words)], env=os.environ, check=True)


def run(folder, command, *words, **variables):
    """Run a command of the environment in a folder, with nothing of ours in its environment."""
    left = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MAX_PARITY_RUNS")}
    return subprocess.run(
        [command, *map(str, words)], cwd=folder, env={**left, **variables}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


def git(folder, *words):
    return run(folder, "git", *words).stdout.strip()


def test_a_model_of_two_files_passes_and_the_run_stays_in_its_repository(commands, repository):
    done = run(repository, commands / "max-parity", "verify", "--candidate",
               "my_model.py:MyGPT2", *FEW)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Verdict: PASS" in done.stdout
    (records,) = repository.glob(".max-parity/runs/*/records.jsonl")
    environment = json.loads(records.read_text().splitlines()[0])["environment"]
    assert environment["commit"] == git(repository, "rev-parse", "HEAD")
    assert environment["dirty"] is False
    assert environment["tool"]["version"]
    assert git(repository, "status", "--porcelain") == ""
    pages = run(repository, commands / "max-parity", "reports")
    assert pages.returncode == 0, pages.stderr
    assert ".max-parity/index.html" in pages.stdout


def test_pytest_has_a_test_for_each_place_and_python_a_result(commands, repository):
    done = run(repository, commands / "python", "-m", "pytest", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS, not compiled: my_model.py:MyGPT2, tiny" in done.stdout


def test_the_action_shows_a_mistake_in_the_second_file_at_its_line(commands, repository, tmp_path):
    layers = repository / "reports" / "layers.py"
    layers.write_text(layers.read_text().replace('approximate="tanh"', 'approximate="none"'))
    lines = layers.read_text().splitlines()
    at = next(number for number, line in enumerate(lines, 1) if 'approximate="none"' in line)
    done = run(
        repository, "bash", ACTION / "verify.sh",
        PATH=f"{commands}:{os.environ['PATH']}", CANDIDATE="my_model.py:MyGPT2",
        OPTIONS=" ".join(FEW), GITHUB_WORKSPACE=str(repository),
        GITHUB_OUTPUT=str(tmp_path / "output"), GITHUB_STEP_SUMMARY=str(tmp_path / "summary"),
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"\n::error file=reports/layers.py,line={at},title=" in done.stdout
    output = dict(line.split("=") for line in (tmp_path / "output").read_text().splitlines())
    assert output["verdict"] == "FAIL"
    assert (Path(output["run"]) / "report.html").is_file()
    assert "Diagnosis" in (tmp_path / "summary").read_text()


def test_a_step_is_begun_explained_and_checked(commands, tmp_path):
    step = [commands / "max-parity", "verify", "step"]
    assert "By hand" in run(tmp_path, *step, "12", "--explain").stdout
    assert run(tmp_path, *step, "12", "--scaffold", "step_12.py").returncode == 0
    done = run(tmp_path, *step, "12", "step_12.py", "--quick")
    assert "TODO 1 (the scores of the next token of each row) is open" in " ".join(
        done.stdout.split()
    )


def test_the_command_and_its_words_are_there(commands, tmp_path):
    assert "verify diff" in run(tmp_path, commands / "max-parity").stdout
    assert run(tmp_path, commands / "max-parity", "--version").stdout.startswith("max-parity 0")
    done = run(tmp_path, commands / "max-parity", "bench", "--help")
    assert done.stdout.startswith("usage: max-parity bench ")
