import numpy as np
import pytest

from verify.judge.acceptance import Envelope, judge
from verify.judge.finite import at, in_counts, is_finite


def spoilt(*values):
    """Zeros `[2, 3, 4]` with values from row 1, token 0, feature 2 on."""
    array = np.zeros((2, 3, 4), np.float32)
    array[1, 0, 2 : 2 + len(values)] = values
    return array


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((np.nan,), "1 NaN of 24 elements, the first at row 1, token 0, feature 2"),
        ((np.inf, -np.inf), "2 infinite of 24 elements, the first at row 1, token 0, feature 2"),
        ((0, np.nan), "1 NaN of 24 elements, the first at row 1, token 0, feature 3"),
        ((np.inf, np.nan), "1 NaN and 1 infinite of 24 elements, the first at row 1, token 0"),
    ],
)
def test_it_is_counted_and_the_first_is_placed(values, words):
    assert words in in_counts(spoilt(*values))
    assert not is_finite(spoilt(*values))


def test_the_input_is_named_where_it_is_known():
    assert in_counts(spoilt(np.nan), "given-2x3").endswith("feature 2 of given-2x3")


def test_the_rule_says_how_much_is_not_finite_and_never_in_shares():
    judged = judge(spoilt(np.nan), np.ones((2, 3, 4)), Envelope(1.0, 1.0), "float32")
    assert judged.verdict == "FAIL"
    assert judged.message == "1 NaN of 24 elements, the first at row 1, token 0, feature 2"
    infinite = judge(spoilt(np.inf), np.ones((2, 3, 4)), Envelope(1.0, 1.0), "float32")
    assert infinite.verdict == "FAIL"
    assert infinite.message.startswith("1 infinite of 24 elements")


def test_an_index_of_more_axes_than_names_is_written_as_it_is():
    assert at([0, 1, 2, 3]) == "[0, 1, 2, 3]"
    assert at([4]) == "feature 4"
