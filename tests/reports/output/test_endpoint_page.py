"""What is made of an endpoint's run: page, tables, JUnit XML, summary, the page over all runs."""

import xml.etree.ElementTree as ET

import pandas as pd
import pytest

from reports.history.index import index_page
from reports.output.render import render
from reports.output.summary import summary
from reports.saved.records import read_run
from tests.reports.conftest import endpoint_run


@pytest.fixture
def right(make_run):
    return make_run("endpoint", *endpoint_run(), endpoint="http://127.0.0.1:8000")


@pytest.fixture
def wrong(make_run):
    return make_run("endpoint", *endpoint_run(failing=True))


def test_a_right_server_has_a_page_that_says_what_was_not_checked(right):
    render(right)
    page = (right / "report.html").read_text()
    assert "It answers as the model would" in page
    assert "seeds (it says 400)" in page
    assert "http://127.0.0.1:8000" in page
    assert "The first wrong answer" not in page


def test_a_wrong_server_s_page_names_the_first_wrong_answer(wrong):
    render(wrong)
    page = (wrong / "report.html").read_text()
    assert "The first wrong answer" in page
    assert "token 3 is 812" in page
    assert "2 of 3 cases fail" in page


def test_an_interrupted_run_says_so(make_run):
    records, _ = endpoint_run()
    folder = make_run("endpoint", records)
    render(folder)
    assert "Not finished" in (folder / "report.html").read_text()


def test_each_kind_of_record_is_a_table(wrong):
    render(wrong)
    assert list(pd.read_csv(wrong / "cases.csv")["verdict"]) == ["FAIL", "PASS", "FAIL"]
    assert pd.read_parquet(wrong / "answers.parquet")["position"].tolist() == [2]
    assert "| an empty prompt" in (wrong / "cases.md").read_text()
    assert pd.read_csv(wrong / "planted.csv")["state"].tolist() == ["caught", "not applicable"]


def test_each_case_is_a_test_of_junit(wrong):
    render(wrong)
    suite = ET.parse(wrong / "junit.xml").getroot()[0]
    assert suite.get("tests") == "3"
    assert suite.get("failures") == "2"


def test_the_summary_says_the_verdict_and_the_index_has_the_run(wrong):
    render(wrong)
    text = summary(read_run(wrong))
    assert text.startswith("## ❌ Endpoint parity: It does not answer as the model would (FAIL)")
    assert "It does not answer as the model would" in index_page(wrong.parents[1])
