"""What a chapter shows of a solution is the solution's own code."""

import ast

import pytest

from verify.steps.book.shared.solution_code import code_of, show_code
from verify.steps.course import STEPS
from verify.steps.lessons import lesson


def body(text, name):
    (found,) = (n for n in ast.walk(ast.parse(text)) if getattr(n, "name", "") == name)
    return ast.dump(found)


@pytest.mark.parametrize("number", range(1, 13))
def test_what_is_shown_is_what_the_solution_defines(number):
    name = STEPS[number - 1].name
    assert body(code_of(number), name) == body(lesson(number).solution, name)


def test_a_decorator_is_shown():
    assert code_of(1).startswith("@dataclass")


def test_a_method_is_shown_alone(capsys):
    show_code(9, "forward")
    said = capsys.readouterr().out
    assert said.startswith("def forward(self, x: Tensor) -> Tensor:")
    assert "__init__" not in said


def test_a_name_that_is_not_there_is_an_error():
    with pytest.raises(LookupError, match=r"step 9 defines no GPT2Block\.backward"):
        code_of(9, "backward")
