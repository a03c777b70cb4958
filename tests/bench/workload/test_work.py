"""The formulas of the work agree with what PyTorch counts, and with published sizes."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.results.roofline import utilisation
from bench.workload.work import Work, causal_flops, forward_flops, products, weight_bytes, work
from bench.workload.workload import Workload
from impl.config import PRESETS, GPT2Config
from reference.huggingface import load_model
from reference.load import load

GPT2 = PRESETS["gpt2"]
ODD = GPT2Config(vocab_size=97, n_positions=64, n_embd=24, n_layer=3, n_head=4, n_inner=56)


@pytest.fixture(scope="module")
def model():
    return load_model(load("random:tiny"), torch.float32)


@pytest.mark.parametrize(("batch", "new", "past", "rows"), [
    (1, 8, 0, 8), (2, 5, 0, 1), (1, 1, 12, 1), (3, 4, 7, 4),
])  # fmt: skip
def test_flops_are_those_that_pytorch_counts(model, batch, new, past, rows):
    """Products of matrices are counted where they are dispatched."""
    tokens = torch.zeros(batch, past + new, dtype=torch.int64)
    with torch.inference_mode():
        cache = model(tokens[:, :past], use_cache=True).past_key_values if past else None
        with FlopCounterMode(display=False) as counter:
            model(tokens[:, past:], past_key_values=cache, use_cache=True,
                  logits_to_keep=0 if rows > 1 else 1)  # fmt: skip
    expected = forward_flops(PRESETS["tiny"], batch, new, past, rows)
    assert counter.get_total_flops() == expected


def test_an_mlp_of_another_width_counts_as_it_is():
    square = GPT2Config(vocab_size=97, n_positions=64, n_embd=24, n_layer=3, n_head=4)
    less = 2 * 3 * 2 * 24 * (96 - 56) * 10
    assert forward_flops(square, 1, 10, 0, 10) - forward_flops(ODD, 1, 10, 0, 10) == less


def test_the_published_figures_of_gpt2():
    assert GPT2.parameter_count == 124_439_808
    assert weight_bytes(GPT2, "float32") == 494_613_504
    assert weight_bytes(GPT2, "bfloat16") == 247_306_752
    assert forward_flops(GPT2, 1, 1024, 0, 1024) == pytest.approx(291.6e9, rel=1e-3)
    assert forward_flops(GPT2, 1, 1024, 0, 1) == pytest.approx(212.7e9, rel=1e-3)
    assert forward_flops(GPT2, 1, 1, 99, 1) == 247_064_064 + 36_864 * 100


def test_a_causal_model_needs_less_than_half_of_the_scores():
    full, least = forward_flops(GPT2, 1, 100, 0, 1), causal_flops(GPT2, 1, 100, 0, 1)
    assert full - least == 4 * 12 * 768 * (100 * 100 - 100 * 101 / 2)
    assert causal_flops(GPT2, 1, 1, 50, 1) == forward_flops(GPT2, 1, 1, 50, 1)


def test_narrow_weights_are_fewer_bytes():
    pp = Workload(batch=1, n_prompt=8)
    plain, narrow = (work(GPT2, pp, "float32", weight_bits=bits).bytes for bits in (None, 28))
    assert plain - narrow == weight_bytes(GPT2, "float32") / 8


def test_decode_steps_add_up_and_read_every_weight_and_the_cache():
    tg2 = Workload(batch=2, n_gen=2, n_depth=10)
    needed = work(GPT2, tg2, "float32")
    assert needed.passes == 2
    assert needed.flops == sum(forward_flops(GPT2, 2, 1, past, 1) for past in (10, 11))
    cache = 2 * 73_728 * (11 + 12)
    logits = 2 * 2 * 4 * 50_257
    assert needed.bytes == 2 * weight_bytes(GPT2, "float32") + cache + logits


def test_without_a_cache_the_same_result_costs_more_to_compute():
    tg = Workload(batch=1, n_gen=128, n_depth=128)
    kept, anew = (work(GPT2, tg, "float32", kv_cache=cache) for cache in (True, False))
    assert kept.flops == kept.flops_executed == anew.flops
    assert 75 < anew.flops_executed / anew.flops < 250


def test_a_forward_pass_keeps_nothing():
    pp = Workload(batch=1, n_prompt=8)
    assert work(GPT2, pp, "float32").bytes == weight_bytes(GPT2, "float32") + 4 * 8 * 50_257
    last = Workload(batch=1, n_prompt=8, logits="last")
    assert work(GPT2, last, "float32").bytes == weight_bytes(GPT2, "float32") + 4 * 50_257


@pytest.mark.parametrize("workload", [
    Workload(batch=2, n_prompt=8), Workload(batch=2, n_prompt=8, logits="last"),
    Workload(batch=3, n_gen=4, n_depth=9),
])  # fmt: skip
def test_the_products_that_are_replayed_are_all_but_attention(workload):
    new, past = (1, 9) if workload.n_gen else (8, 0)
    rows = new if workload.logits_policy == "all" else 1
    whole = forward_flops(ODD, workload.batch, new, past, rows)
    attention = workload.batch * 4 * 3 * 24 * new * (past + new)
    assert sum(p.flops for p in products(ODD, workload)) == whole - attention


NEEDED = Work(flops=100.0, flops_executed=150.0, bytes=40.0, passes=1)


def test_utilisation_is_the_share_of_each_ceiling():
    used = utilisation(NEEDED, 2.0, arithmetic=100.0, bandwidth=80.0)
    assert (used.mfu, used.hfu, used.mbu) == (0.5, 0.75, 0.25)
    assert (used.roofline_pct, used.bound) == (50, "compute")
    assert used.problem == ""


def test_the_slower_of_both_ceilings_binds():
    assert utilisation(NEEDED, 2.0, arithmetic=1000.0, bandwidth=40.0).bound == "memory"


def test_more_than_a_ceiling_is_a_problem():
    assert "HFU is 150%" in utilisation(NEEDED, 1.0, arithmetic=100.0, bandwidth=80.0).problem
    assert "MBU" in utilisation(NEEDED, 10.0, arithmetic=100.0, bandwidth=2.0).problem


def test_without_a_ceiling_nothing_is_claimed():
    assert utilisation(NEEDED, 1.0, None, 80.0).roofline_pct is None


def test_weights_and_cache_may_be_of_different_precision():
    tg = Workload(batch=1, n_gen=1, n_depth=10)
    both, weights = (work(GPT2, tg, "bfloat16", kv_dtype=kv).bytes for kv in ("", "float32"))
    assert weights - both == 36_864 * 11
    assert work(GPT2, tg, "int8", kv_dtype="float32").bytes < weights
