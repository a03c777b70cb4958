"""Strips of processes lie apart by as much as the processes differ."""

import re

import pytest

from reports.figures.strips import strips
from reports.pages.bench_page import bench_page
from reports.saved.records import read_run


def samples(luck, *, quads=6, arms=("max", "torch", "torch#2")):
    """Arms with equal code; the processes of the first take longer by `luck` percent."""
    return [
        {
            "record": "sample", "workload": "pp32", "arm": arm, "model": "tiny", "device": "cpu",
            "threads": 2, "generation": generation, "quad": generation * quads + quad,
            "block": 2 * quad + turn, "position": 0, "call": 0,
            "time_ns": 1e6 * (1 + (quad % 3) / 10) * (1 + (arm == "max") * percent / 100),
        }
        for generation, percent in enumerate(luck)
        for quad in range(quads)
        for arm in arms
        for turn in (0, 1)
    ]  # fmt: skip


@pytest.fixture
def figures(make_run):
    return lambda luck, **more: strips(read_run(make_run("bench", samples(luck, **more), {})))


def test_each_process_is_a_row_with_a_dot_for_each_quad(figures):
    (one,) = figures([0.0, 1.0, 2.0])
    marks = one.figure.marks
    assert sum(mark.tag == "circle" for mark in marks) == 3 * 3 * 6
    words = [mark.text for mark in marks if mark.tag == "text"]
    assert words == [
        f"{arm}, process {n}" for arm in ("max", "torch", "torch#2") for n in (1, 2, 3)
    ]


def test_medians_lie_apart_by_what_processes_differ(figures):
    """Two thirds of a percent, and a third to the others: what all have in common is taken away."""
    (one,) = figures([0.0, 1.0, 2.0])
    tips = [mark.tip for mark in one.figure.marks if "median" in mark.tip]
    medians = [float(re.search(r"median ([+-][\d.]+)%", tip)[1]) for tip in tips[::2]]
    others = [0.33, 0.0, -0.33]
    assert medians == pytest.approx([-0.67, 0.0, 0.67, *others, *others], abs=0.02)


def test_of_two_arms_the_first_is_drawn_beside_the_other(figures):
    (one,) = figures([0.0, 1.0, 2.0], arms=("max", "torch"))
    tips = [mark.tip for mark in one.figure.marks if "median" in mark.tip]
    medians = [float(re.search(r"median ([+-][\d.]+)%", tip)[1]) for tip in tips[::2]]
    assert medians == pytest.approx([-1.0, 0.0, 1.0], abs=0.02)


def test_one_process_of_each_arm_has_no_strips(figures):
    assert figures([0.0]) == []


def test_the_page_shows_them(make_run):
    page = bench_page(read_run(make_run("bench", samples([0.0, 0.4]), {})))
    assert "Quads of each process" in page
