"""A forest plot has a row for each ratio, on one scale, in a wide and a narrow version."""

from itertools import pairwise

from reports.figures.chart import WIDE
from reports.figures.several_runs.forest import PHONE, Ratio, forest

TEXTS = {"name": "changes", "title": "Changes", "aid": "How to read it.", "x_title": "B over A"}
ROWS = [
    Ratio("pp32  max", 1.2, 1.15, 1.25, "slower", "series-0"),
    Ratio("tg16  max", 0.8, None, None, "", "series-0"),
]


def marks(plot, tag, css=""):
    return [m for m in plot.marks if m.tag == tag and css in m.css.split()] if css else [
        m for m in plot.marks if m.tag == tag
    ]  # fmt: skip


def test_both_versions_have_each_ratio_and_the_interval_where_it_is_known():
    wide, narrow = forest(ROWS, 0.01, **TEXTS)
    assert (wide.width, narrow.width) == (WIDE, PHONE)
    for plot, bands in ((wide, 1), (narrow, len(ROWS))):  # there words stand between the rows
        assert len(marks(plot, "circle")) == 2
        assert len(marks(plot, "line", "whisker")) == 1
        assert len(marks(plot, "rect", "band")) == bands
        said = " ".join(mark.text for mark in marks(plot, "text"))
        assert "1.200 [1.150, 1.250] slower" in said


def test_what_is_slower_lies_right_of_what_is_faster_and_of_one():
    plot, _ = forest(ROWS, None, **TEXTS)
    slower, faster = (mark.attributes["cx"] for mark in marks(plot, "circle"))
    one = marks(plot, "line", "one")[0].attributes["x1"]
    assert faster < one < slower
    assert marks(plot, "rect") == []


def test_ticks_do_not_touch_and_one_is_named():
    for plot in forest(ROWS, 0.01, **TEXTS):
        at = [x for x, _ in plot.x_ticks]
        assert all(later - earlier > 30 for earlier, later in pairwise(at))
        assert "1" in [text for _, text in plot.x_ticks]


def test_there_is_nothing_to_draw_without_rows():
    assert forest([], 0.01, **TEXTS) == []
