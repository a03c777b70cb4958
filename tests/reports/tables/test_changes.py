"""What became of each place between two verifications, from their records alone."""

import math

import pytest

from reports.saved.records import read_run
from reports.tables.changes import (
    DiffError,
    by_place,
    changes_of,
    compare,
    gravest_first,
    log2_ratio,
)
from tests.reports.conftest import BROKEN, CASES, TAPS, check, verification


@pytest.fixture
def two(make_run):
    """Changes between two runs of these checks."""

    def made(first, second):
        return changes_of(
            *(read_run(make_run("verify", records, {})) for records in (first, second))
        )

    return made


def only(changes):
    (change,) = changes
    return change


def test_a_place_that_fails_in_b_alone_is_broken_with_its_cases(make_run):
    a, b = (read_run(make_run("verify", *verification(failing=bad))) for bad in (False, True))
    changes = {(change.mode, change.tap): change for change in compare(a, b)}
    broken = changes["isolated", BROKEN]
    assert (broken.verdict, broken.broken) == ("broken", CASES)
    assert broken.log2 == pytest.approx(math.log2(2000))
    assert changes["isolated", TAPS[0]].verdict == "same"
    back = {(change.mode, change.tap): change for change in compare(b, a)}
    assert back["isolated", BROKEN].mended == CASES
    assert back["isolated", BROKEN].verdict == "mended"


@pytest.mark.parametrize(
    ("rms", "verdict"), [(1e-7, "same"), (1.004e-7, "same size"), (2e-7, "worse"), (5e-8, "better")]
)
def test_a_change_is_named_by_its_direction(two, rms, verdict):
    change = only(two([check("lm_head")], [check("lm_head", rms=rms)]))
    assert change.verdict == verdict


def test_the_ratio_is_the_geometric_mean_of_the_cases_that_changed(two):
    cases = ("given-1x1", "given-1x2", "given-1x3")
    first = [check("lm_head", case=case) for case in cases]
    errors = zip(cases, (1e-7, 2e-7, 8e-7), strict=True)
    second = [check("lm_head", case=case, rms=rms) for case, rms in errors]
    change = only(two(first, second))
    assert (change.changed, change.cases) == (2, 3)
    assert change.log2 == pytest.approx(2.0)
    assert change.rms_ratio == pytest.approx(4.0)


@pytest.mark.parametrize("rms", [0.0, None, "nan"])
def test_an_error_without_a_logarithm_has_no_ratio(two, rms):
    change = only(two([check("lm_head", rms=rms)], [check("lm_head", verdict="FAIL")]))
    assert change.log2 is None
    assert change.verdict == "broken"


def test_ratios_beyond_what_a_float_holds_do_no_harm(two):
    change = only(two([check("lm_head", rms=1e-300)], [check("lm_head", rms=1e300)]))
    assert change.rms_ratio > 1e300
    assert change.verdict == "worse"


def test_what_was_skipped_is_not_broken(two):
    assert only(two([check("lm_head")], [check("lm_head", verdict="SKIP")])).broken == ()


def test_the_mathematics_of_a_run_that_was_not_compiled_is_compared_too(two):
    first = [check("lm_head"), check("lm_head", "math")]
    assert [change.mode for change in two(first, [check("lm_head", "math")])] == ["math"]


def test_devices_are_told_apart_where_a_run_has_several(two):
    both = [check("lm_head"), check("lm_head", device="gpu", rms=3e-7)]
    change = only(two(both, [both[0], both[1] | {"verdict": "FAIL"}]))
    assert change.broken == ("given-1x9 on gpu",)


def test_one_device_is_compared_with_another(two):
    assert only(two([check("lm_head")], [check("lm_head", device="gpu")])).cases == 1


def test_runs_without_a_common_check_are_refused(make_run):
    a, b = (read_run(make_run("verify", [check("lm_head", case=case)], {}))
            for case in ("given-1x1", "given-1x2"))  # fmt: skip
    assert changes_of(a, b) == []
    with pytest.raises(DiffError, match="no check in common"):
        compare(a, b)


def test_what_broke_comes_first_in_the_order_of_execution_then_the_largest_change(two):
    taps = ["transformer.h.0.ln_1", "transformer.h.0.attn", "transformer.h.0.ln_2", "lm_head"]
    after = [{"rms": 2e-7}, {"rms": 9e-7}, {"verdict": "FAIL", "rms": 2e-5}, {"verdict": "FAIL"}]
    changes = two([check(tap) for tap in taps],
                  [check(tap, **rest) for tap, rest in zip(taps, after, strict=True)])  # fmt: skip
    assert [change.tap for change in gravest_first(changes)] == [taps[2], taps[3], taps[1], taps[0]]


def test_a_place_has_the_gravest_of_its_changes(two):
    first = [check("lm_head"), check("lm_head", "free")]
    changes = two(first, [first[0], first[1] | {"verdict": "FAIL"}])
    assert by_place(changes)["lm_head"].mode == "free"


def test_a_logarithm_needs_two_positive_figures():
    assert log2_ratio(1e-8, 4e-8) == pytest.approx(2.0)
    assert log2_ratio("inf", 1.0) is None
    assert log2_ratio(1.0, 0.0) is None
