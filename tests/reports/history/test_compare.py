"""The page of two runs: the answer, what was unlike, the picture, the environments folded."""

import re

import pytest

from reports.history.compare import compare_page, compared
from reports.saved.records import read_run
from tests.reports.conftest import BROKEN, ENVIRONMENT, check, endpoint_run, verification


@pytest.fixture
def verified(make_run):
    """A run that passes and one that fails, the second in another environment."""

    def made(**environment):
        return (
            read_run(make_run("verify", *verification())),
            read_run(make_run("verify", *verification(failing=True), **environment)),
        )

    return made


def test_the_answer_is_the_title_and_the_maps_are_of_one_size(verified):
    page = compare_page(*verified())
    assert "<h1>B breaks h.1.mlp.act, which passes in A.</h1>" in page
    grids = re.findall(r'<table data-grid="(\d+)">', page)
    assert grids == ["3", "3", "3"]
    assert page.count("cell shift bad") == 1
    assert f'data-place="{BROKEN.removeprefix("transformer.")}"' in page


def test_what_was_not_measured_alike_is_said_above_the_maps(verified):
    page = compare_page(*verified(cpu="Another CPU", versions={"max": "26.8.0"}))
    warned = page.index("cpu: A CPU -&gt; Another CPU")
    assert warned < page.index("data-grid")
    assert page.index("max: 26.7.0 -&gt; 26.8.0") < page.index("data-grid")
    assert "Not measured alike" not in compare_page(*verified())


def test_other_seeds_are_other_inputs(make_run):
    a, b = (read_run(make_run("verify", [check("lm_head", seed=seed)], {})) for seed in (0, 7))
    assert "seed: 0 -&gt; 7" in compare_page(a, b)


def test_the_environments_are_folded_and_what_differs_comes_first(verified):
    page = compare_page(*verified(system="Linux 7"))
    folded = page[page.index("1 of ") :]
    assert "entries differ</summary>" in folded
    assert folded.index("Linux 7") < folded.index(ENVIRONMENT["cpu"])


def test_maps_are_of_the_cases_that_both_have(make_run):
    one = [check("lm_head"), check("lm_head", case="given-2x33", used=0.9)]
    a, b = (read_run(make_run("verify", records, {})) for records in (one, one[:1]))
    page = compare_page(a, b)
    assert "The maps are of the 1 case that both runs have, without 1 case of A." in page
    assert "90% of the allowed error" not in page


def test_a_run_that_was_not_compiled_is_compared_by_its_mathematics(make_run):
    maths = check("lm_head", "math", used=0.1)
    a, b = (read_run(make_run("verify", records, {}))
            for records in ([maths, check("lm_head")], [maths]))  # fmt: skip
    page = compare_page(a, b)
    assert "in the traced graph in float64: B was not compiled" in page
    assert "40% of the allowed error" not in page


def test_runs_without_a_common_case_have_two_maps(make_run):
    a, b = (read_run(make_run("verify", [check("lm_head", case=case)], {}))
            for case in ("given-1x1", "given-1x2"))  # fmt: skip
    page = compare_page(a, b)
    assert page.count("<table data-grid") == 2
    assert "no check in common" in page


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("kind", ["verify", "bench"])
def test_old_records_are_compared_with_themselves(saved_run, kind, version):
    run = read_run(saved_run(f"version-{version}-{kind}"))
    page = compare_page(run, run)
    assert "B breaks" not in page
    assert "<h1>" in page


def test_empty_runs_have_a_page(make_run):
    for kind in ("verify", "bench"):
        a, b = (read_run(make_run(kind, [], {})) for _ in range(2))
        assert "in common" in compare_page(a, b)


def test_endpoints_are_answered_by_their_verdicts(make_run):
    a, b = (read_run(make_run("endpoint", *endpoint_run(failing=bad))) for bad in (False, True))
    assert "A is PASS, B is FAIL." in compare_page(a, b)


def test_medians_that_differ_come_first(make_run):
    def run(*medians):
        rows = [
            {"record": "row", "workload": f"pp{n}", "arm": "max", "status": "VALID",
             "median_s": median, "ci_lo_s": 0.99 * median, "ci_hi_s": 1.01 * median}
            for n, median in enumerate(medians)
        ]  # fmt: skip
        return read_run(make_run("bench", rows, {}))

    pairs = compared(run(0.01, 0.02), run(0.01, 0.03))
    assert [(pair.name, pair.differs) for pair in pairs] == [("pp1 max", True), ("pp0 max", False)]
    assert pairs[0].shown == ("20 ms", "30 ms")
