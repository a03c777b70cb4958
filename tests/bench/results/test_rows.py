"""A row has a speed only if it is VALID, and says all that was seen."""

import numpy as np
import pytest

from bench.results.effects import make_effects, make_nulls
from bench.results.rows import latencies, make_rows, pressure_pct, skip_row, speed
from tests.bench.helpers import PP8, TG4, contestant, group, samples


def rows_of(*contestants, unverified="", **options):
    return make_rows(group(*contestants, **options), {("cpu", "auto"): unverified})


def test_a_valid_row_has_a_speed():
    (row,) = rows_of(contestant("max"))
    assert row["status"] == "VALID"
    assert row["verified"]
    assert row["invalid_reasons"] == []
    assert row["median_s"] == 0.01
    assert row["tok_s"] == pytest.approx(1600)
    assert row["ci_lo_s"] == row["ci_hi_s"] == 0.01


NO_SPEED = {
    "median_s": None, "ci_lo_s": None, "ci_hi_s": None, "median_clean_s": None, "tok_s": None,
    "e2e_ms": None, "mfu": None, "roofline_pct": None, "verified": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ({"disagreements": {PP8.name: "off by 1"}}, "INVALID", "off by 1"),
        ({"judged": {}}, "INVALID", "nothing was measured"),
        ({"error": "killed"}, "ERROR", "killed"),
        ({"skipped": "no GPU"}, "SKIP", "no GPU"),
    ],
)
def test_whatever_is_wrong_takes_the_speed_away_and_is_said(fields, status, reason):
    (row,) = rows_of(contestant("max", **fields), gemm=1e12, read=1e12)
    assert row["status"] == status
    assert reason in row["invalid_reasons"][0]
    assert row | NO_SPEED == row


@pytest.mark.parametrize(
    ("label", "exactness", "reason"),
    [
        ("openvino", (6.3e-3, "bfloat16", ""),
         "its error is bfloat16's (6.3e-03 of the largest logit), and not float32's: compared"),
        ("openvino", (1e-5, "float16", ""), "its error is float16's or TF32's (1.0e-05 of"),
        ("openvino-bf16", (2e-2, "int8", ""), "not bfloat16's: compared with no row of bfloat16"),
        ("ctranslate2-int8", (0.9, "", ""), "larger than that of 8 bits (9.0e-01 of the largest"),
        ("openvino", (None, "", "logits that are not finite"), "logits that are not finite"),
        ("openvino", (6e-7, "float32", ""), ""),
        ("openvino-bf16", (6e-7, "float32", ""), ""),
        ("llama.cpp", (1e-3, "float16", ""), ""),
        ("llama.cpp", (6e-3, "bfloat16", ""), "and not float32's"),
        ("torch", None, ""),
        ("max", (1e-5, "float16", ""), ""),  # it is verified
    ],
)  # fmt: skip
def test_a_peer_whose_error_is_that_of_a_coarser_class_has_no_speed(label, exactness, reason):
    """Of generated tokens that would not be seen: they may all be the same."""
    arm = contestant(label, workload=TG4, exactness=exactness)
    (row,) = rows_of(arm, workloads=(TG4,))
    assert row["status"] == ("INVALID" if reason else "VALID")
    assert reason in "".join(row["invalid_reasons"])
    relative, error_class, _ = exactness or (None, None, "")
    assert (row["error_relative"], row["error_class"]) == (relative, error_class)


def test_a_row_says_what_it_is_compared_with():
    labels = ("max", "max-bf16-products", "torch-bf16", "llama.cpp-q8_0", "max-int8")
    rows = rows_of(*map(contestant, labels))
    found = [row["compared_in"] for row in rows]
    assert found == ["float32", "bfloat16", "bfloat16", "8 bits", "8 bits"]


def test_only_the_max_model_needs_a_verification():
    candidate, reference = rows_of(contestant("max"), contestant("torch"), unverified="not yet")
    assert candidate["invalid_reasons"] == ["not yet"]
    assert candidate | NO_SPEED == candidate
    assert reference["status"] == "VALID"


def test_every_reason_is_told():
    wrong = contestant("max", disagreements={PP8.name: "off by 1"})
    (row,) = rows_of(wrong, unverified="not yet")
    assert len(row["invalid_reasons"]) == 2


def test_utilisation_stands_beside_the_speed():
    (row,) = rows_of(contestant("max"), gemm=1e12, read=1e10)
    assert 0 < row["mfu"] <= row["hfu"] < 1
    assert row["mbu"] == pytest.approx(row["bytes"] / 1e10 / 0.01)
    assert row["roofline_pct"] == pytest.approx(100 * max(row["mfu"], row["mbu"]))
    assert row["bound"] == "memory"


def test_decoding_is_compared_with_what_could_be_read_in_the_same_quads():
    arm = contestant("max", workload=TG4, quads=2, processes=3)
    whole = group(arm, workloads=[TG4], gemm=1e12, read=1e10)
    whole.ceilings.beside = {"float32": {quad: 1e10 / (quad + 1) for quad in range(5)}}
    (row,) = make_rows(whole, {})
    shares = [100 * row["bytes"] / (1e10 / (quad + 1)) / 0.01 for quad in range(5)]
    assert row["limit_pct"] == pytest.approx(shares[2])  # the median of the quads that have one
    assert row["limit_lo_pct"] < row["limit_pct"] < row["limit_hi_pct"]
    assert row["roofline_pct"] == pytest.approx(shares[0])  # the best of the run


def test_where_nothing_was_read_in_a_quad_there_is_no_such_limit():
    (row,) = rows_of(contestant("max"), gemm=1e12, read=1e10)
    assert row["limit_pct"] is None


@pytest.mark.parametrize(("gemm", "read", "name"), [(1e6, 1e15, "MFU"), (1e15, 1e6, "MBU")])
def test_more_than_the_machine_can_do_stops_the_row(gemm, read, name):
    (row,) = rows_of(contestant("max"), gemm=gemm, read=read)
    assert row["status"] == "INVALID"
    assert row["invalid_reasons"][0].startswith(name)
    assert row | NO_SPEED == row


def test_without_ceilings_there_is_a_speed_and_no_utilisation():
    (row,) = rows_of(contestant("max"))
    assert row["median_s"] is not None
    assert row["mfu"] is row["bound"] is None


def test_clean_blocks_have_figures_of_their_own():
    mixed = contestant("max", 10.0)
    mixed.samples[PP8.name] += [
        sample | {"quad": sample["quad"] + 6, "block": sample["block"] + 4, "clean": False}
        for sample in samples(PP8, 90.0)
    ]
    (row,) = rows_of(mixed)
    assert (row["blocks"], row["blocks_clean"]) == (24, 12)
    assert row["median_clean_s"] == 0.01
    assert row["median_s"] == pytest.approx(0.05)


def test_generation_has_latencies_of_tokens():
    found = latencies(samples(TG4, 8.0), TG4)
    assert found["ttft_ms"] == 3
    assert found["tpot_ms"] == 2
    assert found["itl_ms"] == 2
    assert found["e2e_ms"] == 11
    assert found["prefill_tok_s"] == pytest.approx(8 / 3e-3)
    assert found["decode_tok_s"] == pytest.approx(500)
    assert speed(samples(TG4, 8.0), TG4)["tok_s"] == pytest.approx(500)


def test_time_per_token_is_what_lies_between_the_first_token_and_the_last():
    found = latencies(samples(TG4, 8.0), TG4)
    assert found["tpot_ms"] == (found["e2e_ms"] - found["ttft_ms"]) / (TG4.n_new - 1)


def test_a_forward_pass_has_no_tokens():
    found = latencies(samples(PP8), PP8)
    assert found["e2e_ms"] == 10
    assert found["ttft_ms"] is found["tpot_ms"] is found["itl_ms"] is found["decode_tok_s"] is None


def test_percentiles_need_enough_samples():
    few, more = (latencies(samples(TG4, quads=quads, processes=1), TG4) for quads in (3, 8))
    assert (few["itl_ms_n"], few["itl_ms_p90"]) == (24, None)
    assert more["itl_ms_n"] == 64
    assert more["itl_ms_p95"] is not None
    assert more["itl_ms_p99"] is None


def test_generation_says_whether_it_has_a_cache():
    arms = [contestant("max", workload=TG4), contestant("torch", workload=TG4)]
    rows = rows_of(*arms, workloads=[PP8, TG4])
    assert [row["kv_cache"] for row in rows[:2]] == [None, None]
    assert rows[3]["kv_cache"] is True


def test_a_skipped_device_is_a_row_with_its_reason():
    row = skip_row("max", "gpu", "no accelerator")
    assert (row["status"], row["invalid_reasons"]) == ("SKIP", ["no accelerator"])


def test_cpu_pressure_is_a_share_of_the_timed_turns():
    assert pressure_pct([contestant("max", 10.0)]) == pytest.approx(10)
    assert pressure_pct([]) is None


def test_what_was_taken_from_the_arms_counts_before_what_any_task_waited():
    waiting = contestant("max", 10.0)
    for sample in waiting.samples[PP8.name]:
        sample |= {"psi_us": 10_000, "taken_us": 500}
    assert pressure_pct([waiting]) == pytest.approx(5)


def test_a_ratio_is_of_the_fastest_calls_and_beside_it_is_that_of_typical_ones():
    slow_starter = contestant("max", 5.0)
    made = slow_starter.samples[PP8.name]
    made += [s | {"call": call, "time_ns": 3 * s["time_ns"]} for s in made for call in (1, 2)]
    (effect,) = run_of(slow_starter, contestant("torch"), contestant("torch#2"))[1]
    assert effect["ratio"] == pytest.approx(0.5)
    assert effect["ratio_typical"] == pytest.approx(1.5)


def run_of(*contestants, unverified=""):
    made = group(*contestants)
    rows = make_rows(made, {("cpu", "auto"): unverified})
    return make_nulls(made, rows), make_effects(made, rows)


def test_ratios_are_times_over_the_baseline_beside_a_null():
    nulls, effects = run_of(contestant("max", 5.0), contestant("torch"), contestant("torch#2"))
    (effect,) = effects
    assert (effect["arm"], effect["versus"]) == ("max", "torch")
    assert effect["ratio"] == pytest.approx(0.5)
    assert effect["verdict"] == "FASTER"
    assert (effect["processes"], effect["quads"], effect["quads_clean"]) == (3, 6, 6)
    (null,) = nulls
    assert (null["arm"], null["versus"], null["ratio"]) == ("torch#2", "torch", 1)
    assert null["failed"] is False


def test_what_differs_less_than_the_margin_is_the_same():
    arms = contestant("max", 10.05), contestant("torch"), contestant("torch#2")
    _, (effect,) = run_of(*arms)
    assert effect["verdict"] == "SAME"
    assert effect["margin"] == 1.01


def test_a_null_that_fails_says_so():
    arms = contestant("max"), contestant("torch"), contestant("torch#2", 11.0)
    (null,), _ = run_of(*arms)
    assert null["failed"] is True


def test_two_processes_give_no_verdict_and_say_why():
    arms = [contestant(label, processes=2) for label in ("max", "torch", "torch#2")]
    (null,), (effect,) = run_of(*arms)
    assert effect["ratio"] == 1
    assert effect["ci_lo"] is effect["ci_hi"] is None
    assert (effect["verdict"], effect["more_processes"]) == ("INCONCLUSIVE", 1)
    assert "2 processes of each arm" in effect["why"]
    assert null["failed"] is None


def test_what_is_open_says_what_more_would_cost():
    rng = np.random.default_rng(0)
    arms = [contestant(label, processes=4, quads=5) for label in ("max", "torch", "torch#2")]
    for arm in arms:
        arm.processes = [{"generation": 0, "seconds": {"load": 4.0, "compile": None}}]
        for sample in arm.samples[PP8.name]:
            sample["time_ns"] = int(sample["time_ns"] * np.exp(0.1 * rng.standard_normal()))
    _, (effect,) = run_of(*arms)
    assert effect["verdict"] == "INCONCLUSIVE"
    assert effect["more_processes_s"] > 12 * effect["more_processes"]
    assert effect["more_quads_s"] > 0


def test_a_row_tells_how_much_processes_and_quads_differ():
    made = group(*(contestant(label, quads=3) for label in ("max", "torch", "torch#2")))
    for sample in made.contestants[0].samples[PP8.name]:
        sample["time_ns"] = int(sample["time_ns"] * (1 + 0.1 * sample["generation"]))
    row, other, _ = make_rows(made, {("cpu", "auto"): ""})
    assert row["spread_processes_pct"] > 5
    assert other["spread_processes_pct"] < 1
    assert row["spread_quads_pct"] == pytest.approx(0, abs=1e-6)
    assert row["processes"] == 3


def test_phases_are_the_median_of_all_processes_but_a_cold_compile_is_the_firsts():
    seconds = [
        {"import": 1.0, "load": 2.0 + n, "compile": 60.0 if n == 0 else 3.0} for n in range(3)
    ]
    processes = [{"generation": n, "cache": "warm", "seconds": s} for n, s in enumerate(seconds)]
    processes[0]["cache"] = "cold"
    (row,) = rows_of(with_processes(processes))
    assert (row["compile_s"], row["compile_cache"], row["compile_warm_s"]) == (60.0, "cold", 3.0)
    assert (row["load_s"], row["load_min_s"], row["load_max_s"]) == (3.0, 2.0, 4.0)
    assert row["first_call_s"] == 2.0


def with_processes(processes):
    made = contestant("max", first_call_s={PP8.name: [1.0, 3.0, 2.0]})
    made.processes = processes
    return made


def test_a_row_tells_what_a_pause_before_a_call_costs():
    (row,) = rows_of(contestant("max", paused={PP8.name: [1.5, 1.7, 1.6]}))
    assert row["paused_ratio"] == 1.6


def test_without_torch_the_first_arm_is_the_baseline():
    _, (effect,) = run_of(
        contestant("onnxruntime"), contestant("max", 20.0), contestant("onnxruntime#2")
    )
    assert (effect["arm"], effect["versus"], effect["verdict"]) == ("max", "onnxruntime", "SLOWER")


def test_there_is_no_ratio_with_an_invalid_arm():
    arms = contestant("max"), contestant("torch"), contestant("torch#2")
    nulls, effects = run_of(*arms, unverified="not yet")
    assert effects == []
    assert len(nulls) == 1


def test_there_is_no_null_where_its_arm_failed():
    arms = contestant("max"), contestant("torch"), contestant("torch#2", error="killed")
    nulls, (effect,) = run_of(*arms)
    assert nulls == []
    assert effect["verdict"] == "SAME"
