"""The page over all runs, and a page of trends for each machine."""

import json
import re
import shutil

import pytest

from reports.history.index import MOST_ROWS, write_index
from reports.history.kept import read_entries
from reports.history.lines import NEWEST
from reports.history.trends import groups
from tests.reports.conftest import write_run, write_small_runs


def row(median, **rest):
    return {
        "record": "row", "workload": "pp32", "arm": "max", "device": "cpu", "dtype": "float32",
        "status": "VALID", "median_s": median, "ci_lo_s": median * 0.99, "ci_hi_s": median * 1.01,
        "invalid_reasons": [],
    } | rest  # fmt: skip


def pages(root):
    return {page.name: page.read_text() for page in (root / "trends").glob("*.html")}


def test_each_machine_has_a_page_of_its_own(tmp_path):
    for cpu in ("One", "Other", "One"):
        write_run(tmp_path, "bench", [row(0.01)], {}, cpu=cpu)
    index = write_index(tmp_path).read_text()
    found = pages(tmp_path)
    assert sorted(name.partition("-")[0] for name in found) == ["one", "other"]
    for name, text in found.items():
        assert f'href="trends/{name}"' in index
        assert ("<svg id=" in text) == name.startswith("one")  # of two runs there is a line


def test_the_page_of_a_machine_without_runs_is_taken_away(tmp_path):
    folder = write_run(tmp_path, "bench", [row(0.01)], {}, cpu="Gone")
    write_run(tmp_path, "bench", [row(0.01)], {}, cpu="Here")
    write_index(tmp_path)
    shutil.rmtree(folder)
    write_index(tmp_path)
    assert [name.partition("-")[0] for name in pages(tmp_path)] == ["here"]


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """More runs than a page lays out, of which the last quarter is slower."""
    root = tmp_path_factory.mktemp("many")
    write_small_runs(root, NEWEST + 60)
    write_index(root)
    return root


def test_of_many_runs_one_page_is_laid_out_and_all_are_there(many):
    text = (many / "index.html").read_text()
    assert len(re.findall(r'<td class="name">2026-\d+-bench', text)) == MOST_ROWS
    packed = json.loads(re.search(r'id="packed">(.*?)</script>', text, re.DOTALL)[1])
    assert len(packed["rows"]) == NEWEST + 60
    assert packed["rows"][0][0] == f"2026-{NEWEST + 59:04d}-bench"


def test_many_runs_are_drawn_in_bins_and_the_newest_as_they_are(many):
    (group,) = groups(read_entries(many / "runs"))
    assert [figure.title for figure in group.figures] == [
        f"pp32, all {NEWEST + 60} runs", f"pp32, the newest {NEWEST} of {NEWEST + 60} runs",
    ]  # fmt: skip
    assert sum(mark.tag == "circle" for mark in group.figures[1].marks) == NEWEST
    assert any("noise" in mark.css for mark in group.figures[1].marks)


def test_the_step_is_found_and_said_with_what_changed(many):
    (group,) = groups(read_entries(many / "runs"))
    (step,) = group.steps
    assert step.startswith("pp32 max cpu float32: 10 ms to 13.1 ms (+30%)")
    assert "commit 0000000134 to 0000000135" in step


def test_an_update_of_the_kernel_is_named_at_its_step(tmp_path):
    for release, median in (("6.1.0", 0.01), ("6.2.0", 0.02)):
        write_run(tmp_path, "bench", [row(median)], {}, system=f"Linux {release} x86_64")
    (group,) = groups(read_entries(tmp_path / "runs"))
    assert "system Linux 6.1.0 x86_64 to Linux 6.2.0 x86_64" in group.steps[0]


def test_a_server_under_load_has_lines_too(tmp_path):
    load = {
        "record": "load", "workload": "64+16", "arm": "max", "device": "cpu", "dtype": "float32",
        "status": "VALID", "loop": "closed", "load": 2, "ttft_ms_p50": 12.0, "tpot_ms_p50": 3.0,
        "invalid_reasons": [],
    }  # fmt: skip
    for _ in range(2):
        write_run(tmp_path, "bench", [{"record": "load_plan", "plan": {}}, load], {})
    (group,) = groups(read_entries(tmp_path / "runs"))
    assert [figure.title for figure in group.figures] == [
        "64+16, time to first token", "64+16, time a further token",
    ]  # fmt: skip


def test_rows_that_are_not_valid_are_on_no_line(tmp_path):
    for _ in range(2):
        write_run(tmp_path, "bench", [row(0.01, status="INVALID"), row(0.01, arm="torch#2")], {})
    (group,) = groups(read_entries(tmp_path / "runs"))
    assert group.figures == []
