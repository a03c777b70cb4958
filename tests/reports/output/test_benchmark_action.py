"""Speeds as github-action-benchmark reads them."""

import json

import pytest

from reports.__main__ import main
from tests.reports.conftest import benchmark

LOAD = {
    "record": "load", "model": "tiny", "workload": "64+16", "arm": "max", "device": "cpu",
    "dtype": "float32", "threads": 2, "loop": "closed", "load": 2, "status": "VALID",
    "invalid_reasons": [], "ttft_ms_p50": 12.0, "tpot_ms_p50": 3.0, "e2e_ms_p50": 60.0,
    "ttft_ms_p90": None, "tok_s": 500.0, "tok_s_ci_lo": 480.0, "tok_s_ci_hi": 520.0,
    "requests_s": 30.0,
}  # fmt: skip


@pytest.fixture
def export(capsys):
    """Entries by name, and what was said of the rest."""

    def run(*argv):
        assert main(["export", *map(str, argv)]) == 0
        out, err = capsys.readouterr()
        entries = json.loads(out)
        for entry in entries:
            assert set(entry) <= {"name", "unit", "value", "range", "extra"}
            assert isinstance(entry["value"], float)
            assert all(isinstance(entry[key], str) for key in entry.keys() - {"value"})
        return {entry["name"]: entry for entry in entries}, err

    return run


def of(entries, *words):
    (name,) = [name for name in entries if all(word in name for word in words)]
    return entries[name]


def test_times_and_ratios_are_better_smaller(export, benched):
    entries, _ = export(benched)
    time = of(entries, "pp32 · max ·", "median")
    assert (time["unit"], time["value"]) == ("ms", 2.0)
    assert time["range"] == "95%: 1.96 to 2.06"
    assert of(entries, "pp32 · max ·", "time over torch's")["unit"] == "ratio"
    assert len(entries) == 6 + 3


def test_tokens_are_better_bigger_and_as_sure_as_their_times(export, benched):
    entries, _ = export("--better", "bigger", benched)
    tokens = of(entries, "pp32 · max ·")
    assert (tokens["unit"], tokens["value"]) == ("tokens/s", 500.0)
    assert tokens["range"] == "95%: 485.4 to 510.2"


def test_names_are_the_same_for_another_run_and_unlike_for_another_machine(export, make_run):
    one, other = (make_run("bench", *benchmark(), commit=str(number)) for number in range(2))
    elsewhere = make_run("bench", *benchmark(), cpu="Another CPU")
    flags = make_run("bench", *benchmark(), cpu_flags="avx2")
    names = [set(export(run)[0]) for run in (one, other, elsewhere, flags)]
    assert names[0] == names[1]
    assert not names[0] & names[2]
    assert not names[0] & names[3]


@pytest.mark.parametrize("status", ["INVALID", "ERROR", "SKIP"])
def test_only_valid_rows_have_a_speed_and_the_others_are_said(export, make_run, status):
    records, end = benchmark()
    wrong = next(r for r in records if r["record"] == "row" and r["arm"] == "max")
    wrong |= {"status": status, "invalid_reasons": ["outputs disagree"]}
    for better in ("smaller", "bigger"):
        entries, said = export("--better", better, make_run("bench", records, end))
        assert not [name for name in entries if "pp32 · max" in name]
        assert f"not exported: pp32 max cpu is {status}: outputs disagree" in said


def test_a_null_is_no_speed(export, make_run):
    records, end = benchmark()
    row = next(r for r in records if r["record"] == "row" and r["arm"] == "torch")
    entries, _ = export(make_run("bench", [*records, row | {"arm": "torch#2"}], end))
    assert not [name for name in entries if "#2" in name]


def test_a_server_under_load_is_exported(export, make_run):
    run = make_run("bench", [{"record": "load_plan", "plan": {}}, LOAD], {})
    entries, _ = export(run)
    assert of(entries, "2 at a time", "time to first token, p50")["value"] == 12.0
    assert len(entries) == 3  # of percentiles without enough samples there is no figure
    entries, _ = export("--better", "bigger", run)
    assert of(entries, "throughput")["range"] == "95%: 480 to 520"
    assert of(entries, "answers")["unit"] == "answers/s"


def test_the_newest_benchmark_is_meant_where_none_is_named(benched, monkeypatch, export):
    monkeypatch.setenv("MAX_PARITY_RUNS", str(benched.parents[1]))
    assert export()[0] == export(benched)[0]


@pytest.mark.parametrize(
    ("runs", "sentence"),
    [(("passing",), "holds no benchmark"), (("benched", "benched"), "export one of them"),
     (("invalid",), "there is no VALID row to export; pp32 max"), ((), "there is no benchmark")],
)  # fmt: skip
def test_what_cannot_be_exported_is_one_sentence(
    runs, sentence, request, make_run, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("MAX_PARITY_RUNS", str(tmp_path / "none"))
    row = {"record": "row", "workload": "pp32", "arm": "max", "status": "INVALID"}
    found = [
        make_run("bench", [row], {}) if name == "invalid" else request.getfixturevalue(name)
        for name in runs
    ]
    out = tmp_path / "out.json"
    assert main(["export", "-o", str(out), *map(str, found)]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not out.exists()
