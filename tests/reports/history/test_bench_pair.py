"""Two benchmarks beside each other: what records allow, and what `bench compare` adds."""

import json

import pytest

from reports.history.bench_pair import answer, bench_context, changes_in, changes_of_records
from reports.history.compare import compare_page
from reports.saved.files import comparison_file
from reports.saved.records import read_run


def effect(ratio, workload="pp32", arm="max", **rest):
    return {
        "record": "effect", "model": "tiny", "workload": workload, "arm": arm, "device": "cpu",
        "dtype": "float32", "threads": 2, "versus": "torch", "ratio": ratio, "ci_lo": 0.9 * ratio,
        "ci_hi": 1.1 * ratio,
    } | rest  # fmt: skip


def change(value, verdict, workload="pp32", arm="max", width=0.05, **rest):
    return {
        "model": "tiny", "workload": workload, "device": "cpu", "threads": 2, "arm": arm,
        "versus": "torch", "change": value, "ci_lo": value - width, "ci_hi": value + width,
        "processes": 5, "quads": 10, "verdict": verdict, "more_processes": None,
        "more_quads": None, "why": "", "a": {"ratio": 0.5, "ci_lo": 0.4, "ci_hi": 0.6},
        "b": {"ratio": 0.5 * value, "ci_lo": None, "ci_hi": None},
    } | rest  # fmt: skip


def said(*changes, margin=0.01):
    return answer(changes_in({"changes": changes}), margin, "python -m bench compare A B")


@pytest.fixture
def two(make_run):
    return [read_run(make_run("bench", [effect(ratio)], {})) for ratio in (0.4, 0.5)]


def test_the_projects_own_arm_is_answered_first_by_verdict():
    found = said(
        change(1.2, "SLOWER"),
        change(0.8, "FASTER", "tg16"),
        change(1.0, "SAME", "pp128"),
        change(1.5, "SLOWER", arm="openvino"),
    )
    assert found.sentence == (
        "In B, max is slower for pp32 (1.200 [1.150, 1.250] times the time); faster for tg16 "
        "(0.8 [0.75, 0.85] times the time); the same within 1% for pp128."
    )
    assert found.lead == "Of the other arms (openvino): 1 slower."
    assert found.verdict == "MIXED"


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [(["SLOWER", "SAME"], "SLOWER"), (["FASTER", "INCONCLUSIVE"], "FASTER"), (["SAME"], "SAME"),
     (["SAME", "INCONCLUSIVE"], "INCONCLUSIVE")],
)  # fmt: skip
def test_the_verdict_is_that_of_all_arms(verdicts, verdict):
    found = said(*(change(1.1, one, f"pp{n}") for n, one in enumerate(verdicts)))
    assert found.verdict == verdict


def test_a_candidate_is_the_own_arm():
    assert (
        "In B, candidate is" in said(change(1, "SAME"), change(1, "SAME", arm="candidate")).sentence
    )


def test_a_missing_interval_is_explained():
    why = "one process of each arm: what its luck adds is not known from fewer than 3"
    found = said(change(1.1, "INCONCLUSIVE", ci_lo=None, ci_hi=None, why=why))
    assert found.sentence == "Undecided: the time of max in B is 1.100 for pp32, over A's."
    assert found.lead == f"No intervals: {why}."


def test_many_workloads_are_counted():
    found = said(*(change(1.1 + n / 10, "SLOWER", f"pp{n}") for n in range(5)))
    assert "slower for 5 workloads, most for pp4 (1.500" in found.sentence


def test_workloads_are_told_apart_by_what_differs():
    names = [one.name for one in changes_in({"changes": [
        change(1, "SAME"), change(1, "SAME", threads=1),
    ]})]  # fmt: skip
    assert names == ["pp32 2 threads", "pp32 1 threads"]


def test_records_alone_give_ratios_without_an_interval(two):
    (found,) = changes_of_records(*two)
    assert (found.value, found.low, found.verdict) == (pytest.approx(1.25), None, "")
    context = bench_context(*two, None)
    assert context["answer"].verdict == "UNJUDGED"
    assert "max takes 1.250 times for pp32 as long in B as in A" in context["answer"].sentence
    assert "python -m bench compare" in context["answer"].lead


def test_ratios_to_another_baseline_are_not_compared(make_run):
    a, b = (read_run(make_run("bench", [effect(0.5, versus=versus)], {}))
            for versus in ("torch", "onnxruntime"))  # fmt: skip
    assert changes_of_records(a, b) == []


def test_an_arm_against_itself_is_left_out(make_run):
    a, b = (read_run(make_run("bench", [effect(1.0, arm="torch#2")], {})) for _ in range(2))
    assert changes_of_records(a, b) == []


def test_what_bench_compare_left_is_shown_if_it_is_of_these_runs(two):
    a, b = two
    found = {"runs": [a.header["run_id"], b.header["run_id"]], "margin": 0.01,
             "changes": [change(1.25, "SLOWER")]}  # fmt: skip
    file = comparison_file(a.folder, b.folder, "json")
    file.write_text(json.dumps(found))
    assert "1.250 [1.200, 1.300] slower" in compare_page(a, b)
    file.write_text(json.dumps(found | {"runs": ["others", "still others"]}))
    assert "1.250 [1.200, 1.300] slower" not in compare_page(a, b)
    file.write_text("{")
    assert "UNJUDGED" in compare_page(a, b)


def test_runs_without_a_common_arm_still_have_a_page(make_run):
    a, b = (read_run(make_run("bench", [effect(0.5, arm=arm)], {})) for arm in ("max", "openvino"))
    assert "no workload and arm in common" in compare_page(a, b)
