"""Runs go where the user asks; else to the clone, or to where he works once it is installed."""

from pathlib import Path

import pytest

from reports.saved import home
from reports.saved.home import REPOSITORY, make_root, published_root, runs_root
from reports.saved.records import RecordsError, RunWriter


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """As the code finds itself in a wheel; the working directory is the user's."""
    monkeypatch.delenv("MAX_PARITY_RUNS", raising=False)
    monkeypatch.setattr(home, "CLONE", False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_a_run(**where):
    with RunWriter("verify", command=["verify"], environment={}, **where) as writer:
        return writer.folder


def test_a_clone_keeps_its_runs(monkeypatch):
    monkeypatch.delenv("MAX_PARITY_RUNS", raising=False)
    assert runs_root() == REPOSITORY / "reports" == published_root()


def test_an_installed_tool_writes_into_the_working_directory_and_git_does_not_see_it(installed):
    folder = write_a_run()
    assert folder.parent == installed / ".max-parity" / "runs"
    assert (installed / ".max-parity" / ".gitignore").read_text() == "*\n"
    assert (installed / ".max-parity" / "latest" / "verify").resolve() == folder
    assert published_root() == installed


@pytest.mark.parametrize("clone", [True, False])
def test_the_variable_names_another_folder(monkeypatch, installed, clone):
    monkeypatch.setattr(home, "CLONE", clone)
    monkeypatch.setenv("MAX_PARITY_RUNS", str(installed / "mine"))
    assert write_a_run().parent == installed / "mine" / "runs"
    assert (installed / "mine" / ".gitignore").is_file()


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path):
    make_root(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_of_a_run_that_names_its_own_folder_only_its_place_is_remembered(installed):
    write_a_run(out=installed / "own")
    assert {path.name for path in installed.iterdir()} == {"own", ".max-parity"}
    kept = {path.name for path in (installed / ".max-parity").iterdir()}
    assert kept == {".gitignore", "known_runs.jsonl"}


def test_a_place_that_cannot_be_written_is_one_sentence(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MAX_PARITY_RUNS", str(tmp_path / "file" / "runs"))
    with pytest.raises(RecordsError, match="cannot be made"):
        write_a_run()


def test_a_home_directory_may_be_written_short(monkeypatch):
    monkeypatch.setenv("MAX_PARITY_RUNS", "~/runs")
    assert runs_root() == Path.home() / "runs"
