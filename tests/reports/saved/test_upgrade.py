"""Records of older formats are read in today's shape."""

import pytest

from reports.saved.records import SCHEMA_VERSION
from reports.saved.upgrade import upgraded

FAULT = {"record": "fault", "fault": "relu", "case": "given-1x9", "margin": 1.2}
CHECK = {"record": "check", "mode": "power", "case": "relu", "verdict": "UNDERPOWERED"}


def test_caught_is_what_told_was():
    """Before format 3 `caught` was any failure, whatever was blamed and however narrowly."""
    old = FAULT | {"caught": True, "told": False}
    assert upgraded(old, 2) == FAULT | {"caught": False}
    assert upgraded(FAULT | {"caught": True, "told": True}, 1) == FAULT | {"caught": True}


@pytest.mark.parametrize(("verdict", "caught"), [("PASS", True), ("UNDERPOWERED", False)])
def test_details_of_a_planted_fault_have_the_names_of_its_record(verdict, caught):
    details = {"caught": True, "expected_stage": "a", "blamed": "b", "margin": 9.0, "in": "given"}
    found = upgraded(CHECK | {"verdict": verdict, "details": details}, 2)["details"]
    assert found == {
        "caught": caught, "expected": "a", "blamed": "b", "margin": 9.0, "case": "given",
    }  # fmt: skip


@pytest.mark.parametrize(
    "record",
    [
        {"record": "check", "mode": "logits", "details": {"in": "a"}},
        CHECK | {"details": None},
        CHECK | {"details": "text"},
        {"record": "row", "caught": 1},
    ],
)
def test_what_did_not_change_stays(record):
    assert upgraded(record, 1) == record


def test_todays_records_are_left_alone():
    record = FAULT | {"caught": True, "told": "kept"}
    assert upgraded(record, SCHEMA_VERSION) is record


def test_what_a_null_was_told_is_called():
    """Before format 4 the end of `python -m bench null` had its sentences as `told`."""
    old = {"record": "end", "replays": 2, "told": ["2 replays"]}
    assert upgraded(old, 3) == {"record": "end", "replays": 2, "called": ["2 replays"]}
    assert upgraded(old, SCHEMA_VERSION) is old
