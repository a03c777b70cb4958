"""What the keys do, as options: for CI, editors and screen readers."""

import json

import pytest

from tests.conforming import file_misfits
from tests.verify.learn.learners import solve
from verify.learn.learner_folder import LearnerFolder
from verify.learn.learning import main
from verify.learn.learning_session import Session
from verify.steps.lessons import lesson


@pytest.fixture
def checked(monkeypatch):
    """The numbers of the steps that are really checked, in order."""
    numbers, check = [], Session.check

    def counted(self, number, **options):
        numbers.append(number)
        return check(self, number, **options)

    monkeypatch.setattr(Session, "check", counted)
    return numbers


def done(folder, *numbers):
    """Solutions of some steps, remembered as passed."""
    solve(folder, *numbers)
    learner = LearnerFolder(folder)
    for number in numbers:
        learner.state.note(number, passed="2026-11-30", files=learner.standing(number).table)
    return learner


def test_once_checks_the_current_step_and_its_exit_code_says_whether_it_passes(tmp_path, capsys):
    folder, answer = tmp_path / "mine", tmp_path / "out.json"
    assert main([str(folder), "--once", "--json", str(answer)]) == 1
    said = capsys.readouterr().out
    assert "Step 1 of 12: configuration" in said
    assert "no  it is implemented" in said
    assert "Step 1 does not pass yet" in said
    assert file_misfits("learn", answer) == []
    report = json.loads(answer.read_text())
    assert (report["verdict"], report["step"]) == ("FAIL", 1)
    assert [step["standing"] for step in report["steps"]] == ["begun"] + ["open"] * 11
    solve(folder, 1)
    assert main([str(folder), "--once", "--json", str(answer)]) == 0
    assert "Step 1 is done" in capsys.readouterr().out
    assert json.loads(answer.read_text())["steps"][0]["standing"] == "done"
    assert file_misfits("learn", answer) == []


def test_next_goes_on_once_the_step_passes_and_not_before(tmp_path, capsys):
    assert main([str(tmp_path), "--next"]) == 1
    assert not (tmp_path / "step_02.py").exists()
    solve(tmp_path, 1)
    assert main([str(tmp_path), "--next"]) == 0
    assert (tmp_path / "step_02.py").read_text() == lesson(2).skeleton
    assert "Step 2 of 12: causal mask" in capsys.readouterr().out


def test_without_a_compile_a_step_is_done_once_it_is_right_in_float64(tmp_path, capsys):
    done(tmp_path, 1)
    solve(tmp_path, 2)
    assert main([str(tmp_path), "--once"]) == 0
    assert "--next has MAX compile it" in capsys.readouterr().out
    assert LearnerFolder(tmp_path).standing(2).word == "begun"
    assert main([str(tmp_path), "--once", "--quick"]) == 0
    assert LearnerFolder(tmp_path).standing(2).kept.checked == "float64"


@pytest.mark.compiles
def test_next_compiles_the_step_that_it_finishes(tmp_path):
    done(tmp_path, 1)
    solve(tmp_path, 2)
    assert main([str(tmp_path), "--next"]) == 0
    assert LearnerFolder(tmp_path).standing(2).kept.checked == "compiled"
    assert (tmp_path / "step_03.py").exists()


def test_a_finished_step_is_checked_again_only_if_its_file_has_changed(tmp_path, checked, capsys):
    done(tmp_path, 1, 2)
    assert main([str(tmp_path), "--once"]) == 1
    assert checked == [3]
    mask = tmp_path / "step_02.py"
    mask.write_text(f"{mask.read_text()}# a comment\n")
    assert main([str(tmp_path), "--once"]) == 1
    assert checked == [3, 2, 3]
    assert LearnerFolder(tmp_path).standing(2).done
    mask.write_text("def causal_mask(length, dtype, device):\n    return None\n")
    assert main([str(tmp_path), "--once"]) == 1
    assert checked == [3, 2, 3, 2]
    assert "Step 2 of 12" in capsys.readouterr().out  # it comes first now


@pytest.mark.parametrize(
    ("text", "limit", "reason"),
    [
        ("while True:\n    pass\n", "2", "took more than 2 s (--time-limit)"),
        (
            "import os\nprint('\\x1b[2Jgarbage\\0', flush=True)\nos._exit(0)\n",
            "60",
            "ended the process",
        ),
    ],
)
def test_code_that_hangs_or_ends_the_process_is_contained(text, limit, reason, tmp_path, capsys):
    (tmp_path / "step_01.py").write_text(text)
    assert main([str(tmp_path), "--once", "--time-limit", limit]) == 2
    said = capsys.readouterr().out
    assert reason in " ".join(said.split())
    assert said.isascii()
    assert "\x1b" not in said
    assert "could not be judged" in said


def test_what_the_learners_code_prints_is_shown(tmp_path, capsys):
    solve(tmp_path, 1)
    file = tmp_path / "step_01.py"
    file.write_text(f"{file.read_text()}\nprint('my sizes', GPT2Config().n_embd)\n")
    assert main([str(tmp_path), "--once"]) == 0
    assert "Your code printed:\n  my sizes 768\n" in capsys.readouterr().out


def test_hints_come_in_levels_and_are_counted(tmp_path, capsys):
    main([str(tmp_path), "--once"])
    said = capsys.readouterr().out
    assert "Hint 1 of 3" in said
    assert "Hint 2 of 3" not in said
    for asked, level in (([], 2), (["3"], 3)):
        assert main([str(tmp_path), "--hint", *asked]) == 1
        said = capsys.readouterr().out
        assert f"Hint {level} of 3" in said
        assert f"Hint {level + 1} of 3" not in said
    assert "3 hints" in _listed(tmp_path, capsys)
    assert lesson(1).tasks[0].solution.strip() not in said


def test_the_solution_on_demand_is_noted(tmp_path, capsys):
    assert main([str(tmp_path), "--solution"]) == 0
    assert "class GPT2Config" in capsys.readouterr().out
    assert "solution seen first" in _listed(tmp_path, capsys)


def test_a_reset_keeps_a_copy(tmp_path, capsys):
    file = tmp_path / "step_01.py"
    file.write_text("my own work\n")
    assert main([str(tmp_path), "--reset"]) == 0
    assert file.read_text() == lesson(1).skeleton
    (copy,) = (tmp_path / "kept").iterdir()
    assert copy.read_text() == "my own work\n"
    assert copy.name in capsys.readouterr().out


def test_a_state_edited_by_hand_is_one_sentence_and_stays(tmp_path, capsys):
    state = tmp_path / "progress.toml"
    state.write_text("[step.1]\npassed = 7\n")
    assert main([str(tmp_path), "--once"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert "step 1: passed has 7, and should be a text" in line
    assert state.read_text() == "[step.1]\npassed = 7\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--once", "--next"], "not allowed with"),
        (["--hint", "4"], "invalid choice"),
        (["--budget", "soon"], "is not a duration"),
        (["--whole"], "step 11 has no file"),
    ],
)
def test_bad_usage_is_one_sentence(arguments, sentence, tmp_path, capsys):
    try:
        code = main([str(tmp_path), *arguments])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert sentence in capsys.readouterr().err


def _listed(folder, capsys):
    assert main([str(folder), "--list"]) == 0
    return capsys.readouterr().out
