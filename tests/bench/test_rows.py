"""A row has a speed only if it is VALID, and a ratio needs two VALID rows."""

import pytest

from bench.contestant import Contestant
from bench.rows import make_effects, make_rows, pressure_pct, skip_row
from bench.workloads import Workload

PP8 = Workload(batch=2, n_prompt=8)


def contestant(label, milliseconds=10.0, *, quads=6, **fields):
    samples = [
        {
            "quad": quad, "block": 2 * quad + turn, "call": 0, "time_ns": int(milliseconds * 1e6),
            "cpu_pressure_us": 1000,
        }
        for quad in range(quads)
        for turn in range(2)
    ]  # fmt: skip
    filled = {"samples": {PP8.name: samples}, "judged": {PP8.name: 2 * quads}} | fields
    return Contestant(label, "cpu", **filled)


def rows_of(*contestants, unverified=""):
    return make_rows(contestants, [PP8], threads=2, unverified={"cpu": unverified})


def test_a_valid_row_has_a_speed():
    (row,) = rows_of(contestant("max"))
    assert row["status"] == "VALID"
    assert row["verified"]
    assert row["invalid_reasons"] == []
    assert row["median_s"] == 0.01
    assert row["tok_s"] == pytest.approx(1600)
    assert row["ci_lo_s"] == row["ci_hi_s"] == 0.01


NO_SPEED = {"median_s": None, "ci_lo_s": None, "ci_hi_s": None, "tok_s": None, "verified": False}


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ({"disagreements": {PP8.name: "off by 1"}}, "INVALID", "off by 1"),
        ({"judged": {}}, "INVALID", "nothing was measured"),
        ({"error": "killed"}, "ERROR", "killed"),
        ({"skipped": "no GPU"}, "SKIP", "no GPU"),
    ],
)
def test_whatever_is_wrong_takes_the_speed_away_and_is_said(fields, status, reason):
    (row,) = rows_of(contestant("max", **fields))
    assert row["status"] == status
    assert reason in row["invalid_reasons"][0]
    assert row | NO_SPEED == row


def test_only_the_max_model_needs_a_verification():
    candidate, reference = rows_of(contestant("max"), contestant("torch"), unverified="not yet")
    assert candidate["invalid_reasons"] == ["not yet"]
    assert candidate | NO_SPEED == candidate
    assert reference["status"] == "VALID"


def test_every_reason_is_told():
    wrong = contestant("max", disagreements={PP8.name: "off by 1"})
    (row,) = rows_of(wrong, unverified="not yet")
    assert len(row["invalid_reasons"]) == 2


def test_ratios_are_times_over_the_baseline():
    arms = [contestant("max", 5.0), contestant("torch", 10.0)]
    (effect,) = make_effects(arms, rows_of(*arms))
    assert (effect["arm"], effect["versus"]) == ("max", "torch")
    assert effect["ratio"] == pytest.approx(0.5)
    assert effect["quads"] == 6


def test_without_torch_the_first_arm_is_the_baseline():
    arms = [contestant("max"), contestant("max#2")]
    (effect,) = make_effects(arms, rows_of(*arms))
    assert (effect["arm"], effect["versus"]) == ("max#2", "max")


def test_there_is_no_ratio_with_an_invalid_arm():
    arms = [contestant("max"), contestant("torch")]
    assert make_effects(arms, rows_of(*arms, unverified="not yet")) == []


def test_generation_says_whether_it_has_a_cache():
    tg4 = Workload(batch=1, n_gen=4, n_depth=8)
    arms = [contestant("max"), contestant("torch")]
    rows = make_rows(arms, [PP8, tg4], threads=2, unverified={})
    assert [row["kv_cache"] for row in rows] == [None, None, False, True]


def test_a_skipped_device_is_a_row_with_its_reason():
    row = skip_row("max", "gpu", "no accelerator")
    assert (row["status"], row["invalid_reasons"]) == ("SKIP", ["no accelerator"])


def test_cpu_pressure_is_a_share_of_the_timed_turns():
    assert pressure_pct([contestant("max", 10.0)]) == pytest.approx(10)
    assert pressure_pct([]) is None
