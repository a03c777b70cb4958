"""The environment says what ran, so that a verdict can be tied to code, weights and machine."""

import json
import os

import pytest

from reports.saved.environment import (
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
    monkeypatch.setattr("reports.saved.environment.REPOSITORY", tmp_path)
    environment = collect()
    assert environment["commit"] is None
    assert environment["dirty"] is None


@pytest.mark.parametrize("change", ["content", "name", "new file"])
def test_every_change_of_the_code_changes_its_hash(tmp_path, change):
    (tmp_path / "a.py").write_text("one")
    (tmp_path / "notes.txt").write_text("no code")
    before = source_sha256(tmp_path)
    (tmp_path / "notes.txt").write_text("changed")
    assert source_sha256(tmp_path) == before
    match change:
        case "content":
            (tmp_path / "a.py").write_text("two")
        case "name":
            (tmp_path / "a.py").rename(tmp_path / "b.py")
        case _:
            (tmp_path / "c.py").write_text("")
    assert source_sha256(tmp_path) != before


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
