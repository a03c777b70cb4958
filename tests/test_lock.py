"""requirements.lock holds what constraints.txt pins, with hashes, for every machine and no CUDA."""

import re
import tomllib
from pathlib import Path
from runpy import run_path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
MACHINES = [
    {
        "python_version": f"3.{minor}", "python_full_version": f"3.{minor}.9",
        "platform_machine": machine, "sys_platform": "linux", "platform_system": "Linux",
        "os_name": "posix", "implementation_name": "cpython",
        "platform_python_implementation": "CPython", "extra": "",
    }
    for minor in (11, 12, 13)
    for machine in ("x86_64", "aarch64")
]  # fmt: skip


def entries():
    """Each entry of the lock, with how many hashes it has."""
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(Requirement(HASH.sub("", line).strip()), len(HASH.findall(line))) for line in lines]


ENTRIES = entries()
LOCKED = {canonicalize_name(entry.name): entry for entry, _ in ENTRIES}


def wanted(file):
    """Requirements of a file and of those that it names."""
    for line in file.read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            yield from wanted(file.parent / text[3:])
        elif text:
            yield Requirement(text)


def here(entry, machine):
    return entry.marker is None or Marker(str(entry.marker)).evaluate(machine)


def test_every_entry_is_one_version_with_hashes():
    assert len(ENTRIES) == len(LOCKED) > 100
    assert all([s.operator for s in entry.specifier] == ["=="] for entry, _ in ENTRIES)
    assert [entry.name for entry, hashes in ENTRIES if not hashes] == []


def test_versions_are_those_of_the_constraints():
    pinned = {canonicalize_name(r.name): r for r in wanted(ROOT / "constraints.txt")}
    assert LOCKED.keys() <= pinned.keys()
    for name, entry in LOCKED.items():
        (version,) = (s.version for s in entry.specifier)
        assert version.removesuffix("+cpu") in str(pinned[name].specifier), name


def test_torch_is_its_cpu_build_and_brings_no_cuda():
    (pinned,) = (r for r in wanted(ROOT / "constraints.txt") if r.name == "torch")
    assert str(LOCKED["torch"].specifier) == f"{pinned.specifier}+cpu"
    assert [name for name in LOCKED if re.match("nvidia|cuda|triton", name)] == []
    wheels = {entry.name: hashes for entry, hashes in ENTRIES}["torch"]
    assert wheels == len(MACHINES)


@pytest.mark.parametrize(
    "machine", MACHINES, ids=[f"{m['python_version']}-{m['platform_machine']}" for m in MACHINES]
)
def test_every_requirement_is_there_for_every_python_and_machine(machine):
    for requirement in wanted(ROOT / ".ci" / "lock.in"):
        if here(requirement, machine):
            assert here(LOCKED[canonicalize_name(requirement.name)], machine), requirement.name


def test_the_machines_are_those_that_the_lock_is_made_for():
    made_for = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["environments"]
    assert all(any(Marker(text).evaluate(machine) for text in made_for) for machine in MACHINES)
    for change in ({"python_version": "3.14"}, {"sys_platform": "darwin"}):
        assert not any(Marker(text).evaluate(MACHINES[0] | change) for text in made_for)


@pytest.mark.parametrize(
    ("packages", "code", "last"),
    [
        ([], 0, "audit: skipped: the service that knows of vulnerabilities cannot be asked here"),
        (
            [{"name": "a", "skip_reason": "not found"}], 0,
            "audit: skipped: the service that knows of vulnerabilities cannot be asked here",
        ),
        (
            [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "no"}], 0,
            "audit: 0 known in 1 packages of requirements.lock; nothing is known of b",
        ),
        (
            [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}], 1,
            "audit: 1 known in 1 packages of requirements.lock",
        ),
    ],
)  # fmt: skip
def test_an_audit_that_could_not_ask_does_not_pass_for_one_that_found_nothing(packages, code, last):
    found, lines = run_path(str(ROOT / ".ci" / "audit.py"))["told"](packages)
    assert (found, lines[-1]) == (code, last)
    assert ("audit: a 1: CVE-1, fixed in 2" in lines) == bool(code)
