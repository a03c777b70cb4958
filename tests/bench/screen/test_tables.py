"""The table fits 100 columns, and every row without a speed has its reason below."""

import io

from rich.console import Console

from bench.results.rows import skip_row
from bench.screen.tables import error_lines, notes, reason_lines, shares_line, show
from reports.commands import WIDTH
from reports.tables.draws import inconclusive_lines

ROW = {
    "record": "row", "model": "tiny", "workload": "tg128 @ d1024 b64", "arm": "torch-compile",
    "device": "cpu", "threads": 2, "status": "VALID", "median_s": 1.2345, "ci_lo_s": 1.1234,
    "ci_hi_s": 1.4567, "tok_s": 123456.7, "roofline_pct": 45.6, "bound": "memory",
    "spread_processes_pct": 12.34, "spread_quads_pct": 45.67, "peak_rss_mib": 12345.6,
    "load_s": 1.0, "compile_s": 60.0, "compile_cache": "cold",
    "ttft_ms": 12.3, "tpot_ms": 4.5, "itl_ms_p99": None, "invalid_reasons": [],
}  # fmt: skip
INVALID = ROW | {
    "arm": "max", "status": "INVALID", "median_s": None, "ci_lo_s": None, "ci_hi_s": None,
    "tok_s": None, "roofline_pct": None, "ttft_ms": None, "invalid_reasons": ["not verified"],
}  # fmt: skip
EFFECT = {
    "record": "effect", "model": "tiny", "workload": "tg128 @ d1024 b64", "device": "cpu",
    "threads": 2, "arm": "torch-compile", "versus": "torch", "ratio": 0.123456,
    "ci_lo": 0.0123456, "ci_hi": 0.234567, "verdict": "INCONCLUSIVE", "why": "",
    "more_processes": 4, "more_processes_s": 50.0, "more_quads": 9, "more_quads_s": 70.0,
}  # fmt: skip
NULL = {
    "record": "null", "model": "tiny", "workload": "pp8", "arm": "torch#2", "device": "cpu",
    "threads": 2, "versus": "torch", "ratio": 1.01, "ci_lo": 0.99, "ci_hi": 1.03, "failed": False,
}  # fmt: skip


def shown(rows, others=()):
    console = Console(width=WIDTH, file=io.StringIO())
    show(console, [*rows, *others])
    return console.file.getvalue()


def test_the_widest_row_fits_and_nothing_is_cut():
    text = shown([ROW], [EFFECT])
    assert max(map(len, text.splitlines())) <= WIDTH
    flat = " ".join(text.split())
    for part in (
        "tg128 @ d1024 b64",
        "torch-compile",
        "1,234",
        "123,457",
        "0.123",
        "46% m",
        "VALID",
    ):
        assert part in flat
    assert "…" not in text


def test_intervals_stand_beside_their_figures():
    text = shown([ROW | {"workload": "pp8", "arm": "max"}])
    assert "1,234 [1,123, 1,457]" in text


def test_a_row_without_a_speed_shows_none():
    text = shown([INVALID])
    assert "INVALID" in text
    assert "1,234" not in text
    assert "INVALID max on cpu (tg128 @ d1024 b64): not verified" in text


def test_each_reason_is_told_once_for_all_its_workloads():
    rows = [INVALID, INVALID | {"workload": "tg16"}, skip_row("max", "gpu", "no accelerator")]
    assert reason_lines(rows) == [
        "INVALID max on cpu (tg128 @ d1024 b64, tg16): not verified",
        "SKIP max on gpu: no accelerator",
    ]


def test_phases_latencies_and_the_null_are_told():
    text = shown([ROW], [EFFECT, NULL])
    assert "torch-compile on cpu: load 1 s, compile 1 min (cold)" in text
    assert "Most memory held: torch-compile 12,346 MiB" in text
    assert "TTFT 12.3 ms, TPOT 4.5 ms\n" in text
    assert "Null, torch against itself: pp8 1.010 [0.990, 1.030]" in text


def test_a_start_goes_to_the_first_call_and_copies_stand_apart():
    rows = [
        ROW | {"first_call_s": 0.5, "host_copy_s": 0.0123},
        ROW | {"workload": "pp8", "first_call_s": 0.01, "host_copy_s": 1e-6},
    ]
    text = " ".join(shown(rows).split())
    assert "compile 1 min (cold), first call 500 ms" in text
    assert "at most: torch-compile 12.3 ms, 1% of a call (tg128 @ d1024 b64)" in text


def test_the_nulls_second_runner_has_no_line_in_the_table():
    table = shown([ROW, ROW | {"arm": "torch#2"}], [NULL]).partition("[ ]:")[0]
    assert "torch-compile" in table
    assert "torch#2" not in table


def test_what_is_open_says_what_it_needs():
    (line,) = inconclusive_lines([EFFECT])
    assert line.endswith("needs about 4 more processes of each arm (50 s)")
    (line,) = inconclusive_lines([EFFECT | {"more_quads_s": 20.0}])
    assert line.endswith("needs about 9 more quads in each process (20 s)")
    (line,) = inconclusive_lines([EFFECT | {"more_processes": None, "more_quads": None}])
    assert "no number of processes" in line
    (line,) = inconclusive_lines([EFFECT | {"why": "one process of each arm"}])
    assert line.endswith("(one process of each arm)")
    (line,) = inconclusive_lines([EFFECT | {"blocks_needed": 24}])  # format 3
    assert "24 more blocks" in line


def test_threads_and_devices_have_a_column_where_there_are_several():
    text = shown([ROW, ROW | {"threads": 1}, ROW | {"device": "gpu"}])
    assert "threads" in text
    assert "device" in text
    table = shown([ROW]).partition("[ ]:")[0]
    assert "threads" not in table
    assert "device" not in table


def test_a_disturbed_machine_and_a_null_that_failed_are_told():
    assert "63%" in notes([], 63.2)[0]
    assert notes([NULL], 1.0) == notes([], None) == []
    (note,) = notes([NULL | {"failed": True}], None)
    assert "The null of pp8 failed" in note


def test_errors_on_the_weights_as_they_are_stand_class_by_class():
    def one(arm, class_, error):
        return {"arm": arm, "compared_in": class_, "error_relative": error}

    rows = [one("max", "float32", 6.6e-7), one("torch", "float32", 0.0)]
    rows += [one("torch#2", "float32", 0.0), one("torch-compile", "float32", None), rows[0]]
    rows += [one("max-int8", "8 bits", 0.02)]
    text = "Largest difference to PyTorch in float32 over the largest logit, "
    assert error_lines(rows, ["torch#2"]) == [
        f"{text}float32: max 6.6e-07, torch 0.0e+00", f"{text}8 bits: max-int8 2.0e-02",
    ]  # fmt: skip


def test_what_a_pause_costs_is_told_where_it_matters():
    assert notes([ROW | {"paused_ratio": 1.05}], None) == []
    (note,) = notes([ROW | {"paused_ratio": 1.63}], None)
    assert "takes 1.63 times as long" in note


def test_typical_calls_that_say_something_else_are_told():
    assert notes([EFFECT], None) == notes([EFFECT | {"ratio_typical": 0.125}], None) == []
    (note,) = notes([EFFECT | {"ratio_typical": 0.2}], None)
    assert "typical calls have a ratio of 0.2, the fastest 0.123" in note


def test_shares_of_the_wall_time_are_told():
    shares = {"loading_s": 30.0, "timing_s": 60.0, "rest_s": 10.0, "wall_s": 100.0}
    line = shares_line(shares)
    assert "loading 30%, timing 60%, rest 10%" in line
