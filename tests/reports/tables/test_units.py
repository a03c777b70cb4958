"""Units opened: a matrix for each machine, and nothing of two machines together."""

from dataclasses import replace

import pytest

from reports.pages.sweep_page import sweep_headline, sweep_page
from reports.saved.records import Run
from reports.tables.unit_markdown import sweep_tables, words
from reports.tables.units import answer, disturbed, failed, matrices, opened, shade


def machine(name, cpu):
    return {
        "record": "machine", "machine": name, "cpu": cpu, "flags": [], "caches": {}, "cores": 2,
        "logical_cpus": 2, "usable_cpus": 2, "cgroup_cpus": None, "memory_gib": 24,
        "system": "Linux x86_64", "accelerator": None,
    }  # fmt: skip


def cell(arm="max", workload="pp32", ratio=0.5, **rest):
    effect = ratio is not None
    return {
        "record": "cell", "model": "tiny", "workload": workload, "arm": arm, "device": "cpu",
        "dtype": "float32", "threads": 1, "status": "VALID", "invalid_reasons": [],
        "median_s": 0.001, "ci_lo_s": None, "ci_hi_s": None, "tok_s": 1000.0, "roofline_pct": 10.0,
        "bound": "compute", "kernel_path": None, "runtime": None, "peak_rss_mib": 100.0,
        "versus": "torch" if effect else None, "ratio": ratio,
        "ci_lo": ratio and ratio * 0.9, "ci_hi": ratio and ratio * 1.1,
        "processes": 5 if effect else None, "quads": 10 if effect else None,
        "verdict": "FASTER" if effect else None, "why": None,
    } | rest  # fmt: skip


def unit(key, where, *cells, pressure=1.0, error=None):
    run = {
        "record": "unit_run", "name": "run", "run": f"units/{key}/run", "code": 0, "said": "",
        "statuses": {}, "cpu_pressure_pct": pressure, "started_utc": "", "versions": {},
    }  # fmt: skip
    return {
        "record": "unit", "key": key, "sha256": "hash", "node": "n", "machine": where["cpu"],
        "seconds": 1.0, "error": error, "records": [where, run, *cells],
    }  # fmt: skip


ZEN, COVE = machine("aaaa", "Zen"), machine("bbbb", "Golden Cove")


@pytest.fixture
def run(tmp_path):
    """Two kinds of machine: on one MAX takes half the time, on the other twice."""
    units = [
        unit("one", ZEN, cell("torch", ratio=None), cell(ratio=0.5)),
        unit("two", COVE, cell("torch", ratio=None), cell(ratio=2.0, verdict="SLOWER"),
             pressure=30.0),
    ]  # fmt: skip
    header = {"record": "run", "run_id": "r", "kind": "sweep", "schema_version": 5, "command": [],
              "environment": {"model": "tiny", "units": 2}}  # fmt: skip
    return Run(tmp_path, header, tuple(units), {"record": "end"}, 0)


def test_each_kind_of_machine_has_a_matrix_with_its_own_ratios_alone(run):
    found = matrices(opened(run))
    assert [one.machine["cpu"] for one in found] == ["Zen", "Golden Cove"]
    assert [[line.answers[0].ratio for line in one.lines] for one in found] == [["0.5"], ["2"]]
    assert [one.lines[0].versus for one in found] == ["torch", "torch"]
    text = sweep_tables(opened(run))
    assert "1.000" not in text, "no mean of both"


def test_the_headline_has_a_figure_for_each_machine(run):
    head = sweep_headline(opened(run))
    assert head.verdict == "MEASURED"
    assert [(one.name, one.value) for one in head.figures] == [
        ("time of max over torch's on Zen [aaaa]", "0.5"),
        ("time of max over torch's on Golden Cove [bbbb]", "2"),
    ]
    assert [one.more for one in head.figures] == ["faster in 1 of 1", "slower in 1 of 1"]


def test_the_page_links_each_answer_to_its_run(run):
    page = sweep_page(opened(run))
    assert 'href="units/one/run/report.html"' in page
    assert 'href="units/two/run/report.html"' in page


def test_lines_are_in_the_order_that_was_asked_for_whichever_unit_was_done_first(run):
    late = [unit(dtype, ZEN, cell("torch", ratio=None, dtype=dtype, threads=threads),
                 cell(dtype=dtype, threads=threads))
            for dtype, threads in (("bfloat16", 1), ("float32", 2), ("float32", 1))]  # fmt: skip
    for number, one in enumerate(late):
        one["key"] = str(number)
    environment = {"sweep": {"models": ["tiny"], "dtypes": ["float32", "bfloat16"]}}
    whole = replace(run, records=tuple(late), header={**run.header, "environment": environment})
    (found,) = matrices(opened(whole))
    assert [(line.dtype, line.threads) for line in found.lines] == [
        ("float32", 1), ("float32", 2), ("bfloat16", 1),
    ]  # fmt: skip


def test_a_unit_that_was_done_again_counts_once(run):
    again = unit("one", ZEN, cell("torch", ratio=None), cell(ratio=0.25))
    found = opened(replace(run, records=(*run.records, again)))
    assert [one["ratio"] for one in found.of("cell") if one["unit"] == "one"] == [None, 0.25]


def test_a_unit_that_failed_is_named_with_its_reason_until_it_is_done(run):
    bad = unit("three", ZEN, error="no memory")
    assert failed(opened(replace(run, records=(*run.records, bad)))) == [("three", "no memory")]
    done = unit("three", ZEN, cell())
    assert failed(opened(replace(run, records=(*run.records, bad, done)))) == []


def test_a_run_without_an_end_is_not_finished(run):
    head = sweep_headline(opened(replace(run, end=None, records=run.records[:1])))
    assert head.verdict == "INCOMPLETE"
    assert head.lead.startswith("1 of 2 units measured, on Zen")


def test_what_disturbed_a_unit_is_told(run):
    assert disturbed(opened(run)) == [
        "two: while arms were timed, other programs took 30% of their CPU time."
    ]


def test_a_row_without_a_ratio_says_its_speed_or_why_it_has_none(run):
    assert words(answer(cell("torch", ratio=None))) == "1,000 tokens/s"
    wrong = cell(ratio=None, status="INVALID", tok_s=None, invalid_reasons=["never verified"])
    assert words(answer(wrong)) == "INVALID: never verified"
    head = sweep_headline(opened(replace(run, records=(unit("one", ZEN, wrong),))))
    assert head.verdict == "PARTLY"
    assert "never verified" in head.lead


@pytest.mark.parametrize(("ratio", "colour"), [(1.0, 0.0), (0.5, 0.8), (0.1, 0.8), (4.0, -0.8)])
def test_the_colour_tells_faster_from_slower(ratio, colour):
    assert shade(ratio) == colour


def test_other_kinds_of_run_are_left_as_they_are(run):
    other = replace(run, header={**run.header, "kind": "campaign"})
    assert opened(other) is other
