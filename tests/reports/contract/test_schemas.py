"""The committed schemas are what the types say, and what is really written fits them."""

import json
import os
import subprocess
import sys

import pytest

from reports.__main__ import SCHEMAS, main
from reports.contract.schemas import SOURCES, file_of, schema, text
from reports.saved.answer import write_error
from reports.saved.records import SCHEMA_VERSION
from tests.conforming import file_misfits, misfits, record_misfits
from tests.processes import ROOT


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """A run of the mathematics of a wrong candidate: its folder, and its JSON."""
    folder = tmp_path_factory.mktemp("failing")
    command = [
        sys.executable, "-m", "verify", "--quick", "--regimes", "given", "--lengths", "5",
        "--candidate", "tests/verify/models/gelu_erf.py:model", "--out", str(folder / "run"),
        "--json", str(folder / "out.json"), "-q",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=os.environ, check=False, timeout=300)
    assert done.returncode == 1
    return folder


@pytest.mark.parametrize("name", SOURCES)
def test_a_committed_schema_is_what_the_types_say(name):
    """Where this fails: `python -m reports schema --update`."""
    assert (SCHEMAS / file_of(name)).read_text(encoding="utf-8") == text(name)


def test_no_other_schema_is_committed():
    assert {path.relative_to(SCHEMAS) for path in SCHEMAS.rglob("*.json")} == set(
        map(file_of, SOURCES)
    )


def test_the_format_is_that_of_the_records():
    assert f"format {SCHEMA_VERSION}" in schema("verify")["title"]


def test_the_records_and_the_json_of_a_real_run_fit(failing):
    records = (failing / "run" / "records.jsonl").read_text().splitlines()
    kinds = {json.loads(line)["record"] for line in records}
    assert kinds >= {"run", "check", "finding", "graph", "mutant", "end"}
    assert record_misfits(failing / "run") == []
    assert file_misfits("verify", failing / "out.json") == []


def test_the_published_atlas_fits():
    lines = (ROOT / "reports/published/atlas/architectures.jsonl").read_text().splitlines()
    assert lines
    assert misfits("atlas-records", map(json.loads, lines)) == []


def test_the_published_machines_fit():
    assert record_misfits(ROOT / "reports/published/machines") == []


@pytest.mark.parametrize(
    ("program", "names"),
    [("verify", ["verify", "step", "steps", "campaign", "replay"]), ("bench", ["bench"])],
)
def test_the_json_of_what_could_not_be_run_fits(tmp_path, program, names):
    write_error(tmp_path / "out.json", "no such model", program)
    for name in names:
        assert file_misfits(name, tmp_path / "out.json") == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"verdict": "OK"}, "'OK' is not one of"),
        ({"used": "much"}, "'much'"),
        ({"speed": 1}, "'speed' was unexpected"),
        ({"seed": None}, "None is not of type 'integer'"),
        ({"record": "chek"}, "there is no such record"),
    ],
)
def test_what_does_not_fit_is_told(failing, change, reason):
    records = (failing / "run" / "records.jsonl").read_text().splitlines()
    check = next(one for one in map(json.loads, records) if one["record"] == "check")
    found = misfits("verify-records", [{**check, **change}])
    assert any(reason in one for one in found)
    lacking = {key: value for key, value in check.items() if key != "tap"}
    assert any("'tap' is a required" in one for one in misfits("verify-records", [lacking]))


def test_a_schema_is_printed_and_their_names_are_listed(capsys):
    assert main(["schema", "bench"]) == 0
    assert json.loads(capsys.readouterr().out) == schema("bench")
    assert main(["schema"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(SOURCES)
