"""A record or a file that is not as the run wrote it is caught."""

import json

import pytest

from reports.output.render import render
from reports.saved.manifest import FILE, differences, read
from reports.saved.records import RECORDS, RunWriter


@pytest.fixture
def run(tmp_path):
    """A whole run with a file beside its records, and its page."""
    check = {"record": "check", "mode": "isolated", "case": "a", "tap": "t", "used": 0.4,
             "verdict": "FAIL"}  # fmt: skip
    out = tmp_path / "run"
    with RunWriter("verify", command=[], environment={}, out=out, root=tmp_path) as writer:
        writer.write(check)
        (out / "artefacts.npz").write_bytes(b"arrays")
        writer.finish({"verdict": "FAIL"})
    render(out)
    return out


def told(folder):
    return differences(folder, RECORDS)


def test_a_run_is_as_it_was_written(run):
    assert told(run) == []
    assert set(read(run)["files"]) == {RECORDS, "artefacts.npz"}
    assert "report.html" in read(run)["made"]


@pytest.mark.parametrize("file", [RECORDS, "artefacts.npz", "report.html", "checks.csv"])
def test_a_changed_file_is_named_and_so_is_one_that_is_gone(run, file):
    path = run / file
    content = path.read_bytes()
    path.write_bytes(content[:-2] + b"x\n")
    assert told(run) == [f"{file} is not as the run wrote it"]
    path.unlink()
    assert told(run) == [f"{file} is gone"]


def test_a_fail_that_is_made_a_pass_is_caught_also_after_the_page_is_made_again(run):
    path = run / RECORDS
    path.write_text(path.read_text().replace("FAIL", "PASS"))
    render(run)
    assert told(run) == [f"{RECORDS} is not as the run wrote it"]


def test_a_second_end_is_caught(run):
    with (run / RECORDS).open("a") as file:
        file.write(json.dumps({"record": "end", "verdict": "PASS"}) + "\n")
    assert told(run) == [f"{RECORDS} has records after its end"]


def test_what_could_not_be_made_of_a_run_may_stand_after_its_end(run):
    with (run / RECORDS).open("a") as file:
        file.write(json.dumps({"record": "problem", "part": "page", "error": "none"}) + "\n")
    assert told(run) == []


def test_a_run_that_was_interrupted_has_no_manifest_and_that_is_said(tmp_path):
    out = tmp_path / "run"
    with RunWriter("verify", command=[], environment={}, out=out, root=tmp_path) as writer:
        writer.write({"record": "check"})
    assert not (out / FILE).exists()
    (sentence,) = told(out)
    assert "it was interrupted" in sentence
