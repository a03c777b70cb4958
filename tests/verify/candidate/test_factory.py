import sys

import pytest

from impl.config import PRESETS
from impl.runtime import build, open_device
from verify.candidate.factory import load_factory, named_file
from verify.candidate.guard import CandidateError


def test_a_factory_is_found_in_a_file(tmp_path):
    (tmp_path / "mine.py").write_text("def make(config):\n    return config\n")
    assert load_factory(f"{tmp_path}/mine.py:make")("x") == "x"


def test_a_factory_is_found_in_a_module():
    factory = load_factory("impl.model:GPT2LMHeadModel")
    assert build(PRESETS["tiny"], open_device("cpu"), factory=factory).lm_head is not None


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("model.py", "is not FILE.py:NAME"),
        (":name", "is not FILE.py:NAME"),
        ("nowhere.py:Model", "there is no file nowhere.py"),
        (
            "no_such_package.model:Model",
            "importing no_such_package.model raises ModuleNotFoundError",
        ),
        ("impl.config:Nothing", "has no Nothing"),
        ("impl.config:PRESETS", "neither a class nor a function"),
    ],
)
def test_what_cannot_be_found_is_one_sentence(reference, message):
    with pytest.raises(CandidateError, match=message):
        load_factory(reference)


def test_a_file_that_fails_to_import_is_one_sentence(tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(CandidateError, match=r"importing .*broken.py raises ZeroDivisionError"):
        load_factory(f"{tmp_path}/broken.py:Model")


def test_the_file_is_found_and_nothing_of_it_runs(tmp_path, monkeypatch):
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("1 / 0\n")
    (package / "model.py").write_text("2 / 0\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert named_file("own_package.model:Model") == package / "model.py"
    assert named_file(f"{package}/model.py:Model") == package / "model.py"


@pytest.mark.parametrize("reference", ["no_such:M", "own.no_such:M", "nowhere.py:M", "model.py"])
def test_a_file_that_is_not_there_is_not_found(reference):
    with pytest.raises(CandidateError):
        named_file(reference)
