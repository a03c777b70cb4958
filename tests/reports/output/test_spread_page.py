"""Runs that are made of units of work: their page, tables and tests."""

import xml.etree.ElementTree as ET

import pandas as pd
import pytest

from reports.history.kept import read_entries
from reports.output.render import render
from reports.output.summary import summary
from reports.saved.environment import collect
from reports.saved.records import RunWriter, read_run

ALARM = {"seed": 1, "regime": "given", "case": "given-1x9", "mode": "free", "tap": "lm_head",
         "used": 1.25, "message": "too far"}  # fmt: skip
FAULT = {"record": "fault", "regime": "given", "fault": "relu", "expected": "a", "blamed": "a",
         "margin": 9.0, "applicable": True, "by": "bounds", "case": "given-1x9",
         "caught": True}  # fmt: skip


def seed(number, alarms=()):
    return {
        "record": "seed", "seed": number, "regime": "given", "batch": 1, "length": 9,
        "checks": {"free": 3}, "verdicts": {"free": "PPP"}, "nearest": {"free": ALARM},
        "alarms": list(alarms), "other_orders": {"runs": 0, "false": 0}, "faults": [FAULT],
    }  # fmt: skip


def unit(key, records, node="a/1", error=None):
    return {"record": "unit", "key": key, "sha256": "0", "node": node, "machine": "A CPU",
            "seconds": 2.0, "error": error, "records": records}  # fmt: skip


def lost(node):
    return {"record": "node", "node": node, "state": "lost", "reason": "done again elsewhere",
            "machine": "A CPU", "cpus": 1}  # fmt: skip


def made(folder, kind, records, end=None):
    with RunWriter(kind, command=["python"], environment=collect(), out=folder) as writer:
        for record in records:
            writer.write(record)
        if end:
            writer.finish(end)
    render(folder)
    return (folder / "report.html").read_text()


PASSED = {"verdict": "PASS", "passed": True, "missed": [],
          "faults": {"given": {"caught": 1, "applicable": 1}}}  # fmt: skip


def test_a_campaigns_page_has_its_figures_and_where_they_were_found(tmp_path):
    records = [unit("seed 0", [seed(0)]), lost("b/2"), unit("seed 1", [seed(1)], "b/2")]
    page = made(tmp_path / "run", "campaign", records, PASSED)
    assert "The rule did not err" in page
    assert "0 of 6 checks of the correct model were rejected, over 2 seeds" in page
    assert "Node b/2 was lost: done again elsewhere" in page
    assert list(pd.read_csv(tmp_path / "run" / "nodes.csv")["units"]) == [1, 1]


def test_a_unit_that_is_recorded_twice_is_counted_once(tmp_path):
    records = [
        unit("seed 0", [], error="out of numbers"), unit("seed 0", [seed(0)]),
        unit("seed 0", [seed(0)]),
    ]  # fmt: skip
    assert "over 1 seed." in made(tmp_path / "run", "campaign", records, PASSED)


def test_a_false_alarm_is_shown_with_its_place_and_fails_a_test(tmp_path):
    page = made(tmp_path / "run", "campaign", [unit("seed 1", [seed(1, [ALARM])])],
                {**PASSED, "verdict": "FAIL", "passed": False})  # fmt: skip
    assert "The rule rejected a correct model" in page
    assert "too far" in page
    suite = ET.parse(tmp_path / "run" / "junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")


@pytest.mark.parametrize("kind", ["campaign", "rules"])
def test_one_that_was_interrupted_says_so(tmp_path, kind):
    inside = [seed(0)] if kind == "campaign" else []
    page = made(tmp_path / "runs" / "one", kind, [unit("unit 0", inside)])
    assert "Not finished" in page
    (entry,) = read_entries(tmp_path / "runs")
    assert (entry.problem, entry.verdict) == ("", "INCOMPLETE")


def test_the_page_of_a_contest_has_each_rule(tmp_path):
    scores = [{"rule": rule, "caught": n, "right": None, "false": 0, "runs": 4}
              for rule, n in (("cosine", 3), ("ours", 5), ("ours, traced", 5))]  # fmt: skip
    catch = {"record": "catch", "rule": "ours", "regime": "given", "case": "given-1x9",
             "fault": "relu", "applicable": True, "caught": True, "right": True}  # fmt: skip
    page = made(tmp_path / "run", "rules", [unit("faults given 0", [catch])],
                {"verdict": "PASS", "applicable": 5, "scores": scores})  # fmt: skip
    assert "It catches 5 of 5 faults with 0 false alarms; the next is cosine: 3" in page
    assert "Contest of rules" in summary(read_run(tmp_path / "run"))
