"""A candidate is all code that computes it: its own files, found without running any."""

import sys
from pathlib import Path

import pytest

from verify.candidate.guard import CandidateError
from verify.candidate.own_files import (
    changed,
    changed_beside,
    digest,
    files_of,
    is_own,
    table_of,
    table_of_candidate,
    table_of_package,
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes files below a folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


MODEL = {"model.py": "from layers import Block\n1 / 0\n", "layers.py": "Block = 1\n"}


def test_a_file_beside_the_named_one_is_the_candidates_and_nothing_of_it_runs(project):
    project(MODEL)
    assert list(table_of_candidate("model.py:GPT")) == ["model.py", "layers.py"]


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("import layers", {"layers.py": ""}),
        ("import parts.norm as n", {"parts/__init__.py": "", "parts/norm.py": ""}),
        ("from parts import norm", {"parts/__init__.py": "", "parts/norm.py": ""}),
        ("from parts.norm import N", {"parts/__init__.py": "", "parts/norm.py": ""}),
        ("import spaces.norm", {"spaces/norm.py": ""}),
        ("import spaces.deep.down.norm", {"spaces/deep/down/norm.py": ""}),
        ("from parts import *", {"parts/__init__.py": "from .norm import *", "parts/norm.py": ""}),
        ("from parts import N", {"parts/__init__.py": "from . import norm", "parts/norm.py": ""}),
        ("def f():\n    import layers", {"layers.py": ""}),
        ("import importlib\nimportlib.import_module('layers')", {"layers.py": ""}),
        ("import a", {"a.py": "import b", "b.py": "import a"}),
        ("import reports", {"reports/__init__.py": ""}),
        ("K = 'kernels'", {"kernels/__init__.mojo": "", "kernels/deep/gelu.mojo": ""}),
        ("K = 'kernels/gelu.mojo'", {"kernels/gelu.mojo": ""}),
    ],
)  # fmt: skip
def test_every_way_to_take_another_file_is_found(project, text, more):
    folder = project({"model.py": text, "other.py": "", "notes/kernels.txt": "", **more})
    assert set(files_of(Path("model.py"))) == {folder / "model.py", *(folder / n for n in more)}


@pytest.mark.parametrize(
    "text",
    ["import numpy, json", "import max.graph", "from impl import model", "import verify.run",
     "import no_such_module", "from . import no_such", "K = '/'", "K = 'notes'", "K = ''",
     "this is no Python"],
)  # fmt: skip
def test_what_is_installed_pythons_or_this_tools_is_not_its_own(project, text):
    folder = project({"model.py": text, "notes/a.txt": ""})
    assert files_of(Path("model.py")) == [folder / "model.py"]


def test_a_module_is_found_where_python_would_find_it(project, monkeypatch):
    folder = project({"src/mine/__init__.py": "1 / 0", "src/mine/model.py": "from .layers import X",
                      "src/mine/layers.py": ""})  # fmt: skip
    monkeypatch.setattr(sys, "path", [str(folder / "src"), *sys.path])
    table = table_of_candidate("mine.model:GPT")
    assert set(table) == {"src/mine/__init__.py", "src/mine/model.py", "src/mine/layers.py"}


def test_the_named_file_counts_wherever_it_lies():
    assert list(table_of_candidate("impl.model:GPT2LMHeadModel")) == ["impl/model.py"]


def test_the_pairing_file_is_the_candidates_once_it_is_there(project):
    project({**MODEL, "pairing.toml": ""})
    assert "pairing.toml" in table_of_candidate("model.py:GPT", Path("pairing.toml"))
    assert "later.toml" not in table_of_candidate("model.py:GPT", Path("later.toml"))


def test_an_architecture_package_is_all_of_its_files(project):
    project({"package/__init__.py": "", "package/deep/model.py": "import beside",
             "package/README.md": "", "beside.py": "", "package/k/gelu.mojo": ""})  # fmt: skip
    assert set(table_of_package(Path("package"))) == {
        "package/__init__.py", "package/deep/model.py", "beside.py", "package/k/gelu.mojo",
    }  # fmt: skip


def test_a_candidate_that_is_not_there_is_one_sentence():
    with pytest.raises(CandidateError, match="there is no file nowhere"):
        table_of_candidate("nowhere.py:GPT")


# ---- tables


def test_an_edit_of_any_file_changes_the_hash_and_is_named(project):
    folder = project(MODEL)
    table = table_of_candidate("model.py:GPT")
    assert changed(table) == []
    (folder / "layers.py").write_text("Block = 2\n")
    assert changed(table) == ["layers.py"]
    assert digest(table_of_candidate("model.py:GPT")) != digest(table)
    (folder / "layers.py").unlink()
    assert changed(table) == ["layers.py"]


def test_the_hash_does_not_depend_on_the_working_directory_or_on_the_order(project, monkeypatch):
    folder = project({f"deep/{name}": text for name, text in MODEL.items()})
    outside = table_of_candidate("deep/model.py:GPT")
    monkeypatch.chdir(folder / "deep")
    inside = table_of_candidate("model.py:GPT")
    assert set(outside) != set(inside)
    assert digest(dict(reversed(inside.items()))) == digest(inside)
    monkeypatch.chdir(folder)
    assert digest(outside) == digest(inside)


def test_two_files_that_change_places_are_another_candidate(project):
    project({"a.py": "1", "b.py": "2"})
    one = table_of(["a.py", "b.py"])
    project({"a.py": "2", "b.py": "1"})
    assert digest(table_of(["a.py", "b.py"])) != digest(one)


def test_a_project_that_was_moved_as_a_whole_is_the_same_candidate(project, monkeypatch):
    folder = project({f"here/{name}": text for name, text in MODEL.items()})
    monkeypatch.chdir(folder / "here")
    table = table_of_candidate("model.py:GPT")
    monkeypatch.chdir(folder)
    (folder / "here").rename(folder / "there")
    assert changed_beside(table, Path("there/model.py")) == []
    (folder / "there" / "layers.py").write_text("Block = 2\n")
    assert changed_beside(table, Path("there/model.py")) == ["layers.py"]
    assert changed_beside(table, Path("there/other.py")) == ["model.py", "layers.py"]


def test_files_outside_of_the_working_directory_have_absolute_names(project, monkeypatch):
    folder = project({**MODEL, "work/here.txt": ""})
    monkeypatch.chdir(folder / "work")
    table = table_of_candidate("../model.py:GPT")
    assert changed_beside(table, folder / "model.py") == []
    (folder / "layers.py").write_text("Block = 2\n")
    assert len(changed_beside(table, folder / "model.py")) == 1


def test_whose_a_file_is():
    assert is_own(Path(__file__))
    assert not is_own(Path(pytest.__file__))
    assert not is_own(Path(sys.modules["json"].__file__))
    assert not is_own(Path(sys.modules["verify.candidate.guard"].__file__))
