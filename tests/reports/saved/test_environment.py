"""The environment says what ran, so that a verdict can be tied to code, weights and machine."""

import json
import os

import pytest

from reports.saved.environment import (
    PROGRAM,
    REPOSITORY,
    cgroup_cpus,
    collect,
    default_threads,
    source_sha256,
    usable_cpus,
)


def test_the_environment_is_json_and_has_what_ties_a_verdict_to_its_subject():
    environment = collect(weights_sha256="abc", accelerator="gpu", extra={"model": "tiny"})
    json.dumps(environment, allow_nan=False)
    assert environment["weights_sha256"] == "abc"
    assert environment["accelerator"] == "gpu"
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


@pytest.fixture
def program(tmp_path):
    """A package with a kernel in a folder of its own, and what does not belong to the program."""
    for name in ("model.py", "kernels/tile.mojo", "README.md", "NOTES.md", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("one")
    return tmp_path


@pytest.mark.parametrize("change", ["content", "name", "new file", "removed"])
@pytest.mark.parametrize("file", ["model.py", "kernels/tile.mojo"])
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
    "file", ["README.md", "NOTES.md", "notes.txt", "__pycache__/model.cpython-311.pyc"]
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


@pytest.mark.parametrize("package", ["impl", "bench"])
def test_no_file_of_a_package_that_has_kernels_is_overlooked(package):
    """A file of a new kind is of the program or a document; whoever adds it says which."""
    known = PROGRAM | {".md", ".pyc"}
    kinds = {path.suffix for path in (REPOSITORY / package).rglob("*") if path.is_file()}
    assert ".mojo" in kinds
    assert kinds <= known


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
