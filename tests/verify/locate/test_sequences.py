import numpy as np
import pytest

from verify.locate.sequences import compared_integers

RIGHT = np.arange(12)[None]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (np.minimum(RIGHT, 7), "positions stop at 7; first differs at token 8: 7, not 8 (4 of 12"),
        (RIGHT % 5, "positions begin anew after 5; first differs at token 5: 0, not 5"),
        (RIGHT + 1, "each is larger by 1; first differs at token 0: 1, not 0 (12 of 12"),
        (RIGHT - 2, "each is smaller by 2"),
        (RIGHT[:, ::-1], "they run backwards"),
        (0 * RIGHT, "each is 0"),
        (np.where(RIGHT == 9, 3, RIGHT), "first differs at token 9: 3, not 9 (1 of 12 differ)"),
        (RIGHT, "nothing differs"),
    ],
)
def test_the_first_that_differs_and_what_follows_is_said(found, words):
    assert words in compared_integers(found, RIGHT)


def test_of_several_rows_the_row_is_named():
    right = np.arange(12).reshape(2, 6)
    found = right.copy()
    found[1, 4] = 99
    assert "token 4 of row 1: 99, not 10" in compared_integers(found, right)
