"""Every chapter runs, and has what a chapter has; `--durations=0` shows how long each took.

No chapter has MAX compile anything: what it does to a graph is shown in float64.
"""

import re

import pytest

from tests.verify.steps.book.chapter_runs import BOOK, cells, chapters, runner

CHAPTERS = chapters()
NAMES = [file.stem for file in CHAPTERS]
LINK = re.compile(r"\]\((ch\d\d[^)#]*)")
LISTED = re.compile(r"^\| \[(\d+)\. ([^\]]+)\]\((ch\d\d_\w+\.py)\) \|", re.MULTILINE)
"""A chapter in README's list."""


@pytest.fixture(scope="module")
def run():
    with runner() as ask:
        yield ask


@pytest.mark.book
@pytest.mark.parametrize("file", CHAPTERS, ids=NAMES)
def test_a_chapter_runs_and_its_solutions_alone_pass(file, run, record_property):
    found = run(file)
    assert found["error"] is None, found["error"]
    record_property("seconds", round(found["seconds"], 1))
    assert found["pictures"] >= 1
    exercises = found["exercises"]
    assert [exercise["number"] for exercise in exercises.values()] == [1, 2, 3]
    assert not [name for name, exercise in exercises.items() if exercise["why"] is None]
    assert not [name for name, exercise in exercises.items() if not exercise["solved"]]


@pytest.mark.parametrize("file", CHAPTERS, ids=NAMES)
def test_an_exercise_is_a_question_an_attempt_a_check_and_a_solution(file):
    every = list(cells(file))
    asked = [text for tags, text in every if tags is None and "**Exercise " in text]
    numbers = [int(n) for text in asked for n in re.findall(r"\*\*Exercise (\d+)\.", text)]
    assert numbers == [1, 2, 3]
    tagged = [tags for tags, _ in every if tags]
    order = [["exercise"], ["check"], ["solution", "hide-input"]]
    assert [tags for tags in tagged if tags in order] == order * 3


@pytest.mark.parametrize("file", CHAPTERS, ids=NAMES)
def test_a_chapter_begins_with_its_title_and_ends_with_what_to_take_along(file):
    words = [text for tags, text in cells(file) if tags is None]
    assert words[0].startswith(f"# {int(file.stem[2:4])}. ")
    assert re.search(r"^## What to take along$", words[-1], re.MULTILINE)


def titles():
    """Of the chapters: number, title and file."""
    for file in CHAPTERS:
        first = next(text for tags, text in cells(file) if tags is None)
        yield (*re.match(r"# (\d+)\. (.+)", first).groups(), file.name)


def test_the_list_names_every_chapter_by_its_title_in_order():
    text = (BOOK / "README.md").read_text(encoding="utf-8")
    listed = [entry for entry in LISTED.findall(text) if (BOOK / entry[2]).exists()]
    assert listed == list(titles())


def test_the_list_names_no_chapter_that_is_not_there():
    text = (BOOK / "README.md").read_text(encoding="utf-8")
    assert [name for _, _, name in LISTED.findall(text) if not (BOOK / name).exists()] == []


@pytest.mark.parametrize("file", CHAPTERS, ids=NAMES)
def test_a_chapter_that_is_linked_is_there(file):
    linked = {n for tags, text in cells(file) if tags is None for n in LINK.findall(text)}
    assert [name for name in sorted(linked) if not (BOOK / name).exists()] == []


@pytest.mark.book
def test_a_chapter_that_fails_or_asks_a_network_would_be_found(run, tmp_path):
    broken, curious = tmp_path / "broken.py", tmp_path / "curious.py"
    broken.write_text("x = 1\nassert x == 2, 'x is not two'\n")
    curious.write_text("import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=1)\n")
    assert "x is not two" in run(broken)["error"]
    assert "the network was asked for 192.0.2.1" in run(curious)["error"]
    ended = tmp_path / "ended.py"
    ended.write_text("import os\nos._exit(3)\n")
    assert run(ended)["error"] == "the process ended with 3 and without a word"
