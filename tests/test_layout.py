"""The repository is laid out so that its packages, and no others of their names, are imported."""

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from verify.__main__ import MADE_FOR

ROOT = Path(__file__).parents[1]
BARE_IMPORT = re.compile(r"^\s*import max\s*(#.*)?$", re.MULTILINE)


@pytest.mark.parametrize("package", ["impl", "reference", "verify", "bench", "reports"])
def test_a_package_is_the_one_in_this_repository(package):
    """The names are so common that an installed package could stand in front of them."""
    spec = find_spec(package)
    assert spec is not None
    places = list(spec.submodule_search_locations or [])
    assert places
    assert all(Path(place).resolve() == ROOT / package for place in places)


def requirement_lines(file):
    lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("-")]


def test_every_requirement_is_pinned():
    pins = [Requirement(line) for line in requirement_lines(ROOT / "constraints.txt")]
    assert all([s.operator for s in pin.specifier] == ["=="] for pin in pins)
    assert not [str(pin) for pin in pins if "*" in str(pin.specifier)]
    pinned = {canonicalize_name(pin.name) for pin in pins}
    assert len(pinned) == len(pins)
    files = [*ROOT.glob("requirements*.txt"), *(ROOT / "verify").rglob("requirements*.txt")]
    assert ROOT / "requirements.txt" in files
    assert ROOT / "verify" / "steps" / "book" / "site" / "requirements.txt" in files
    for file in files:
        names = {canonicalize_name(Requirement(line).name) for line in requirement_lines(file)}
        assert names, file.name
        assert names <= pinned, f"{file.name}: {names - pinned} not pinned"


def test_an_installation_brings_a_max_that_this_works_with():
    """pip takes an older one, where that is easier to fit with all else."""
    lines = map(Requirement, requirement_lines(ROOT / "requirements.txt"))
    (modular,) = [line for line in lines if line.name == "modular"]
    assert str(modular.specifier) == f">={MADE_FOR}"


def test_no_file_imports_max_under_its_bare_name():
    """It would hide Python's own max() from the rest of the module."""
    if not (ROOT / ".git").exists():
        pytest.skip("the list of files is git's")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    names = [name for name in listed.split("\0") if name and name != "LICENSE"]
    assert "pyproject.toml" in names
    texts = {name: text for name in names if (text := text_of(ROOT / name)) is not None}
    assert not [name for name, text in texts.items() if BARE_IMPORT.search(text)]


def text_of(file):
    """The file's text, or None for one that is no text or was deleted."""
    try:
        return file.read_text(encoding="utf-8")
    except (UnicodeDecodeError, FileNotFoundError):
        return None


def test_a_bare_import_would_be_found():
    bare = "import " + "max"
    assert BARE_IMPORT.search(f"import os\n    {bare}  # why not\n")
    assert not BARE_IMPORT.search(f"{bare}imum\nfrom max import dtype\n{bare}.graph as g\n")
