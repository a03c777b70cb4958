"""Tables show the worst case of every place, and say so where there is nothing to show."""

import pandas as pd
import pytest

from reports.figures.model_map import place_map
from reports.output.render import render
from reports.saved.records import RecordsError, RunWriter, read_run
from reports.tables.frames import (
    checks_frame,
    computing_taps,
    gravest_by_tap,
    layers_frame,
    rows_frame,
)


def run_of(tmp_path, kind, records, summary=None):
    with RunWriter(kind, command=[], environment={"model": "tiny"}, root=tmp_path) as writer:
        for record in records:
            writer.write(record)
        if summary is not None:
            writer.finish(summary)
    return writer.folder


def check(tap, *, used=0.1, verdict="PASS", mode="isolated", **rest):
    base = {
        "record": "check", "case": "c", "mode": mode, "tap": tap, "device": "cpu", "shape": [1, 8],
        "rms": 1e-7, "torch_rms": 2e-7, "used": used, "verdict": verdict, "message": "",
    }  # fmt: skip
    return base | rest


def layers(tmp_path, records, order=()):
    return layers_frame(checks_frame(read_run(run_of(tmp_path, "verify", records))), order)


def test_a_tap_has_one_row_with_its_worst_case(tmp_path):
    table = layers(tmp_path, [check("a", used=0.2, rms=1.0), check("a", used=0.7, rms=2.0)])
    assert table[["tap", "error", "used"]].to_numpy().tolist() == [["a", 2.0, 0.7]]


def test_a_failure_is_worse_than_any_share_of_the_allowed_error(tmp_path):
    records = [check("a", used=0.9), check("a", used=0.1, verdict="FAIL")]
    assert layers(tmp_path, records)["used"].tolist() == [0.1]


def test_a_measured_nan_is_the_worst_of_all(tmp_path):
    records = [check("a", used=9.0, verdict="FAIL"), check("a", used=float("nan"), verdict="FAIL")]
    assert layers(tmp_path, records)["used"].tolist() == ["nan"]


def test_a_failure_that_shows_only_when_running_free_is_in_the_verdict(tmp_path):
    records = [check("a"), check("a", mode="free", verdict="FAIL", used=4.0)]
    table = layers(tmp_path, records)
    assert table["verdict"].tolist() == ["FAIL"]
    assert table["used"].tolist() == [0.1]
    assert table["used_free"].tolist() == [4.0]


def test_taps_stand_in_the_order_of_execution(tmp_path):
    records = [check("b"), check("unknown"), check("a")]
    assert layers(tmp_path, records, ["a", "b"])["tap"].tolist() == ["a", "b", "unknown"]


def test_devices_are_not_mixed(tmp_path):
    records = [check("a"), check("a", device="gpu", verdict="FAIL")]
    assert layers(tmp_path, records)["verdict"].tolist() == ["PASS", "FAIL"]


def test_a_verification_is_rendered_by_layer(tmp_path):
    records = [check("a", used=0.25), check("lm_head", mode="plain", message="x | y")]
    folder = run_of(tmp_path, "verify", records, {"verdict": "PASS", "order": ["a"]})
    files = render(folder)
    assert [file.name for file in files] == [
        "report.html", "checks.md", "checks.csv", "checks.parquet", "junit.xml",
    ]  # fmt: skip
    text = files[1].read_text()
    assert "- verdict: PASS" in text
    assert "| a     | 1x8     | 1.00e-07 | 2.00e-07  | 25%    | -      | PASS      |" in text
    assert r"x \| y" in text
    assert len(pd.read_csv(files[2])) == 2
    assert render(folder) == files


def test_a_run_without_checks_says_so(tmp_path):
    files = render(run_of(tmp_path, "verify", []))
    assert "No checks were recorded" in files[1].read_text()
    assert "interrupted" in files[1].read_text()


def test_a_run_that_skipped_everything_says_so_and_why(tmp_path):
    records = [check("", mode="device", verdict="SKIP", used=None, message="no accelerator here")]
    text = render(run_of(tmp_path, "verify", records, {"verdict": "ERROR"}))[1].read_text()
    assert "Every check was skipped" in text
    assert "- no accelerator here" in text


def test_records_of_other_versions_do_no_harm(tmp_path):
    records = [{"record": "check", "verdict": "PASS", "novelty": 1}, {"record": "other"}]
    folder = run_of(tmp_path, "verify", records, {})
    assert "novelty" in pd.read_csv(render(folder)[2]).columns


ROW = {
    "record": "row", "workload": "pp32", "arm": "max", "device": "cpu", "status": "VALID",
    "median_s": 0.0125, "ci_lo_s": 0.012, "ci_hi_s": 0.013, "tok_s": 2560.0, "peak_rss_mib": 100.5,
    "threads": 2, "invalid_reasons": [],
}  # fmt: skip


def test_a_benchmark_is_rendered_by_workload_and_arm(tmp_path):
    invalid = ROW | {
        "arm": "torch", "status": "INVALID", "median_s": None, "ci_lo_s": None, "ci_hi_s": None,
        "tok_s": None, "invalid_reasons": ["one", "two"],
    }  # fmt: skip
    effect = {"record": "effect", "workload": "pp32", "arm": "max", "versus": "torch", "ratio": 0.5}
    folder = run_of(tmp_path, "bench", [ROW, invalid, effect], {})
    names = [file.name for file in render(folder)]
    assert names == [
        "report.html", "bench.md", "bench.csv", "bench.parquet", "effects.csv", "effects.parquet",
        "junit.xml",
    ]  # fmt: skip
    text = (folder / "bench.md").read_text()
    assert "12.5" in text
    assert "12 to 13" in text
    assert "one; two" in text
    assert "0.5" in text.partition("Time of one arm")[2]
    assert pd.read_csv(folder / "bench.csv")["tok_s"].isna().tolist() == [False, True]


def test_a_benchmark_without_rows_says_so(tmp_path):
    text = render(run_of(tmp_path, "bench", [{"record": "sample"}]))[1].read_text()
    assert "No rows were recorded (1 samples were)" in text


def test_a_benchmark_that_skipped_everything_says_so(tmp_path):
    skip = {"record": "row", "status": "SKIP", "invalid_reasons": ["no accelerator here"]}
    text = render(run_of(tmp_path, "bench", [skip], {}))[1].read_text()
    assert "nothing was measured" in text
    assert "no accelerator here" in text


def test_columns_come_in_a_fixed_order_even_without_records(tmp_path):
    frame = rows_frame(read_run(run_of(tmp_path, "bench", [])))
    assert frame.columns[:3].tolist() == ["model", "workload", "arm"]


def test_an_unknown_kind_of_run_is_said(tmp_path):
    with pytest.raises(RecordsError, match="unknown kind"):
        render(run_of(tmp_path, "other", []))


def test_a_benchmark_of_the_first_format_is_still_rendered(tmp_path):
    """What it lacks is left empty."""
    effect = {
        "record": "effect", "workload": "pp32", "device": "cpu", "arm": "max", "versus": "torch",
        "ratio": 0.5, "ci_lo": 0.4, "ci_hi": 0.6, "quads": 12,
    }  # fmt: skip
    folder = run_of(tmp_path, "bench", [ROW, effect], {})
    render(folder)
    text = (folder / "bench.md").read_text()
    assert "| 0.5" in text
    assert "nan" not in text.lower()


def test_null_and_ceilings_have_tables(tmp_path):
    null = {"record": "null", "workload": None, "arm": "torch#2", "versus": "torch", "ratio": 1.01,
            "ci_lo": 0.99, "ci_hi": 1.03}  # fmt: skip
    ceiling = {"record": "ceiling", "ceiling": "gemm", "unit": "GFLOP/s", "value": 180.5}
    folder = run_of(tmp_path, "bench", [ROW, null, ceiling], {})
    render(folder)
    text = (folder / "bench.md").read_text()
    assert "0.990 to 1.030" in text
    assert "180.5" in text


def test_the_map_shows_the_device_that_fails(tmp_path):
    checks = [
        check("transformer.h.0", verdict="FAIL", used=3.0, device="cpu", envelope_rms=1e-7),
        check("transformer.h.0", used=0.2, device="gpu", envelope_rms=1e-7),
    ]
    run = read_run(run_of(tmp_path, "verify", checks))
    shown = place_map(layers_frame(checks_frame(run)), ["transformer.h.0"], None)
    assert [cell.verdict for _, cells in shown.rows for cell in cells if cell] == ["FAIL"]


def test_a_failure_without_a_figure_is_worse_than_one_with(tmp_path):
    """A wrong shape cannot be measured."""
    records = [
        check("a", used=9.0, verdict="FAIL"),
        check("a", used=None, verdict="FAIL", rms=None),
    ]
    assert layers(tmp_path, records)["used"].tolist() == [None]


def test_of_several_devices_the_one_that_fails_is_shown(tmp_path):
    records = [
        check("a", used=0.9), check("a", device="gpu", used=3.0, verdict="FAIL"),
        check("b", used=0.2), check("b", device="gpu", used=0.3),
    ]  # fmt: skip
    rows = gravest_by_tap(layers(tmp_path, records))
    assert [(row["tap"], row["device"]) for row in rows] == [("a", "gpu"), ("b", "gpu")]


def test_a_tap_where_nothing_is_computed_has_no_envelope(tmp_path):
    records = [check("a", envelope_rms=1e-7), check("b", envelope_rms=0.0), check("c")]
    assert computing_taps(checks_frame(read_run(run_of(tmp_path, "verify", records)))) == ["a"]


def test_a_multiple_is_written_alike_in_every_table(tmp_path):
    """50 times the allowed error was 5000% in Markdown, and 50x on the page."""
    folder = run_of(
        tmp_path, "verify", [check("a", used=50.0, verdict="FAIL")], {"verdict": "FAIL"}
    )
    render(folder)
    page, text = ((folder / name).read_text() for name in ("report.html", "checks.md"))
    assert "50x" in page
    assert "50x" in text
    assert "5000%" not in page + text
