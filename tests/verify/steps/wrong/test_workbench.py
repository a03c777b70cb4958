"""What the check of a step makes of a solution."""

from verify.steps.lessons import lesson
from verify.steps.wrong.mistake import of_step, seen
from verify.steps.wrong.workbench import Trial, bench


def test_a_solution_passes_and_leaves_no_module_behind():
    with bench() as folder:
        assert folder.check(4, lesson(4).solution) == Trial(True, "", "")


def test_what_is_missed_is_said():
    """One that passes, one whose reason is another, one that is named by nothing."""
    right, other, unknown = of_step(
        4,
        seen("comment", "", "", ("bent = F", "bent = 1 * F")),
        seen("relu", "", "by erf", ('F.gelu(wide, approximate="tanh")', "F.relu(wide)")),
        seen("odd", "", "", ('F.gelu(wide, approximate="tanh")', "F.sin(wide) * F.cos(wide * 3)")),
    )
    with bench() as folder:
        assert folder.misses(right) == "passes"
        assert "another reason than 'by erf'" in folder.misses(other)
        assert "is caught and not named" in folder.misses(unknown)


def test_a_reason_is_not_a_description():
    assert Trial(False, "", "ln_1: found eps = 1e-6 [ln_eps]").named
    assert not Trial(False, "", "ln_1: no known fault explains it; its error is 3%").named
    assert not Trial(False, "", "attn: 12 NaN of 64 elements").named
    assert not Trial(True, "", "").named
