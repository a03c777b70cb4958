import pytest

from verify.locate.listing import Line, Listing


def lines(count, departs):
    return tuple(
        Line("mul", "x, 2", "2x3", f"a.py:{i}", "x * 2", "", departs=i == departs)
        for i in range(count)
    )


@pytest.mark.parametrize(
    ("count", "departs", "first", "shown"),
    [(20, 10, 6, 6), (20, 19, 14, 6), (20, 0, 0, 6), (3, 1, 0, 3), (20, None, 14, 6)],
)
def test_the_lines_around_the_one_that_departs_are_shown(count, departs, first, shown):
    found = Listing("h.0", "given", lines(count, departs), "").around(6)
    assert [line.place for line in found] == [f"a.py:{i}" for i in range(first, first + shown)]


def test_a_record_has_what_the_schema_says():
    record = Listing("h.0", "given-1x9", lines(2, 1), "first differs: mul").record()
    assert record.keys() == {"record", "tap", "case", "dtype", "summary", "operations"}
    assert record["operations"][1] == {
        "kind": "mul", "operands": "x, 2", "shape": "2x3", "place": "a.py:1", "code": "x * 2",
        "quantity": "", "departs": True, "file": "", "line": 0,
    }  # fmt: skip
