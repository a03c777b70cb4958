"""A process of the harness finds our folders first, the user's path after them."""

import os
from pathlib import Path

from verify.api.harness import code_folder, command, environment, own_version

ROOT = Path(__file__).parents[3]


def test_the_folders_are_those_of_the_clone():
    assert code_folder() == ROOT
    assert all((code_folder() / name).is_dir() for name in ("verify", "bench", "reports"))


def test_ours_comes_first_once_and_the_users_own_path_after_it(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/of/the/user", str(ROOT), "", "/other"]))
    path = environment()["PYTHONPATH"].split(os.pathsep)
    assert path == [str(ROOT), "/of/the/user", "/other"]


def test_children_of_the_harness_leave_the_working_directory_out_too():
    assert environment()["PYTHONSAFEPATH"] == "1"
    assert "-P" in command(["verify"])


def test_a_clone_has_the_version_of_its_own_project_file():
    assert f'version = "{own_version()}"' in (ROOT / "pyproject.toml").read_text()
