"""The fit finds the cost that rows were made with, and says which rows are far from it."""

import pytest

from bench.commands.scaling import far_lines
from bench.results.fit import FEWEST_ROWS, fit, make_scaling
from bench.workload.work import work
from bench.workload.workload import Workload
from impl.config import PRESETS

SWEEP = [
    Workload(batch=b, **sizes)
    for b in (1, 4)
    for sizes in ({"n_prompt": 8}, {"n_prompt": 128}, {"n_gen": 8, "n_depth": 100})
]


def row(model, workload, *, pass_s, gflop_s, gb_s, factor=1.0, **fields):
    needed = work(PRESETS[model], workload, "float32")
    seconds = needed.passes * pass_s + needed.flops_executed / gflop_s / 1e9
    seconds += needed.bytes / gb_s / 1e9 if gb_s else 0.0
    return {
        "record": "row", "status": "VALID", "model": model, "workload": workload.name,
        "arm": "max", "device": "cpu", "dtype": "float32", "threads": 2,
        "median_s": factor * seconds, "passes": needed.passes, "bytes": needed.bytes,
        "flops_executed": needed.flops_executed, "roofline_pct": 50.0,
    } | fields  # fmt: skip


def test_all_three_costs_are_found_where_models_differ_in_size():
    rows = [
        row(model, w, pass_s=2e-3, gflop_s=150.0, gb_s=30.0)
        for model in ("tiny", "distilgpt2", "gpt2") for w in SWEEP
    ]  # fmt: skip
    found = fit(rows)
    assert found.pass_s == pytest.approx(2e-3, rel=1e-4)
    assert found.gflop_s == pytest.approx(150, rel=1e-4)
    assert found.gb_s == pytest.approx(30, rel=1e-4)
    assert found.fitted_s == pytest.approx([r["median_s"] for r in rows])


def test_with_one_model_a_pass_includes_the_reading():
    rows = [row("gpt2", w, pass_s=1e-3, gflop_s=150.0, gb_s=30.0) for w in SWEEP]
    found = fit(rows)
    assert found.gb_s is None
    assert found.pass_s == pytest.approx(1e-3 + 494.6e6 / 30e9, rel=0.2)


def test_a_cost_that_is_not_there_is_none_and_never_negative():
    rows = [row("tiny", w, pass_s=1e-3, gflop_s=1e12, gb_s=None) for w in SWEEP]
    found = fit(rows)
    assert found.pass_s == pytest.approx(1e-3, rel=1e-3)
    assert found.gflop_s is None or found.gflop_s > 1e6


def test_each_arm_has_a_record_and_what_is_not_valid_is_left_out():
    good = [row("tiny", w, pass_s=1e-3, gflop_s=100.0, gb_s=None) for w in SWEEP]
    bad = [r | {"arm": "torch", "status": "INVALID", "median_s": None} for r in good]
    second = [r | {"arm": "max#2"} for r in good]
    (record,) = make_scaling([*good, *bad, *second])
    assert (record["arm"], record["workloads"]) == ("max", len(SWEEP))
    assert record["points"][0]["ceiling_s"] == pytest.approx(good[0]["median_s"] / 2)
    assert record["worst_error_pct"] < 1


def test_too_few_rows_are_not_fitted():
    rows = [row("tiny", w, pass_s=1e-3, gflop_s=100.0, gb_s=None) for w in SWEEP]
    assert make_scaling(rows[: FEWEST_ROWS - 1]) == []


def test_where_cost_is_not_explained_is_said():
    rows = [row("tiny", w, pass_s=1e-3, gflop_s=100.0, gb_s=None) for w in SWEEP]
    rows[1] = rows[1] | {"median_s": 3 * rows[1]["median_s"]}
    (record,) = make_scaling(rows)
    assert any(SWEEP[1].name in line for line in far_lines(record))
