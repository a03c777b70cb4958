"""Whatever a run's records hold, there is a page and tables, or one clear sentence."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pyarrow.parquet
import pytest

from reports.__main__ import main
from reports.figures.fault_matrix import fault_matrix
from reports.figures.roofline import rooflines
from reports.figures.scaling import scalings
from reports.output.render import render
from reports.saved.records import RecordsError, read_run
from tests.reports.beside import row, run

DATA = Path(__file__).parents[1] / "data"

FAULTS_CHANGED = 3
"""The newest format in which a verification's faults changed."""


class Outside(HTMLParser):
    """Collects everything that a page would fetch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href") and value and not value.startswith(("#", "data:")):
                self.found.append((tag, value))


def page_of(folder):
    render(folder)
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["passing", "failing", "benched"])
def test_a_page_needs_nothing_but_itself(kind, request):
    folder = request.getfixturevalue(kind)
    page = page_of(folder)
    outside = Outside()
    outside.feed(page)
    files = {path.name for path in folder.iterdir()}
    assert {tag for tag, _ in outside.found} == {"a"}
    assert {value for _, value in outside.found} <= files  # tables that lie beside it
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "@import" not in page
    assert len(page) < 5e6


def test_a_passing_page_says_what_was_compared(passing):
    page = page_of(passing)
    for text in ("PASS", "The same model", "26.7.0", "0123456789ab", "A CPU, 2 threads",
                 "no accelerator here", "1234567890"):  # fmt: skip
        assert text in page, text


def test_a_failing_page_names_the_place_its_diagnosis_and_the_tensors_around_it(failing):
    page = page_of(failing)
    first_screen = page.partition('role="tablist"')[0]
    assert "h.1.mlp.act" in first_screen
    assert "found 0.5 x (1 + erf(x / sqrt(2)))" in first_screen
    assert len(re.findall(r'class="cell bad[^"]* origin"', first_screen)) == 1
    assert "Around the worst element: h.1.mlp.act, given-1x9" in page
    assert page.count("class=worst") == 4  # candidate, float64, and both differences


def test_a_failing_page_shows_where_the_stages_graph_departs(failing):
    first_screen = page_of(failing).partition('role="tablist"')[0]
    assert "This covers 4 of 6 failing comparisons." in first_screen
    assert "Also: ln_f: found eps = 1e-6" in first_screen
    assert "it matches up to act: 0.5 x (my_model.py:9); first differs: erf." in first_screen
    assert first_screen.count("class=departs") == 2  # few operations, and all of them
    assert first_screen.count("F.erf(x / 1.414)") >= 2
    assert "All 12 operations" in first_screen


def test_a_passing_page_has_no_graph_of_a_stage(passing):
    assert "graph-area" not in page_of(passing).partition("</style>")[2]


def test_a_failing_page_shows_the_whole_tensor_and_how_cells_were_made(failing):
    page = page_of(failing)
    assert "All of h.1.mlp.act, given-2x33" in page
    assert "A cell is 1 x 2 elements and shows the largest of them, not their mean" in page
    assert page.count('<i class="upright"') == 3 * 3  # three borders of four heads, three pictures
    assert page.count('<i class="level"') == 3


def test_a_page_shows_whose_names_stand_for_whose(failing):
    page = page_of(failing)
    panel = page.partition('id="panel-pairing"')[2].partition("</section>")[0]
    assert "blocks.{layer}.q.weight" in panel
    assert "transposed" in panel
    assert "nothing else has its shape" in panel
    assert "it only passes on what it is given" in panel
    assert "lm_head.weight" in panel


def test_a_run_without_a_pairing_has_no_panel_of_it(passing):
    assert "panel-pairing" not in page_of(passing)


def test_every_case_of_the_broken_place_is_shown(failing):
    page = page_of(failing)
    bars = page.partition("data-bars")[2].partition("</script>")[0].partition("<script")[0]
    assert re.findall(r'class="who">([^<]*)', bars) == ["given-1x9", "given-2x33", "stress-1x9"]
    assert bars.count("1,500x") == 6  # alone, and after all earlier places


def test_findings_are_a_table(failing):
    page_of(failing)
    assert (failing / "findings.csv").read_text().count("\n") == 3


def test_a_benchmarks_page_has_every_figure(benched):
    page = page_of(benched)
    for text in ("0.667", "FASTER", "SLOWER", "Roofline", "Samples over time", "Cost against",
                 "The fitted model", "phase or workload"):  # fmt: skip
        assert text in page, text
    assert len(re.findall(r'class="series-\d hollow dirty"', page)) > 0


def test_a_benchmarks_page_begins_with_the_answer_and_the_matrix(make_run):
    records = [*run(torch=2.0, openvino=0.5), row("ctranslate2", status="INVALID", reason="off")]
    page = page_of(make_run("bench", records, {"rows": 4}))
    first = page.partition("</style>")[2].partition('role="tablist"')[0]
    assert "<h1>MAX is slower than another arm</h1>" in first
    assert "MAX takes 2 [1.818, 2.2] times as long as the fastest (OpenVINO)" in first
    assert "Not compared: CTranslate2 (INVALID)." in first
    for says, text in (("faster", "MAX faster"), ("slower", "MAX slower"), ("none", "INVALID")):
        cell = first.partition(f'<td class="{says}"')[2].partition("</td>")[0]
        assert text in cell
        assert "data-tip=" in cell


@pytest.mark.parametrize("version", [1, 2, 3])
def test_benchmarks_of_older_formats_are_answered_as_far_as_they_tell(saved_run, version):
    page = page_of(saved_run(f"version-{version}-bench"))
    assert 'role="tablist"' in page


def test_a_matrix_is_a_table_of_the_markdown_too(make_run):
    folder = make_run("bench", run(torch=2.0), {"rows": 2})
    render(folder)
    text = (folder / "bench.md").read_text(encoding="utf-8")
    assert "## Time of each arm over MAX's (tiny, cpu, 2 threads)" in text
    assert "| torch | 2 [1.818, 2.2], MAX faster |" in text
    assert (folder / "pairs.csv").is_file()


@pytest.mark.parametrize("kind", ["verify", "bench"])
@pytest.mark.parametrize("end", [None, {}])
def test_an_empty_run_has_a_page_that_says_so(make_run, kind, end):
    page = page_of(make_run(kind, (), end))
    assert "EMPTY" in page
    assert ("interrupted" in page) is (end is None)


def test_a_run_with_only_skips_has_a_page_with_the_reasons(make_run):
    skip = {"record": "check", "case": "gpu", "mode": "device", "tap": "", "verdict": "SKIP",
            "message": "no accelerator here"}  # fmt: skip
    page = page_of(make_run("verify", [skip], {"verdict": "ERROR"}))
    assert "Nothing was verified" in page
    assert "no accelerator here" in page


def test_what_a_record_says_cannot_become_markup(make_run):
    nasty = "</script><script>alert(1)</script>"
    row = {"record": "check", "case": nasty, "mode": "isolated", "tap": nasty, "verdict": "FAIL",
           "message": nasty, "regime": nasty, "device": "cpu"}  # fmt: skip
    page = page_of(make_run("verify", [row], {"verdict": "FAIL"}, model=nasty))
    assert nasty not in page


def test_a_token_that_is_markup_stays_text(passing):
    assert "<b>" not in page_of(passing).partition("The next token")[2].partition("</table>")[0]


@pytest.mark.parametrize("length", [0.2, 0.5, 0.9])
def test_truncated_records_have_a_page_or_a_sentence(failing, length, capsys):
    path = failing / "records.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * length)])
    assert main([str(failing)]) == 0
    page = (failing / "report.html").read_text(encoding="utf-8")
    assert "cut off" in page
    assert "interrupted" in page


@pytest.mark.parametrize(
    "damage",
    [b"", b"PK\x03\x04 no archive", b"\x93NUMPY", None],
    ids=["empty", "zip", "npy", "cut"],
)
def test_damaged_arrays_cost_their_figures_only(passing, damage):
    path = passing / "artefacts.npz"
    path.write_bytes(path.read_bytes()[:-900] if damage is None else damage)
    page = page_of(passing)
    assert "artefacts.npz is damaged" in page
    assert "Error by place" in page
    assert "Attention" not in page


def test_arrays_of_unexpected_shapes_do_no_harm(passing):
    np.savez(passing / "artefacts.npz", **{
        "cpu/inside/attention_candidate": np.zeros(3), "cpu/inside/attention_torch": np.zeros(3),
        "cpu/inside/tokens": np.array(["a"]), "a/tokens/used": np.zeros(2), "odd": np.zeros(1),
        "a/logits/kl_nats": np.array([np.nan, np.inf]),
    })  # fmt: skip
    assert "Error by place" in page_of(passing)


@pytest.mark.parametrize(
    "records",
    [
        [{"record": "check"}],
        [{"record": "check", "mode": "isolated", "tap": 7, "verdict": None, "used": "many"}],
        [{"record": "check", "mode": "power", "verdict": "PASS", "details": "text"}],
        [{"record": "check", "mode": "isolated", "tap": "a", "verdict": "FAIL", "used": "nan",
          "rms": "inf", "relative": "nan"}],
        [{"record": "pairing"}, {"record": "pairing", "weights": [{}]}],
        [{"record": "fault"}, {"record": "row", "status": 3, "invalid_reasons": "text"}],
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["verify", "bench"])
def test_records_that_do_not_fit_are_a_page_or_a_sentence(make_run, capsys, kind, records):
    code = main([str(make_run(kind, records, {}))])
    errors = capsys.readouterr().err
    assert code in (0, 2)
    assert errors.count("\n") == (code == 2)


@pytest.mark.parametrize("name", sorted(file.stem for file in DATA.glob("*.jsonl")))
def test_runs_of_every_format_have_pages_and_tables(saved_run, name):
    folder = saved_run(name)
    version, kind = name.split("-")[1:]
    header = json.loads((folder / "records.jsonl").read_text().splitlines()[0])
    assert header["schema_version"] == int(version)
    assert main([str(folder)]) == 0
    assert main(["table", "--by", "check" if kind == "verify" else "row", str(folder)]) == 0
    assert (folder / "report.html").is_file()


@pytest.mark.parametrize("version", range(1, FAULTS_CHANGED + 1))
def test_a_caught_fault_is_one_in_every_format(saved_run, version):
    """`caught` meant less before format 3, and the details of a check had names of their own."""
    folder = saved_run(f"version-{version}-verify")
    matrix = fault_matrix(read_run(folder))
    assert matrix.caught == len(matrix.faults) >= 5
    for fault in matrix.faults:
        seen = [fault.best, *filter(None, fault.regimes)]
        assert all(sighting.caught for sighting in seen)
        assert all(re.search(r"allowed error in \w+-", sighting.tip) for sighting in seen)
    assert "chip missed" not in page_of(folder)


def test_parquet_keeps_types_and_tells_missing_from_not_a_number(make_run):
    folder = make_run("verify", [
        {"record": "check", "case": "a", "verdict": "FAIL", "used": "nan", "shape": [1, 9],
         "details": {"kl_max": 0.5, "other": 1}},
        {"record": "check", "case": "b", "verdict": "PASS", "used": None},
        {"record": "check", "case": "c", "verdict": "PASS", "used": 0.25},
    ], {})  # fmt: skip
    render(folder)
    table = pyarrow.parquet.read_table(folder / "checks.parquet")
    used = table["used"].to_pylist()
    assert np.isnan(used[0])
    assert used[1:] == [None, 0.25]
    assert table["kl_max_nats"].to_pylist() == [0.5, None, None]
    assert table["details"].to_pylist() == ['{"other": 1}', None, None]
    assert table["shape"].to_pylist() == ["1x9", None, None]
    assert "1x9" in (folder / "checks.csv").read_text()


def test_every_kind_of_record_is_a_table(benched):
    names = {path.name for path in render(benched)}
    kinds = ("bench", "effects", "nulls", "samples", "ceilings", "phases", "memory", "layers",
             "scaling")  # fmt: skip
    assert {f"{kind}.{end}" for kind in kinds for end in ("csv", "parquet")} <= names
    samples = pyarrow.parquet.read_table(benched / "samples.parquet")
    assert samples.num_rows == 120
    assert samples["steps_ns"].to_pylist()[0] == [1, 2]


def test_junit_counts_what_failed_and_was_skipped(failing):
    render(failing)
    suite = ET.parse(failing / "junit.xml").getroot()[0]
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert "h.1.mlp.act" in failed
    assert suite.get("failures") == str(len(failed))
    assert suite.get("skipped") == "1"
    assert int(suite.get("tests")) == len(suite)


def test_junit_of_a_benchmark_has_a_test_for_each_row(make_run):
    rows = [
        {"record": "row", "workload": "pp32", "arm": arm, "device": "cpu", "status": status,
         "invalid_reasons": ["because \x00 of this"]}
        for arm, status in (("a", "VALID"), ("b", "INVALID"), ("c", "ERROR"), ("d", "SKIP"))
    ]  # fmt: skip
    folder = make_run("bench", rows, {})
    render(folder)
    suite = ET.parse(folder / "junit.xml").getroot()[0]
    kinds = [[child.tag for child in case] for case in suite]
    assert kinds == [[], ["failure"], ["error"], ["skipped"]]


def test_the_summary_is_appended_where_asked_and_where_github_wants_it(
    failing, tmp_path, monkeypatch
):
    asked, wanted = tmp_path / "asked.md", tmp_path / "wanted.md"
    asked.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(wanted))
    assert main([str(failing), "--summary", str(asked)]) == 0
    assert asked.read_text() == "before\n" + wanted.read_text()
    assert "❌ Verification: Not the same model (FAIL)" in wanted.read_text()
    assert "**Diagnosis:** h.1.mlp.act" in wanted.read_text()


def test_a_summary_that_cannot_be_written_is_one_sentence(passing, tmp_path, capsys):
    assert main([str(passing), "--summary", str(tmp_path / "no" / "file.md")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_pages_are_the_same_every_time(passing):
    assert page_of(passing) == page_of(passing)


def test_an_unknown_kind_is_said(make_run):
    with pytest.raises(RecordsError, match="unknown kind"):
        render(make_run("other"))


def test_a_run_is_read_only(passing):
    before = (passing / "records.jsonl").read_bytes()
    render(passing)
    assert (passing / "records.jsonl").read_bytes() == before
    assert read_run(passing).end is not None


@pytest.mark.parametrize(
    ("kind", "records"),
    [
        ("verify", [{"mode": "isolated", "verdict": "ERROR"}, {"mode": "logits", "verdict": "ERROR",
                     "details": {}}, {"mode": "engine", "case": "a", "verdict": "FAIL"}]),
        ("verify", [{"mode": "power", "verdict": "UNDERPOWERED"}, {"mode": "power", "case": "a",
                     "verdict": "SKIP"}, {"mode": "max-power", "verdict": "PASS"}]),
        ("bench", [{"record": "row", "status": "INVALID"}, {"record": "row", "status": "ERROR",
                    "workload": "pp8"}, {"record": "null"}, {"record": "effect", "ratio": "nan"}]),
    ],
)  # fmt: skip
def test_a_record_of_few_fields_does_no_harm(make_run, tmp_path, kind, records):
    folder = make_run(kind, [{"record": "check"} | record for record in records])
    summary = tmp_path / "summary.md"
    render(folder, summary)
    words = re.split(
        r"<script>|[^\w]+", page_of(folder).partition("<main")[2].partition("<script")[0]
    )
    assert "nan" not in words or kind == "bench"
    assert summary.read_text().startswith("## ")


def test_the_fit_shows_the_cost_of_a_pass(benched):
    page = page_of(benched)
    assert "a pass" in page
    assert "250 µs" in page


def test_models_of_one_run_are_not_mixed(make_run):
    place = {"arm": "max", "device": "cpu", "dtype": "float32", "threads": 2}
    rows = [
        place | {"record": "row", "status": "VALID", "model": model, "workload": f"pp{length}",
                 "n_prompt": length, "batch": 1, "median_s": scale * length}
        for model, scale in (("small", 1e-5), ("large", 1e-3)) for length in (8, 32)
    ]  # fmt: skip
    points = [{key: row[key] for key in ("model", "workload")} | {"fitted_s": row["median_s"]}
              for row in rows]  # fmt: skip
    fit = place | {"record": "scaling", "model": "small, large", "points": points}
    run = read_run(make_run("bench", [*rows, fit], {"rows": 4}))
    (length,) = scalings(run)
    tips = [mark.tip for mark in length.figure.marks if mark.tip]
    assert len(tips) == 4
    assert len([tip for tip in tips if "large" in tip]) == 2
    assert len([mark for mark in length.figure.marks if mark.tag == "polyline"]) == 2


def test_the_roof_is_the_best_of_all_ceilings(make_run):
    place = {"device": "cpu", "dtype": "float32"}
    row = place | {"record": "row", "status": "VALID", "workload": "pp8", "arm": "max",
                   "flops": 1e9, "bytes": 1e7, "median_s": 0.01}  # fmt: skip
    ceilings = [
        place | {"record": "ceiling", "ceiling": name, "value": value}
        for name, value in (("read", 30), ("read_weights", 120), ("gemm", 150), ("replay", 180))
    ]
    (roof,) = rooflines(read_run(make_run("bench", [row, *ceilings], {"rows": 1})))
    texts = [mark.text for mark in roof.figure.marks if mark.text]
    assert texts == ["multiply 180 GFLOP/s", "read 120 GB/s"]


def test_figures_name_the_precision_of_the_run(make_run):
    checks = [
        {"record": "check", "mode": "isolated", "case": "given-1x8", "regime": "given",
         "tap": "transformer.h.0", "device": "cpu", "dtype": "bfloat16", "verdict": "PASS",
         "rms": 1e-3, "relative": 1e-3, "torch_rms": 1e-3, "envelope_rms": 2e-3, "used": 0.3},
        {"record": "check", "mode": "precision", "case": "cpu", "verdict": "PASS", "details":
         {"class": "bfloat16", "median_bits": 8.94, "least_bits": 8.4}},
    ]  # fmt: skip
    page = page_of(make_run("verify", checks, {"verdict": "PASS", "dtypes": ["bfloat16"]}))
    assert "what bfloat16 allows" in page
    assert "envelope of bfloat16" in page
    assert "2⁻⁸" in page
    assert "float32" not in page.partition("<main")[2].partition("<script")[0]
    assert ">8.9" in page
