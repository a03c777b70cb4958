"""What errors of Python and of MAX mean in a step."""

import pytest

from verify.candidate.guard import CandidateError
from verify.steps.course import STEPS
from verify.steps.raised import explained, meaning


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("TypeError: fn() got an unexpected keyword argument 'keepdim'", "`keepdim` is PyTorch's"),
        ("AttributeError: 'GPT2MLP' object has no attribute 'c_fc'", "`c_fc` is not set"),
        ("NameError: name 'c_fc' is not defined", "is it `self.c_fc`"),
        ("GPT2MLP.__init__() missing 1 required positional argument: 'n'", "GPT2MLP(config)"),
        ("forward returns None, not one tensor", "without `return`"),
        ("OSError: disk full", ""),
    ],
)
def test_an_error_is_put_in_a_learners_terms(text, means):
    said = meaning(STEPS[3], text)
    assert means in said
    assert bool(means) == bool(said)


def test_what_it_means_is_added_and_frames_are_kept():
    def raised():
        with explained(STEPS[3]):
            error = CandidateError("forward raises NameError: name 'x' is not defined")
            error.add_note("  step_04.py:3 in forward: x")
            error.place = ("step_04.py", 3)
            raise error

    with pytest.raises(CandidateError, match=r"is not defined: is it `self\.x`") as caught:
        raised()
    assert caught.value.__notes__ == ["  step_04.py:3 in forward: x"]
    assert caught.value.place == ("step_04.py", 3)
