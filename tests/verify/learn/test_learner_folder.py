"""A learner's files are never written over, and a change of them is noticed."""

import json

import pytest

from reports.commands import UsageError
from tests.verify.learn.learners import solve
from verify.learn.learner_folder import WHOLE, LearnerFolder
from verify.steps.lessons import lesson


def passed(folder, number):
    """Remember that a step has passed as it is now."""
    one = folder.standing(number)
    folder.state.note(number, passed="2026-11-30 12:50", files=one.table)


def test_a_step_is_begun_with_its_skeleton_and_its_file_is_never_written_over(tmp_path):
    folder = LearnerFolder(tmp_path / "mine")
    assert folder.open()
    file = folder.begin(3)
    assert file.read_text() == lesson(3).skeleton
    file.write_text("my own work\n")
    assert folder.begin(3) == file
    assert file.read_text() == "my own work\n"
    assert not folder.open()


def test_files_that_were_there_before_are_taken_as_they_are(tmp_path):
    (tmp_path / "README.md").write_text("mine\n")
    own = tmp_path / "2_mask.py"
    own.write_text("def causal_mask(length, dtype, device):\n    return None\n")
    folder = LearnerFolder(tmp_path)
    folder.open()
    assert folder.begin(2) == own
    assert not (tmp_path / "step_02.py").exists()
    assert (tmp_path / "README.md").read_text() == "mine\n"


def test_a_reset_keeps_a_copy_each_time(tmp_path):
    folder = LearnerFolder(tmp_path)
    file = folder.begin(1)
    copies = []
    for text in ("first\n", "second\n"):
        file.write_text(text)
        copies.append(folder.begin_again(1))
    assert [copy.read_text() for copy in copies] == ["first\n", "second\n"]
    assert file.read_text() == lesson(1).skeleton
    assert folder.standing(1).file == file  # not one of the copies


def test_a_step_is_done_until_its_file_or_one_that_it_imports_changes(tmp_path):
    folder = LearnerFolder(solve(tmp_path, 1, 4))
    for number in (1, 4):
        passed(folder, number)
    assert [folder.standing(n).word for n in (1, 4)] == ["done", "done"]
    (tmp_path / "notes.py").write_text("print('not mine')\n")
    assert folder.standing(4).done
    config = tmp_path / "step_01.py"
    before = config.read_text()
    config.write_text(f"{before}# a comment\n")
    assert [folder.standing(n).word for n in (1, 4)] == ["changed", "changed"]
    config.write_text(before)
    assert [folder.standing(n).word for n in (1, 4)] == ["done", "done"]
    config.unlink()
    assert not folder.standing(1).done


def test_the_whole_is_done_while_its_files_are_as_they_were(tmp_path):
    folder = LearnerFolder(solve(tmp_path, *range(1, 13)))
    assert not folder.whole_is_done()
    kept = {"verdict": "PASS", "files": folder.table_of_whole()}
    assert {"step_01.py", "step_03.py", "step_11.py", "step_12.py"} <= kept["files"].keys()
    (tmp_path / WHOLE).write_text(json.dumps(kept))
    assert folder.whole_is_done()
    (tmp_path / "step_03.py").write_text(lesson(3).solution + "# changed\n")
    assert not folder.whole_is_done()
    (tmp_path / WHOLE).write_text("[]")
    assert not folder.whole_is_done()


@pytest.mark.parametrize("place", ["", "inner"])
def test_a_file_where_a_folder_is_needed_is_one_sentence(place, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine\n")
    with pytest.raises(UsageError):
        LearnerFolder(file / place).open()
    assert file.read_text() == "mine\n"
