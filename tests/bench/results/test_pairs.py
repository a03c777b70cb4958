"""Ratios to MAX come from each pair's own quads, whatever the baseline is."""

import dataclasses
import math

import numpy as np
import pytest

from bench.results.effects import make_effects, make_nulls
from bench.results.pairs import make_pairs
from bench.results.rows import make_rows
from bench.results.whole import make_results
from tests.bench.helpers import PP8, TG4, contestant, group


def results(*arms, baseline="", unverified="", **fields):
    made = group(*arms, **fields)
    made.plan = dataclasses.replace(made.plan, baseline=baseline)
    rows = make_rows(made, {("cpu", "auto"): unverified})
    return made, rows


def pairs_of(*arms, **fields):
    return {(p["arm"], p["versus"]): p for p in make_pairs(*results(*arms, **fields))}


def arms(**milliseconds):
    return [contestant(name.replace("_", "-"), ms) for name, ms in milliseconds.items()]


def test_every_arm_is_beside_max_and_the_nulls_second_runner_is_not():
    found = pairs_of(*arms(max=5.0, torch=10.0, onnxruntime=4.0), contestant("torch#2"))
    assert set(found) == {("torch", "max"), ("onnxruntime", "max")}
    assert found["torch", "max"]["ratio"] == pytest.approx(2)
    assert found["torch", "max"]["verdict"] == "SLOWER"
    assert found["onnxruntime", "max"]["ratio"] == pytest.approx(0.8)
    assert found["onnxruntime", "max"]["verdict"] == "FASTER"


def shaken(label, milliseconds, moments, seed):
    """An arm whose quads follow moments that others share, and a noise of its own."""
    rng = np.random.default_rng(seed)
    made = contestant(label, milliseconds, processes=5, quads=6)
    own = np.exp(0.005 * rng.standard_normal(30))
    for sample in made.samples[PP8.name]:
        quad = sample["quad"]
        sample["time_ns"] = int(sample["time_ns"] * moments[quad] * own[quad])
    return made


def test_a_pair_is_surer_than_the_quotient_of_two_effects():
    """The baseline is noisy: its noise is in both effects, and in no pair of the other two."""
    rng = np.random.default_rng(0)
    moments = np.exp(0.1 * rng.standard_normal(30))
    noisy = shaken("torch", 10.0, moments * np.exp(0.2 * rng.standard_normal(30)), 3)
    made, rows = results(shaken("max", 5.0, moments, 1), shaken("openvino", 6.0, moments, 2), noisy)
    pairs = {p["arm"]: p for p in make_pairs(made, rows)}
    effects = {e["arm"]: e for e in make_effects(made, rows)}
    pair = pairs["openvino"]
    quotient = effects["openvino"]["ratio"] / effects["max"]["ratio"]
    assert pair["ratio"] == pytest.approx(quotient, rel=0.02)
    error = math.hypot(effects["openvino"]["log_error"], effects["max"]["log_error"])
    assert pair["log_error"] < error / 3
    assert pair["ci_lo"] > 1.1


def test_a_pair_over_the_baseline_is_the_reciprocal_of_its_effect():
    made, rows = results(*arms(max=5.0, torch=10.0), contestant("torch#2"))
    (pair,), (effect,) = make_pairs(made, rows), make_effects(made, rows)
    for one, other in (("ratio", "ratio"), ("ci_lo", "ci_hi"), ("ci_hi", "ci_lo")):
        assert pair[one] == pytest.approx(1 / effect[other])


def test_where_only_ceilings_are_measured_there_is_no_pair():
    assert [r for r in make_results([group()], {}) if r["record"] == "pair"] == []


def test_without_max_the_pairs_are_over_the_baseline():
    found = pairs_of(*arms(openvino=5.0, torch=10.0), contestant("torch#2"))
    assert set(found) == {("openvino", "torch")}


def test_a_named_baseline_takes_the_ratios_of_effects_and_nulls_but_not_of_pairs():
    three = arms(max=5.0, torch=10.0, openvino=8.0)
    made, rows = results(*three, contestant("openvino#2", 8.0), baseline="openvino")
    assert {e["versus"] for e in make_effects(made, rows)} == {"openvino"}
    assert {e["arm"] for e in make_effects(made, rows)} == {"max", "torch"}
    assert [(n["arm"], n["versus"]) for n in make_nulls(made, rows)] == [("openvino#2", "openvino")]
    assert {p["versus"] for p in make_pairs(made, rows)} == {"max"}


def test_what_is_not_valid_has_no_pair():
    assert pairs_of(*arms(max=5.0, torch=10.0), unverified="not verified") == {}
    wrong = contestant("openvino", 4.0, disagreements={PP8.name: "off by 3"})
    assert set(pairs_of(*arms(max=5.0, torch=10.0), wrong)) == {("torch", "max")}


def test_a_coarser_dtype_is_compared_with_maxs_arm_of_it_too():
    every = arms(max=5.0, max_bf16=4.0, torch=10.0, torch_bf16=6.0)
    made, rows = results(*every)
    for one in rows:
        one["status"] = "VALID"
    found = {(p["arm"], p["versus"]): p["ratio"] for p in make_pairs(made, rows)}
    assert set(found) == {
        ("max-bf16", "max"), ("torch", "max"), ("torch-bf16", "max"), ("torch-bf16", "max-bf16"),
    }  # fmt: skip
    assert found["torch-bf16", "max-bf16"] == pytest.approx(1.5)


def test_all_engines_in_bfloat16_are_beside_every_peer_of_that_class_and_of_no_other():
    every = arms(max=5.0, torch=10.0, torch_bf16=6.0, openvino_bf16=5.0, ctranslate2_int8=3.0)
    every += arms(max_bf16=4.0, max_bf16_products=2.0, max_bf16_cache=2.0, max_int8=4.0)
    made, rows = results(*every)
    for one in rows:
        one["status"] = "VALID"
    further = {(p["arm"], p["versus"]) for p in make_pairs(made, rows) if p["versus"] != "max"}
    assert further == {
        ("torch-bf16", "max-bf16"), ("torch-bf16", "max-bf16-products"),
        ("torch-bf16", "max-bf16-cache"), ("openvino-bf16", "max-bf16"),
        ("openvino-bf16", "max-bf16-products"), ("openvino-bf16", "max-bf16-cache"),
        ("ctranslate2-int8", "max-int8"),
    }  # fmt: skip


def test_pairs_are_among_the_results_of_every_workload():
    both = [
        contestant(label, workload=PP8) for label in ("max", "torch", "torch#2")
    ]  # fmt: skip
    for one in both:
        one.samples[TG4.name] = contestant(one.label, workload=TG4).samples[TG4.name]
        one.judged[TG4.name] = 1
    made = group(*both, workloads=(PP8, TG4))
    found = [r for r in make_results([made], {}) if r["record"] == "pair"]
    assert [pair["workload"] for pair in found] == [PP8.name, TG4.name]


def test_a_row_has_the_largest_error_of_its_judged_outputs():
    arm = contestant("torch")
    place = {"workload": PP8.name, "arm": "torch", "agreed": True, "message": ""}
    for difference, allowed in ((1e-6, 1e-3), (4e-6, 2e-3), (None, None), (2e-6, 1e-3)):
        arm.take({"record": "agreement", **place, "difference": difference, "allowed": allowed})
    (row,) = make_rows(group(arm), {})
    assert (row["error_logits"], row["error_allowed_logits"]) == (4e-6, 2e-3)
    (row,) = make_rows(group(contestant("torch")), {})
    assert row["error_logits"] is None
