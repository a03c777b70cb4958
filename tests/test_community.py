"""Files that a host of repositories reads: they parse, and what they name is there."""

import json
import re
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from bench.cli import COMMANDS as BENCH_COMMANDS
from verify.options import COMMANDS as VERIFY_COMMANDS

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
FORM = ROOT / ".github" / "ISSUE_TEMPLATE" / "divergence.yml"
DEVCONTAINER = ROOT / ".devcontainer" / "devcontainer.json"
MADE = (".tox", ".cache", "reports/runs")
"""Folders that are there once something has run."""

NAMED = re.compile(r"(?<![\w/.~{}-])(\.?\w[\w.-]*(?:/[\w.-]+)+|\w[\w-]*\.(?:md|txt|toml|lock|cff))")


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def environments():
    """Names of tox's environments."""
    tox = ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    names = [name.removeprefix("testenv:") for name in tox.sections() if ":" in name]
    return {*names, *(f"py3{minor}" for minor in (11, 12, 13))}


def steps():
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def test_the_workflow_calls_what_ci_runs():
    commands = [step["run"] for step in steps() if "run" in step]
    assert "bash .ci/run" in commands
    (cached,) = (step["with"] for step in steps() if "cache@" in step.get("uses", ""))
    where = yaml.safe_load(WORKFLOW.read_text())["env"]["MODULAR_DERIVED_PATH"]
    assert where.endswith(f"/{cached['path']}")
    assert "constraints.txt" in cached["key"]


def test_an_environment_of_tox_that_is_named_is_there():
    texts = [file.read_text() for file in (WORKFLOW, DEVCONTAINER, ROOT / "SECURITY.md")]
    texts += [(ROOT / ".ci" / "run").read_text()]
    found = [name for text in texts for name in re.findall(r"tox -e ([\w,-]+)(?![\w$])", text)]
    named = {name for names in found for name in names.split(",")}
    named -= {"py"}  # of the workflow's matrix
    assert {"locked", "audit", "verify", "bench"} <= named
    assert named <= environments()


def test_the_workflows_pythons_are_promised():
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    minors = {f"3.{minor}" for minor in (11, 12, 13)}
    assert set(jobs["locked"]["strategy"]["matrix"]["python"]) == minors
    tested = {*jobs["pythons"]["strategy"]["matrix"]["python"], "3.11"}
    assert tested == minors
    assert project()["requires-python"] == ">=3.11,<3.14"


@pytest.mark.parametrize(
    "file", [WORKFLOW, FORM, DEVCONTAINER, ROOT / "SECURITY.md", ROOT / "NOTICE"],
    ids=lambda file: file.name,
)  # fmt: skip
def test_a_path_that_is_named_is_there(file):
    text = re.sub(r"https?://\S+|uses: .*|image\": .*|mcr\.\S+", "", file.read_text())
    text = text.replace("../blob/main/", "")
    named = {name.rstrip(".") for name in NAMED.findall(text)}
    named = {name for name in named if not name.startswith(MADE) and "home/vscode" not in name}
    known = {"records.jsonl", "N/A"}
    assert [name for name in sorted(named - known) if not (ROOT / name).exists()] == []


def test_the_form_asks_with_commands_that_there_are():
    form = yaml.safe_load(FORM.read_text())
    assert {"name", "description", "body"} <= form.keys()
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)
    text = FORM.read_text()
    for module, commands in (("verify", VERIFY_COMMANDS), ("bench", BENCH_COMMANDS)):
        words = re.findall(rf"python -m {module} ([a-z]\w*)", text)
        assert words
        assert set(words) <= commands.keys()


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == project()["version"]
    assert citation["license"] == project()["license"]


def test_the_devcontainer_has_a_python_that_is_promised_and_runs_tox():
    container = json.loads(DEVCONTAINER.read_text())
    minor = int(re.search(r"python:3\.(\d+)-", container["image"])[1])
    assert minor in (11, 12, 13)
    assert container["updateContentCommand"].startswith("python3 -m tox -e test")
    assert ".tox/shared/" in DEVCONTAINER.read_text()


@pytest.mark.parametrize(
    "file",
    [
        *sorted(path.name for path in ROOT.glob("requirements*.txt")),
        "verify/steps/book/site/requirements.txt",
    ],
)
def test_the_notice_names_every_requirement_with_its_licence(file):
    notice = dict(
        line.split(maxsplit=1) for line in (ROOT / "NOTICE").read_text().splitlines()
        if re.match(r"[\w-]+ {2,}\S", line)
    )  # fmt: skip
    lines = [line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    names = [Requirement(line).name for line in lines if line and not line.startswith("-")]
    assert names
    assert [name for name in names if name not in notice] == []


def test_security_says_what_a_candidate_can_do():
    text = (ROOT / "SECURITY.md").read_text()
    assert "## What a candidate can do" in text
    assert "runs as you" in text
