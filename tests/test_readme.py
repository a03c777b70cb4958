"""README's tree names every room and top-level file of the packages, and nothing else."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("impl", "reference", "verify", "bench", "reports")
UNNAMED = {"__init__.py", "__main__.py", "conftest.py", "__pycache__"}
"""Files that every package has."""

MADE = {"runs", "latest", "index.html"}
"""What runs leave in reports/."""

NAME = re.compile(r"[\w-]+(?:\.(?:py|md|txt|ini)|/)")


def tree():
    """Each package's entries, as README's tree has them: `{"impl": ["model.py", "kernels/"]}`."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = text.partition("## Files")[2].split("```")[1]
    found, package = {}, ""
    for line in block.strip().splitlines():
        names = NAME.findall(line)
        if line.startswith(" "):
            found[package] += names
        else:
            package = names[0].rstrip("/")
            found[package] = []
    return found


def entries(package):
    """What stands at the top of a package."""
    files = [path for path in (ROOT / package).iterdir() if path.name not in UNNAMED | MADE]
    return {f"{path.name}/" if path.is_dir() else path.name for path in files}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tree_names_every_room_and_file_at_the_top_of_a_package(package):
    sources = {name for name in entries(package) if name.endswith((".py", "/"))}
    assert sorted(sources - set(tree()[package])) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tree_names_nothing_that_is_not_there(package):
    assert sorted(set(tree()[package]) - entries(package)) == []


def test_what_stands_at_the_top_is_there():
    assert set(PACKAGES) < set(tree())
    assert [name for name in tree() if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md", "verify/README.md",
                                  "verify/GUIDE.md", "verify/candidate/README.md",
                                  "verify/package/README.md", "verify/steps/README.md",
                                  "bench/README.md"])  # fmt: skip
def test_a_file_or_module_that_a_document_names_is_there(file):
    """Paths with a folder, relative to the document, to the package or to the repository."""
    text = (ROOT / file).read_text(encoding="utf-8")
    names = {*re.findall(r"`([\w-]+(?:/[\w-]+)+(?:\.(?:py|md|mojo|toml))?)/?`", text)}
    names |= {name for name in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text) if name}
    folders = (ROOT, (ROOT / file).parent)
    assert [n for n in sorted(names) if not any((f / n).exists() for f in folders)] == []


@pytest.mark.parametrize("command", ["verify", "bench", "reports", "reference", "impl"])
def test_a_module_that_a_document_runs_is_there(command):
    texts = [path.read_text(encoding="utf-8") for path in ROOT.glob("*.md")]
    texts += [path.read_text(encoding="utf-8") for path in ROOT.glob("*/*.md")]
    modules = {name for text in texts for name in re.findall(rf"python -m ({command}[\w.]*)", text)}
    missing = [
        name
        for name in sorted(modules)
        if not (ROOT / f"{name.replace('.', '/')}.py").exists()
        and not (ROOT / name.replace(".", "/") / "__main__.py").exists()
    ]
    assert missing == []
