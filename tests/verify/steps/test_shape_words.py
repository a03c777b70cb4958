"""What a wrong shape tells of a mistake."""

import pytest

from verify.steps.component import SMALL
from verify.steps.course import STEPS
from verify.steps.shape_words import letters, why_shape


def test_sizes_are_given_in_the_courses_letters():
    assert letters((3, 5, 256), SMALL, 3, 5) == "[B, S, 4D]"
    assert letters((97, 64), SMALL) == "[V, D]"
    assert letters((3, 4, 7, 16), SMALL, 3, 7) == "[B, H, S, head_dim]"
    assert letters((7,), SMALL) == "[7]"


@pytest.mark.parametrize(
    ("step", "found", "right", "why"),
    [
        (4, (3, 5, 256), (3, 5, 64), "the layer that narrows is left out"),
        (5, (3, 64, 5), (3, 5, 64), "its axes are in another order"),
        (5, (3, 5, 97), (3, 5, 64), "rows and columns of the table are exchanged"),
        (5, (0, 64), (3, 5, 64), "rows and positions share an axis"),
        (6, (1, 48, 64), (1, 5, 64), "rows of all positions"),
        (8, (3, 5, 128), (3, 5, 64), "put side by side"),
        (11, (3, 97), (3, 5, 97), "one position of each row"),
        (11, (3, 5, 64), (3, 5, 97), "the head is left out"),
        (4, (3, 5, 7), (3, 5, 64), ""),
    ],
)
def test_a_shape_has_its_reason(step, found, right, why):
    said = why_shape(STEPS[step - 1], found, right, SMALL, 3, 5)
    assert why in said
    assert bool(why) == bool(said)
