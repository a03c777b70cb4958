import pytest

from verify.graph.form import Compound
from verify.mutants.grouping import Group, groups

BOTH = Compound("mul", ("batch", "sequence"))


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (("b", "s", 12), ("b", "s", 3, 4), [Group((2, 3), is_split=True)]),
        (("b", "s", 3, 4), ("b", "s", 12), [Group((2, 3), is_split=False)]),
        (("b", 2, 3, "s", 4), ("b", 6, "s", 4), [Group((1, 2), is_split=False)]),
        ((24,), (2, 3, 4), [Group((0, 1), is_split=True), Group((1, 2), is_split=True)]),
        (("batch", "sequence", 8), (BOTH, 8), [Group((0, 1), is_split=False)]),
        ((BOTH, 8), ("batch", "sequence", 8), [Group((0, 1), is_split=True)]),
        ((2, 6), (12,), [Group((0, 1), is_split=False)]),
    ],
)
def test_axes_that_are_split_and_merged_are_told_from_shapes(before, after, found):
    assert groups(before, after) == found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("b", 3, 4), ("b", 3, 4)),
        (("b", 3), ("b", 1, 3)),
        (("b", 1, 3), (1, "b", 3)),
        ((), (1,)),
        ((2, 6), (3, 4)),
        (("a", "b"), (Compound("add", ("a", "b")),)),
    ],
)
def test_axes_of_size_one_and_what_cannot_be_told_are_left_alone(before, after):
    assert groups(before, after) == []
