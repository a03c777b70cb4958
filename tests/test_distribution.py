"""What is compiled once is asked for in one process."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
distribution = pytest.importorskip("tests.distribution", reason="needs pytest-xdist")
GROUPS = distribution.GROUPS


def users(fixture, folder):
    """Files whose tests or fixtures take a fixture."""
    for file in sorted((ROOT / folder).rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and fixture in {a.arg for a in node.args.args}:
                yield str(file.relative_to(ROOT))
                break


def test_every_file_of_a_group_is_there_and_in_one_group():
    files = [file for group in GROUPS.values() for file in group]
    assert [file for file in files if not (ROOT / file).is_file()] == []
    assert len(files) == len(set(files))


@pytest.mark.parametrize(
    ("fixture", "folder"),
    [
        ("bound", "tests/verify"), # impl's model, compiled in three forms
        ("run_compiled", "tests/verify/graph"), # every family's graph
        ("compiled", "tests/impl"),
        ("next_token", "tests/impl"),
        ("tiny_next_token", "tests/impl"),
    ],
)  # fmt: skip
def test_a_program_that_several_files_share_is_compiled_in_one_process(fixture, folder):
    files = list(users(fixture, folder))
    assert files
    own = [file for file in files if "def " + fixture in (ROOT / file).read_text()]
    assert len({distribution.GROUP_OF.get(file, file) for file in files if file not in own}) == 1


def test_a_files_tests_go_together_and_a_groups_files_too():
    scheduler = object.__new__(distribution.Grouped)
    scopes = {
        scheduler._split_scope(f"{file}::test[a::b]")
        for file in ("tests/impl/test_engine.py", "tests/impl/test_main.py")
    }
    assert scopes == {"the engines"}
    assert scheduler._split_scope("tests/test_rooms.py::test") == "tests/test_rooms.py"


def test_groups_come_first_in_their_order():
    listed = [file for group in GROUPS.values() for file in group]
    assert sorted(["tests/a.py", *reversed(listed)], key=distribution.rank) == [
        *listed, "tests/a.py",
    ]  # fmt: skip
