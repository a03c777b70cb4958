"""Runs are read once: what is kept of them is what they say."""

import json
import shutil

import pytest

from reports.history import kept
from reports.history.kept import FILE, read_entries
from tests.reports.conftest import benchmark, endpoint_run, verification, write_run


@pytest.fixture
def read(monkeypatch):
    """The folders that were read, in the order of reading."""
    names = []
    real = kept.read_entry

    def counting(folder):
        names.append(folder.name)
        return real(folder)

    monkeypatch.setattr(kept, "read_entry", counting)
    return names


@pytest.fixture
def root(tmp_path):
    for kind, made in (("bench", benchmark()), ("verify", verification()),
                       ("endpoint", endpoint_run())):  # fmt: skip
        write_run(tmp_path, kind, *made)
    return tmp_path


def test_a_run_is_read_once_and_says_the_same_from_what_is_kept(root, read):
    first = read_entries(root / "runs")
    assert len(read) == 3
    assert read_entries(root / "runs") == first
    assert len(read) == 3
    assert {entry.kind for entry in first} == {"bench", "verify", "endpoint"}
    assert all(entry.lines for entry in first if entry.kind != "endpoint")


def test_a_run_that_changed_is_read_again_and_no_other(root, read):
    entries = read_entries(root / "runs")
    changed = entries[0].folder
    read.clear()
    with (root / "runs" / changed / "records.jsonl").open("a") as file:
        file.write(json.dumps({"record": "problem", "part": "a picture", "error": "none"}) + "\n")
    read_entries(root / "runs")
    assert read == [changed]


def test_a_run_that_is_gone_is_forgotten(root):
    gone = read_entries(root / "runs")[0].folder
    shutil.rmtree(root / "runs" / gone)
    assert gone not in {entry.folder for entry in read_entries(root / "runs")}
    assert gone not in (root / FILE).read_text()


def test_another_program_reads_all_of_them_again(root, read, monkeypatch):
    read_entries(root / "runs")
    read.clear()
    monkeypatch.setattr(kept, "program_sha256", lambda: "another")
    read_entries(root / "runs")
    assert len(read) == 3


@pytest.mark.parametrize("damage", ["", "{", '{"size": "x"}\n', "\x00\xff"])
def test_what_is_kept_and_cannot_be_read_costs_reading_again_alone(root, read, damage):
    first = read_entries(root / "runs")
    (root / FILE).write_text(damage)
    read.clear()
    assert read_entries(root / "runs") == first
    assert len(read) == 3
