"""The lessons: one source for a step's skeleton, its solution, its hints and its explanation."""

import ast
import re

import pytest

from verify.steps.course import BUILDING, STEPS
from verify.steps.lessons import LessonError, lesson
from verify.steps.lessons.parsed import parse
from verify.steps.phases import PHASES, check_step

NUMBERS = range(1, len(STEPS) + 1)
TASKS = [(number, task.number) for number in NUMBERS for task in lesson(number).tasks]

GOOD = '''"""What for.

## Afterwards

And then.
"""

X = 1


def f(x: int) -> int:
    # TODO 1: twice as much
    # calls: `*`
    # look: at x
    # formula: 2 x
    # thought: it is
    #   more
    y = 2 * x  # [D]
    return y
    # done 1
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A learner's folder with every step done."""
    made = tmp_path_factory.mktemp("learner")
    for number in NUMBERS:
        (made / f"step_{number:02}.py").write_text(lesson(number).solution)
    return made


def checked(folder, number, text):
    """The last phase of one step's file in a folder where the others are done."""
    file = folder / f"step_{number:02}.py"
    file.write_text(text)
    try:
        return list(check_step(STEPS[number - 1], file, quick=True))[-1]
    finally:
        file.write_text(lesson(number).solution)


def without_comments(text):
    return re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE)


def without_lines(text, lines):
    """A file without some lines; where a body is empty then, `pass`."""
    left = text.replace(lines, "")
    try:
        ast.parse(left)
    except IndentationError:
        indent = " " * (len(lines) - len(lines.lstrip()))
        return text.replace(lines, f"{indent}pass\n")
    return left


@pytest.mark.parametrize("number", NUMBERS)
def test_the_solution_passes_in_a_folder_of_the_learners_own_files(number, folder):
    phases = list(check_step(STEPS[number - 1], folder / f"step_{number:02}.py", quick=True))
    assert [(phase.title, phase.problem) for phase in phases if not phase.passed] == []
    assert [phase.title for phase in phases] == list(PHASES)


@pytest.mark.parametrize(("number", "task"), TASKS)
def test_a_task_that_is_open_is_named_with_its_first_hint(number, task, folder):
    phase = checked(folder, number, lesson(number).with_open(task))
    about = lesson(number).tasks[task - 1]
    assert (phase.title, phase.passed, phase.task) == (PHASES[2], False, task)
    assert f"TODO {task} ({about.title}) is open" in phase.problem
    assert phase.hint == about.hints[0]
    assert phase.hints == about.hints


@pytest.mark.parametrize(("number", "task"), TASKS)
def test_a_task_is_open_without_its_comment_too(number, task, folder):
    phase = checked(folder, number, without_comments(lesson(number).with_open(task)))
    assert (phase.title, phase.task) == (PHASES[2], task)
    assert phase.hint == lesson(number).tasks[task - 1].hints[0]


@pytest.mark.parametrize(("number", "task"), TASKS)
def test_a_task_whose_lines_are_gone_is_caught_and_named(number, task, folder):
    about = lesson(number).tasks[task - 1]
    phase = checked(folder, number, without_lines(lesson(number).solution, about.solution))
    assert not phase.passed
    if phase.title in PHASES[3:]:
        assert phase.task == task
        assert phase.hint == about.hints[0]
        assert f"TODO {task} ({about.title}) is not done" in phase.problem
    else:  # nothing but `pass` is left
        assert "has no body yet" in phase.problem


def test_the_skeleton_fails_at_its_first_task_and_is_python(folder):
    for number in NUMBERS:
        phase = checked(folder, number, lesson(number).skeleton)
        assert (phase.title, phase.task) == (PHASES[2], 1)


def test_a_comment_that_is_left_over_is_named_with_what_to_do(folder):
    text = lesson(5).solution.replace("# The row of", "# TODO 2: the row of")
    phase = checked(folder, 5, text)
    assert phase.task == 2
    assert "TODO 2 (the row of each token id) is open: its comment stands in line" in phase.problem
    assert phase.hint == "if it is done, take TODO 2 out of the comment"
    assert phase.hints[1:] == lesson(5).tasks[1].hints


def test_an_error_of_the_learners_is_of_the_task_that_its_line_belongs_to(folder):
    text = lesson(7).solution.replace("key.transpose(-2, -1)", "key.no_such_method()")
    phase = checked(folder, 7, text)
    assert (phase.title, phase.task) == (PHASES[3], 3)
    assert "no_such_method" in phase.problem
    assert phase.hints == lesson(7).tasks[2].hints


@pytest.mark.parametrize(
    ("number", "old", "new", "task"),
    [(13, "with self.lock:", "if True:", 4), (14, "keys[layer]", "keys[0]", 3)],
)
def test_a_check_of_a_steps_own_names_the_task(number, old, new, task, folder):
    text = lesson(number).solution
    assert old in text
    phase = checked(folder, number, text.replace(old, new))
    assert (phase.title, phase.task) == (PHASES[4], task)
    assert phase.hints[1:] == lesson(number).tasks[task - 1].hints


def test_work_that_is_done_in_other_lines_is_not_missed(folder):
    text = lesson(7).solution
    masked = next(line for line in text.splitlines() if "masked = " in line)
    text = text.replace(f"{masked}\n", "").replace(
        "softmax(masked,", "softmax(scores + causal_mask(x.shape[1], scores.dtype, x.device),"
    )
    assert checked(folder, 7, text).passed


def test_a_file_that_is_missing_beside_it_is_named(tmp_path):
    file = tmp_path / "alone" / "steps" / "step_04.py"
    file.parent.mkdir(parents=True)
    file.write_text(lesson(4).solution)
    (phase,) = check_step(STEPS[3], file, quick=True)
    assert "your file of step 1 belongs beside it" in phase.hint
    assert "verify step 1 --scaffold step_01.py" in phase.hint


@pytest.mark.parametrize("number", NUMBERS)
def test_skeleton_and_solution_say_the_same_but_for_the_tasks(number):
    known = lesson(number)
    assert known.step is STEPS[number - 1]
    for part in known.parts:
        if isinstance(part, str):
            assert part in known.skeleton
            assert part in known.solution
    for task in known.tasks:
        assert f"# TODO {task.number}: {task.title}\n" in known.skeleton
        assert task.solution in known.solution
        assert task.opened in known.skeleton
        lines = [line.strip() for line in task.solution.splitlines() if "=" in line]
        assert not [line for line in lines for hint in task.hints if line in hint], "never the code"
    assert "TODO" not in known.solution


@pytest.mark.parametrize("number", NUMBERS)
def test_an_explanation_can_be_read_in_a_few_minutes(number):
    known = lesson(number)
    assert 150 <= len(known.explanation.split()) <= 400
    assert 50 <= len(known.afterwards.split()) <= 200
    assert "By hand" in known.explanation
    assert "**Shapes.**" in known.explanation or number in {1, 13}
    assert re.search(r"trap", known.explanation, re.IGNORECASE)


def test_twelve_steps_build_the_model():
    assert STEPS[BUILDING - 1].name == "generate"
    assert [step.number for step in STEPS] == list(NUMBERS)


def test_a_lesson_is_read():
    known = parse(STEPS[0], GOOD)
    (task,) = known.tasks
    assert (task.title, task.calls) == ("twice as much", "`*`")
    assert task.hints == ("at x", "2 x", "it is more")
    assert known.explanation == "What for."
    assert known.afterwards == "And then."
    assert "    # TODO 1: twice as much\n    #   `*`\n    y = ...  # [D]\n    return ...\n" in (
        known.skeleton
    )
    assert "    # Twice as much\n    y = 2 * x  # [D]\n    return y\n" in known.solution
    assert known.with_open(1) == known.skeleton


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("## Afterwards", "Afterwards", "has no '## Afterwards'"),
        ("# TODO 1", "# TODO 2", "TODO 2 has no '# done 2'"),
        ("    # done 1\n", "", "TODO 1 has no '# done 1'"),
        ("    # formula: 2 x\n", "", "line 15: '# formula: ...' belongs here"),
        ("    y = 2 * x  # [D]\n    return y\n    # done 1\n", "    # done 1\n    return x\n",
         "TODO 1 has no code"),
        ("# TODO 1: twice", "# twice", "line 20: nothing is open here"),
        ("    return y\n    # done 1\n", "    # done 1\n    # done 1\n", "nothing is open here"),
        ("    y = 2 * x  # [D]\n", "    if x:\n        y = 2\n    # done 1\n        y = 3\n",
         "the statement goes on below '# done'"),
        ("    # TODO 1: twice as much\n", "", "nothing is open here"),
    ],
)  # fmt: skip
def test_a_lesson_of_another_form_is_refused(old, new, said):
    assert old in GOOD
    with pytest.raises(LessonError, match=re.escape(said)):
        parse(STEPS[0], GOOD.replace(old, new))
