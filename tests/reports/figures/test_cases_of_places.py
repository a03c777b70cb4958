"""Each place has a bar for every case that it was judged in."""

import base64

import numpy as np

from reports.figures.cases_of_places import ABSENT, NO_NUMBER, cases_of_places
from reports.tables.frames import frame_of_checks

TAPS = ["a", "b"]


def check(tap, case, used, mode="isolated", verdict="PASS"):
    return {"record": "check", "tap": tap, "case": case, "used": used, "mode": mode,
            "verdict": verdict, "envelope_rms": 1.0}  # fmt: skip


def found_of(records, first=None):
    return cases_of_places(frame_of_checks(records), TAPS, first)


def unpacked(found):
    numbers = np.frombuffer(base64.b64decode(found.data), "<u2")
    return numbers.reshape(2, len(found.places), len(found.cases))


RECORDS = [
    check("a", "one", 0.5), check("a", "two", 0.25), check("b", "one", 4.0, verdict="FAIL"),
    check("a", "one", 0.75, "free"), check("b", "two", "nan", "free", "FAIL"),
]  # fmt: skip


def test_the_place_with_the_largest_share_is_shown_first():
    found = found_of(RECORDS)
    assert found.places[found.chosen] == "b"
    assert [(bar.case, bar.alone, bar.wrong) for bar in found.bars] == [("one", "400%", True)]


def test_a_place_that_is_asked_for_is_shown_with_its_largest_case_first():
    found = found_of(RECORDS, "a")
    assert [(b.case, b.alone, b.free, b.length) for b in found.bars] == [
        ("one", "50%", "75%", 0.5), ("two", "25%", "", 0.25),
    ]  # fmt: skip


def test_shares_are_read_back_from_the_page_as_they_were_recorded():
    found = found_of(RECORDS)
    numbers = unpacked(found)
    shares = found.low * (found.high / found.low) ** ((numbers - 1.0) / 65533)
    assert np.allclose(shares[0, 0], [0.5, 0.25], rtol=1e-3)
    assert np.isclose(shares[0, 1, 0], 4.0)
    assert np.isclose(shares[1, 0, 0], 0.75, rtol=1e-3)


def test_what_was_not_judged_and_what_is_not_a_number_are_told_apart():
    numbers = unpacked(found_of(RECORDS))
    assert numbers[0, 1, 1] == ABSENT
    assert numbers[1, 1, 1] == NO_NUMBER


def test_no_error_at_all_is_a_share_and_not_an_absent_one():
    records = [check("a", "one", 0.0), check("a", "two", 0.1)]
    assert unpacked(found_of(records))[0, 0, 0] == 1


def test_one_case_alone_needs_no_strip():
    assert found_of([check("a", "one", 0.5), check("b", "one", 0.5)]) is None
