"""The environment says what ran, so that a verdict can be tied to code, weights and machine."""

import ast
import json
import os
import shutil
import subprocess
import tomllib

import pytest

from reports.saved.environment import (
    NOT_PROGRAM,
    REPOSITORY,
    cgroup_cpus,
    collect,
    default_threads,
    judge_sha256,
    own_state,
    source_sha256,
    usable_cpus,
)


def test_the_environment_is_json_and_has_what_ties_a_verdict_to_its_subject():
    environment = collect(weights_sha256="abc", accelerator="gpu", extra={"model": "tiny"})
    json.dumps(environment, allow_nan=False)
    assert environment["weights_sha256"] == "abc"
    assert environment["accelerator"]
    assert environment["judge_sha256"] != environment["impl_sha256"]
    assert environment["model"] == "tiny"
    assert environment["versions"]["numpy"]
    assert len(environment["impl_sha256"]) == 64
    assert environment["memory_bytes"] > 0


def test_extra_entries_win():
    assert collect(extra={"threads": 99})["threads"] == 99


def test_a_package_that_is_missing_has_no_version(monkeypatch):
    monkeypatch.setattr("reports.saved.environment.PACKAGES", ("no-such-package",))
    assert collect()["versions"]["no-such-package"] is None


def test_outside_git_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    environment = collect()
    assert environment["commit"] is None
    assert environment["dirty"] is None


def git(folder, *words):
    who = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode().strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_the_users_and_the_tool_has_its_own(monkeypatch, tmp_path):
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "First")
    monkeypatch.chdir(tmp_path)
    environment = collect()
    assert environment["commit"] == git(tmp_path, "rev-parse", "HEAD")
    assert environment["dirty"] is False
    assert environment["tool"]["commit"] != environment["commit"]
    (tmp_path / "model.py").touch()
    assert collect()["dirty"] is True


def test_a_clone_has_the_version_of_its_project_file():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert own_state()["version"] == project["version"]


def test_an_installed_tool_has_the_commit_that_pip_fetched(monkeypatch, tmp_path):
    info = tmp_path / "max_parity-9.8.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: max-parity\nVersion: 9.8\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("reports.saved.environment.CLONE", False)
    assert own_state() == {"version": "9.8", "commit": None, "dirty": None}
    told = {"url": "https://example.com/it.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
    (info / "direct_url.json").write_text(json.dumps(told))
    assert own_state() == {"version": "9.8", "commit": "abc", "dirty": None}


OF_THE_PROGRAM = ["model.py", "kernels/tile.mojo", "kernels/tile.🔥", "table.json", "scales.npz"]


@pytest.fixture
def program(tmp_path):
    """A package with a kernel in a folder of its own, and what does not belong to the program."""
    for name in (*OF_THE_PROGRAM, "README.md", "NOTES.md", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("one")
    return tmp_path


@pytest.mark.parametrize("change", ["content", "name", "new file", "removed"])
@pytest.mark.parametrize("file", OF_THE_PROGRAM)
def test_every_change_of_the_program_changes_its_hash(program, file, change):
    before, path = source_sha256(program), program / file
    match change:
        case "content":
            path.write_text("two")
        case "name":
            path.rename(path.with_stem("other"))
        case "new file":
            path.with_stem("other").touch()
        case "removed":
            path.unlink()
    assert source_sha256(program) != before


@pytest.mark.parametrize(
    "file",
    [
        "README.md",
        "NOTES.md",
        "notes.txt",
        "__pycache__/model.cpython-311.pyc",
        ".model.py.swp",
        "model.py~",
    ],
)
def test_what_is_not_of_the_program_does_not_change_its_hash(program, file):
    before = source_sha256(program)
    (program / file).parent.mkdir(exist_ok=True)
    (program / file).write_text("two")
    assert source_sha256(program) == before


def test_what_moves_between_files_changes_the_hash(tmp_path):
    """The hash is of names and sizes too, not of one long text."""
    (tmp_path / "a.py").write_text("12")
    (tmp_path / "b.py").write_text("3")
    before = source_sha256(tmp_path)
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "b.py").write_text("23")
    assert source_sha256(tmp_path) != before


def kinds_of(package):
    """One file of each kind that is there, by its suffix."""
    files = (path for path in (REPOSITORY / package).rglob("*") if path.is_file())
    return {path.suffix: path for path in files}


@pytest.mark.parametrize("kind", sorted(kinds_of("impl").keys() - NOT_PROGRAM))
def test_an_edit_of_each_kind_of_file_of_impl_changes_its_hash(tmp_path, kind):
    copy = tmp_path / "impl"
    shutil.copytree(REPOSITORY / "impl", copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert source_sha256(copy) == source_sha256(REPOSITORY / "impl")
    edited = copy / kinds_of("impl")[kind].relative_to(REPOSITORY / "impl")
    edited.write_bytes(edited.read_bytes() + b"\n")
    assert source_sha256(copy) != source_sha256(REPOSITORY / "impl")


def test_the_kinds_of_files_of_impl_are_known():
    """A file of a new kind is of the program or a document; whoever adds it says which."""
    assert kinds_of("impl").keys() - {".pyc"} == {".py", ".mojo", ".md"}


def test_impl_computes_with_its_own_code_alone():
    """What else it takes of this repository reads, says or waits; it computes nothing."""
    files = (REPOSITORY / "impl").glob("*.py")
    taken = {
        node.module
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom)
        and str(node.module).startswith(("reference", "reports", "verify", "bench"))
    }
    assert taken == {
        "reference.checkpoint", "reference.load", "reports.commands", "reports.program",
        "reports.saved.environment", "reports.saved.machine", "reports.waiting",
    }  # fmt: skip


def test_the_judge_has_a_hash_of_its_own():
    assert judge_sha256() == judge_sha256() != source_sha256(REPOSITORY / "verify")


def cgroup(tmp_path, membership, files):
    (tmp_path / "membership").write_text(membership)
    for name, text in files.items():
        path = tmp_path / "cgroups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return cgroup_cpus(tmp_path / "cgroups", tmp_path / "membership")


@pytest.mark.parametrize(
    ("membership", "files", "cpus"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n"}, None),
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "150000 100000"}, 1.5),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 0.5),
        (
            "3:cpu,cpuacct:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "9"},
            None,
        ),
        (
            "3:cpu,cpuacct:/a\n0::/\n",
            {"cpu/a/cpu.cfs_quota_us": "200000\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
            2.0,
        ),
        ("0::/gone\n", {}, None),
    ],
)
def test_the_smallest_quota_on_the_way_up_counts(tmp_path, membership, files, cpus):
    assert cgroup(tmp_path, membership, files) == cpus


def test_threads_are_at_least_one_and_at_most_the_usable_cpus(monkeypatch):
    assert 1 <= default_threads() <= len(usable_cpus()) <= (os.cpu_count() or 1)
    monkeypatch.setattr("reports.saved.environment.cgroup_cpus", lambda: 0.5)
    assert default_threads() == 1
