"""A run's verdict is that of its checks, whatever becomes of its pictures."""

import argparse
import json

import pytest

from reports.saved.records import read_run
from verify.artefacts import Problem
from verify.job import Job, run
from verify.judge.verdict import Check
from verify.outcome import Outcome

WRONG = Check(
    case="given-1x9",
    mode="math",
    tap="transformer.h.0.mlp",
    verdict="FAIL",
    message="other",
    used=9.0,
)


def job_of(outcome):
    def work(emit, status):
        for check in outcome.checks:
            emit(check)
        return outcome

    return Job(work=work, cases=1, environment={"model": "small"}, ran={"model": "small"})


def options_for(tmp_path, *, quiet=False):
    return argparse.Namespace(
        out=tmp_path / "run", json=tmp_path / "out.json", summary=None, power=False, pairing=None,
        quiet=quiet, table=False,
    )  # fmt: skip


@pytest.fixture
def failing():
    return Outcome(checks=[WRONG], order=[WRONG.tap])


def test_what_no_picture_could_be_made_of_is_a_record_and_a_line_of_the_page(tmp_path, failing):
    problem = Problem.of("errors of tokens, given-2x9", ValueError("shapes differ"))
    failing.artefacts.problems.append(problem)
    options = options_for(tmp_path)
    assert run(job_of(failing), options, ["verify"]) == 1
    saved = read_run(options.out)
    assert saved.of("problem") == [problem.record()]
    assert saved.end["verdict"] == "FAIL"
    page = (options.out / "report.html").read_text()
    assert "errors of tokens, given-2x9 (ValueError: shapes differ)" in page


def test_a_page_that_cannot_be_written_leaves_the_verdict(tmp_path, failing, capsys):
    options = options_for(tmp_path)
    (options.out / "report.html").mkdir(parents=True)
    assert run(job_of(failing), options, ["verify"]) == 1
    shown = capsys.readouterr()
    assert "Verdict: FAIL" in shown.out
    assert "Report: " not in shown.out
    assert "verify: the report could not be made: " in shown.err
    assert "report.html cannot be written" in shown.err
    saved = read_run(options.out)
    assert saved.end["verdict"] == "FAIL"  # what stands after the end does not hide it
    (problem,) = saved.of("problem")
    assert problem["part"] == "page and tables"
    assert json.loads(options.json.read_text())["verdict"] == "FAIL"


def check(verdict):
    return Check(case="gelu_erf", mode="power", tap="", verdict=verdict, message="")


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [(["PASS"], 0), (["PASS", "FAIL"], 1), (["ERROR"], 2), (["PASS", "UNDERPOWERED"], 3),
     (["UNDERPOWERED", "FAIL"], 1), ([], 2)],
)  # fmt: skip
def test_each_verdict_has_an_exit_code_of_its_own(tmp_path, verdicts, code):
    outcome = Outcome(checks=[check(verdict) for verdict in verdicts])
    assert run(job_of(outcome), options_for(tmp_path), ["verify"]) == code


def test_a_quiet_run_prints_its_verdict_and_where_its_page_is(tmp_path, failing, capsys):
    options = options_for(tmp_path, quiet=True)
    assert run(job_of(failing), options, ["verify"]) == 1
    shown = capsys.readouterr()
    assert shown.out.replace("\n", "").split("Report: ") == [
        "Verdict: FAIL, not compiled", str(options.out / "report.html"),
    ]  # fmt: skip
    assert shown.err == ""
