"""A reader is told how many draws there were, and of runs whose rows were not made."""

import pytest

from reports.__main__ import main
from reports.pages.bench_page import bench_headline
from reports.saved.records import read_run
from reports.tables.draws import draws, unfinished, warning

EFFECT = {"record": "effect", "workload": "pp32", "arm": "max", "versus": "torch", "ratio": 0.99}


def samples(*generations):
    place = {"record": "sample", "workload": "pp32", "arm": "max", "model": "tiny", "threads": 2}
    return [{**place, "generation": one, "quad": one or 0, "time_ns": 1e6} for one in generations]


@pytest.fixture
def run(make_run):
    return lambda *records, end=None: read_run(make_run("bench", records, end))


def test_a_run_of_an_older_format_is_one_process(run):
    found = run(*samples(None, None), EFFECT, end={})
    assert draws(found) == 1
    assert warning(found) == "one process of each arm: differences under 2% are not resolved"
    warned = " ".join(bench_headline(found).warnings)
    assert "One process of each arm: differences under 2% are not resolved." in warned


def test_three_processes_need_no_warning_and_two_do(run):
    assert "there are no verdicts" in warning(run(*samples(0, 1), EFFECT, end={}))
    assert warning(run(*samples(0, 1, 2), EFFECT, end={})) == ""
    assert warning(run(*samples(0), end={})) == ""  # nothing was compared


def test_a_null_that_failed_is_a_warning(run):
    null = {"record": "null", "workload": "pp32", "ratio": 1.03, "failed": True}
    (warned,) = bench_headline(run(*samples(0, 1, 2), null, end={})).warnings
    assert "The null of pp32 failed" in warned


def test_samples_without_rows_can_be_finished(run, make_run, capsys):
    assert unfinished(run(*samples(0)))
    assert not unfinished(run(*samples(0), {"record": "row", "status": "VALID"}))
    assert not unfinished(run(*samples(0), end={}))
    folder = make_run("bench", samples(0))
    assert main([str(folder)]) == 0
    assert f"`python -m bench finish {folder}`" in capsys.readouterr().err
    assert f"python -m bench finish {folder}" in (folder / "report.html").read_text()


def test_where_the_time_went_is_a_fact(run):
    shares = {"loading_s": 30.0, "timing_s": 60.0, "wall_s": 100.0}
    facts = bench_headline(run(*samples(0), end={"shares": shares})).facts
    (told,) = [fact.value for fact in facts if fact.name == "time"]
    assert told == "loading 30%, timing 60%"
