"""The rooms of the packages: who may import whom, how large a folder is, and how files are named.

The order of the floors is written once, in the docstring of each package: "each imports only rooms
named before it". These tests read it there.
"""

import ast
import re
import subprocess
from itertools import combinations
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "reports" / "runs"
PACKAGES = ("reports", "impl", "reference", "bench", "verify")
MOST_FILES = 20
FRONT_DOORS = {"__init__", "__main__", "conftest", "README", "GUIDE"}
"""Names that every folder may have."""

MAY_IMPORT = {
    "reports": {"reference.taps"},
    "impl": {"reference", "reports"},
    "reference": {"impl.config", "impl.weights", "reports"},
    "verify": {"impl", "reference", "reports"},
    "bench": {"impl", "reference", "reports", "verify"},
}
"""What each package may import beside itself. `bench` asks `verify` whether what it times was
verified, and reads the same candidates."""

CHAPTER = re.compile(r"verify\.steps\.book\.ch\d\d_\w+")
"""A chapter of the book, which shows all of the project; nothing may import one."""


def modules():
    """Each module of the packages: its dotted name, and its file; not what runs have left."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            if file.is_relative_to(RUNS):
                continue
            parts = file.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


MODULES = dict(modules())


def imports_of(file):
    """Modules of this repository that a file imports, wherever in it, for types too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in inside]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] in PACKAGES)


GRAPH = {name: sorted(set(imports_of(file)) - {name}) for name, file in MODULES.items()}


def circle(graph):
    """The names along a circle of a graph, or an empty list."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        path.append(name)
        for other in graph.get(name, ()):
            if found := visit(other):
                return found
        path.pop()
        done.add(name)
        return []

    return next((found for name in graph if (found := visit(name))), [])


def floors(package):
    """The rooms of a package, lowest first, as its docstring lists them."""
    text = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text()))
    return re.findall(r"^    (\w+)/? {2,}", text, re.MULTILINE)


def room_of(module):
    """`verify.truth` for `verify.truth.cases`; None for a file at the top of its package."""
    parts = module.split(".")
    room = ".".join(parts[:2])
    return room if len(parts) > 1 and (ROOT / parts[0] / parts[1]).is_dir() else None


def test_no_module_imports_itself_in_a_circle():
    assert circle(GRAPH) == []


def test_a_circle_would_be_found():
    assert circle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c", "b"]
    assert circle({"a": ["b", "c"], "b": ["c"], "c": []}) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_those_below_it(package):
    allowed = {package, *MAY_IMPORT[package]}

    def fits(name):
        return any(name == one or name.startswith(f"{one}.") for one in allowed)

    wrong = {
        (module, name)
        for module, names in GRAPH.items()
        if module.partition(".")[0] == package and not CHAPTER.fullmatch(module)
        for name in names
        if not fits(name)
    }
    assert not wrong


def test_nothing_imports_a_chapter_of_the_book():
    assert any(map(CHAPTER.fullmatch, GRAPH))
    assert not [(module, name) for module, names in GRAPH.items() for name in names
                if CHAPTER.fullmatch(name)]  # fmt: skip


@pytest.mark.parametrize("package", ["reports", "bench", "verify"])
def test_a_room_imports_only_rooms_named_before_it(package):
    order = [f"{package}.{name}" for name in floors(package)]
    rooms = {room for module in MODULES if (room := room_of(module)) and room.startswith(package)}
    assert rooms <= set(order), "the docstring of the package lists its rooms"
    rank = {room: place for place, room in enumerate(order)}
    wrong = [
        f"{module} imports {name}"
        for module, names in GRAPH.items()
        if (room := room_of(module)) in rank
        for name in names
        if name.partition(".")[0] == package
        and (room_of(name) or name) != room
        and rank.get(room_of(name) or name, len(rank)) >= rank[room]
    ]
    assert not wrong


def listed():
    """Files that git tracks or would track."""
    if not (ROOT / ".git").exists():
        pytest.skip("the list of files is git's")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in text.split("\0") if name and (ROOT / name).exists()]


def test_no_folder_has_more_files_than_a_newcomer_can_read_in_one_look():
    counts = {}
    for file in listed():
        counts[file.parent] = counts.get(file.parent, 0) + 1
    assert not {str(folder): n for folder, n in counts.items() if n > MOST_FILES}


def one_letter_apart(a, b):
    """Whether one edit makes the same name of two: rule, rules."""
    if abs(len(a) - len(b)) > 1:
        return False
    if len(a) == len(b):
        return sum(x != y for x, y in zip(a, b, strict=True)) == 1
    short, long = sorted((a, b), key=len)
    return any(long[:i] + long[i + 1 :] == short for i in range(len(long)))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_names_of_a_package_differ_by_a_letter(package):
    names = {part for module in MODULES for part in module.split(".") if module.startswith(package)}
    names -= {package, *FRONT_DOORS}
    assert not [pair for pair in combinations(sorted(names), 2) if one_letter_apart(*pair)]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_stands_for_one_file_of_a_package(package):
    """A command may share its name with what does its work: bench/commands/ceilings.py."""
    stems = [
        file.stem
        for module, file in MODULES.items()
        if module.startswith(f"{package}.") and ".commands." not in module
    ]
    stems = [stem for stem in stems if stem not in FRONT_DOORS and not stem.startswith("test_")]
    assert sorted(stems) == sorted(set(stems))


def test_a_room_says_in_its_docstring_what_each_of_its_files_is_for():
    silent = []
    for name, file in MODULES.items():
        room = MODULES.get(name.rpartition(".")[0])
        stem = name.rpartition(".")[2]
        if room is None or file.name == "__init__.py" or stem in FRONT_DOORS or "test_" in stem:
            continue
        if room_of(name) and stem not in ast.get_docstring(ast.parse(room.read_text())):
            silent.append(name)
    own = {"verify.steps", "bench.arms", "bench.commands"}  # a list in code names theirs
    assert not [name for name in silent if room_of(name) not in own]
