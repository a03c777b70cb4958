"""The table fits 100 columns, and every row without a speed has its reason below."""

import io

from rich.console import Console

from bench.display import WIDTH, pressure_note, reason_lines, show
from bench.rows import skip_row

ROW = {
    "workload": "pp1024 b64", "arm": "torch#2", "device": "gpu:12", "status": "VALID",
    "median_s": 1.2345, "ci_lo_s": 1.1234, "ci_hi_s": 1.4567, "tok_s": 123456.7,
    "peak_rss_mib": 12345.6, "load_s": 1.0, "compile_s": 60.0, "invalid_reasons": [],
}  # fmt: skip
INVALID = ROW | {
    "arm": "max", "status": "INVALID", "median_s": None, "ci_lo_s": None, "ci_hi_s": None,
    "tok_s": None, "invalid_reasons": ["not verified"],
}  # fmt: skip
EFFECT = {
    "workload": "pp1024 b64", "device": "gpu:12", "arm": "torch#2", "versus": "torch",
    "ratio": 0.123456, "ci_lo": 0.0123456, "ci_hi": 0.234567,
}  # fmt: skip


def shown(rows, effects=()):
    console = Console(width=WIDTH, file=io.StringIO())
    show(console, rows, effects)
    return console.file.getvalue()


def test_the_widest_row_fits_and_nothing_is_cut():
    text = shown([ROW], [EFFECT])
    assert max(map(len, text.splitlines())) <= WIDTH
    flat = " ".join(text.split())
    for part in ("pp1024 b64", "torch#2", "gpu:12", "1,234 ms", "123,457", "0.123", "VALID"):
        assert part in flat
    assert "…" not in text


def test_intervals_stand_beside_their_figures():
    text = shown([ROW | {"workload": "pp8", "arm": "max", "device": "cpu"}])
    assert "1,234 ms [1,123, 1,457]" in text


def test_a_row_without_a_speed_shows_none():
    text = shown([INVALID])
    assert "INVALID" in text
    assert " ms" not in text.partition("95% interval")[0]
    assert "INVALID max on gpu:12 (pp1024 b64): not verified" in text


def test_each_reason_is_told_once_for_all_its_workloads():
    rows = [INVALID, INVALID | {"workload": "tg16"}, skip_row("max", "gpu", "no accelerator")]
    assert reason_lines(rows) == [
        "INVALID max on gpu:12 (pp1024 b64, tg16): not verified",
        "SKIP max on gpu: no accelerator",
    ]


def test_phases_are_told():
    assert "max on gpu:12: load 1.0 s, compile 60.0 s" in shown([INVALID])


def test_a_disturbed_machine_is_told():
    assert "63%" in pressure_note(63.2)
    assert pressure_note(1.0) == pressure_note(None) == ""
