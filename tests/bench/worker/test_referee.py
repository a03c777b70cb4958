"""The referee accepts what PyTorch computes, and refuses a model that is wrong."""

import dataclasses

import numpy as np
import pytest
import torch
from transformers.pytorch_utils import Conv1D

from bench.arms.torch_eager import TorchEager, TorchEagerBF16
from bench.worker.allowance import Allowances
from bench.worker.referee import Kept, Referee
from bench.worker.rounding import RoundedResults, eight_bits, round_inputs
from bench.workload.workload import Workload, prompt_ids
from impl.packing import held_state
from reference.huggingface import load_model
from reference.load import load

PP8, TG4 = Workload(batch=2, n_prompt=8), Workload(batch=2, n_gen=6, n_depth=8)
THREADS = torch.get_num_threads()


@pytest.fixture(scope="module")
def checkpoint():
    return load("random:tiny")


@pytest.fixture(scope="module")
def referee(checkpoint, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAX_GPT2_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Referee(checkpoint, THREADS)


@pytest.fixture(scope="module")
def arm(checkpoint):
    return TorchEager(checkpoint, "cpu", THREADS)


def no_stamp():
    """Nobody asks when tokens come."""


def ids_of(workload):
    return prompt_ids(workload, 1024, 0, 0)


def changed(checkpoint, name, change):
    """The same checkpoint with one weight changed."""
    weights = dict(checkpoint.weights)
    weights[name] = change(weights[name]).astype(np.float32)
    return dataclasses.replace(checkpoint, weights=weights)


def test_the_torch_arm_agrees(referee, arm):
    assert referee.check(PP8, ids_of(PP8), arm.forward(ids_of(PP8), "all")).agreed
    assert referee.check(TG4, ids_of(TG4), arm.generate(ids_of(TG4), TG4.n_new, no_stamp)).agreed


def test_the_last_position_alone_agrees(referee, arm):
    last = Workload(batch=2, n_prompt=8, logits="last")
    output = arm.forward(ids_of(last), "last")
    assert output.shape == (2, 1, 1024)
    assert referee.check(last, ids_of(last), output).agreed
    assert not referee.check(PP8, ids_of(PP8), output).agreed


def test_bfloat16_agrees_as_bfloat16_and_not_as_float32(referee, checkpoint):
    coarse = TorchEagerBF16(checkpoint, "cpu", THREADS)
    output = coarse.forward(ids_of(PP8), "all")
    assert output.dtype == np.float32
    assert referee.check(PP8, ids_of(PP8), output, "bfloat16").agreed
    assert not referee.check(PP8, ids_of(PP8), output).agreed
    tokens = coarse.generate(ids_of(TG4), TG4.n_new, no_stamp)
    assert referee.check(TG4, ids_of(TG4), tokens, "bfloat16").agreed


@pytest.mark.parametrize("name", ["transformer.h.3.mlp.c_proj.weight", "transformer.wpe.weight"])
def test_a_wrong_weight_does_not_hide_behind_bfloat16(referee, checkpoint, name):
    wrong = TorchEagerBF16(changed(checkpoint, name, np.zeros_like), "cpu", THREADS)
    output = wrong.forward(ids_of(PP8), "all")
    assert not referee.check(PP8, ids_of(PP8), output, "bfloat16").agreed


def test_generation_with_a_cache_gives_the_tokens_of_whole_passes(arm):
    ids = ids_of(TG4)
    for _ in range(TG4.n_new):
        ids = np.concatenate([ids, arm.forward(ids, "all")[:, -1:].argmax(-1)], axis=1)
    assert np.array_equal(arm.generate(ids_of(TG4), TG4.n_new, no_stamp), ids[:, 8:])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("transformer.h.3.ln_1.bias", np.zeros_like),
        ("transformer.h.5.mlp.c_proj.weight", lambda array: 1.01 * array),
        ("transformer.wpe.weight", lambda array: np.roll(array, 1, axis=0)),
    ],
)
def test_a_model_with_one_wrong_weight_does_not_agree(referee, checkpoint, name, change):
    wrong = TorchEager(changed(checkpoint, name, change), "cpu", THREADS)
    agreement = referee.check(PP8, ids_of(PP8), wrong.forward(ids_of(PP8), "all"))
    assert not agreement.agreed
    assert agreement.difference > agreement.allowed


def test_one_token_that_is_not_the_best_does_not_agree(referee, arm):
    tokens = arm.generate(ids_of(TG4), TG4.n_new, no_stamp)
    tokens[1, 3] = (tokens[1, 3] + 1) % 1024
    assert not referee.check(TG4, ids_of(TG4), tokens).agreed


def test_what_cannot_be_tokens_does_not_agree(referee):
    agreement = referee.check(TG4, ids_of(TG4), np.full((2, 7), 5000))
    assert not agreement.agreed
    assert "outside the vocabulary" in agreement.message


def test_a_gpu_that_is_not_there_is_a_reason_and_no_crash(checkpoint):
    from bench.arms.base import ArmUnavailable

    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(ArmUnavailable, match="finds no gpu"):
        TorchEager(checkpoint, "gpu", THREADS)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_rounded_weights_are_judged_by_the_model_that_has_them(referee, checkpoint, dtype):
    held = dataclasses.replace(checkpoint, weights=held_state(checkpoint.weights, dtype))
    output = TorchEager(held, "cpu", THREADS).forward(ids_of(PP8), "all")
    assert referee.check(PP8, ids_of(PP8), output, f"{dtype} weights").agreed
    assert not referee.check(PP8, ids_of(PP8), output).agreed


def through(layers, rounded):
    """A model whose linear layers see their inputs rounded."""
    round_inputs(layers, rounded)
    return layers


def logits_of(model):
    with torch.inference_mode():
        return model(torch.from_numpy(ids_of(PP8)), use_cache=False).logits.float().numpy()


def in_8_bits(checkpoint):
    """Weights by rows and activations by positions, as the class allows."""
    held = dataclasses.replace(checkpoint, weights=held_state(checkpoint.weights, "int8"))
    return through(load_model(held, torch.float32), eight_bits)


def by_three_products(model):
    """Float32 out of three products of bfloat16: 17 bits of it."""

    def halves(x):
        high = x.to(torch.bfloat16).float()
        return high, (x - high).to(torch.bfloat16).float()

    def product(module, inputs, _):
        weight = module.weight if isinstance(module, Conv1D) else module.weight.T
        (x1, x2), (w1, w2) = halves(inputs[0]), halves(weight)
        found = x1 @ w1 + (x1 @ w2 + x2 @ w1)
        return found if module.bias is None else found + module.bias

    for module in model.modules():
        if isinstance(module, (torch.nn.Linear, Conv1D)):
            module.register_forward_hook(product)
    return model


def ten_bits(x):
    """As TF32 rounds factors, of a size at which float16 has as many bits."""
    return x.to(torch.float16).float()


def test_8_bits_agree_as_8_bits_and_not_as_weights_of_8_bits_alone(referee, checkpoint):
    output = logits_of(in_8_bits(checkpoint))
    assert referee.check(PP8, ids_of(PP8), output, "int8").agreed
    assert not referee.check(PP8, ids_of(PP8), output, "int8 weights").agreed
    assert not referee.check(PP8, ids_of(PP8), output).agreed


@pytest.mark.parametrize("name", ["transformer.h.3.mlp.c_proj.weight", "transformer.wpe.weight"])
def test_a_wrong_weight_does_not_hide_behind_8_bits(referee, checkpoint, name):
    output = logits_of(in_8_bits(changed(checkpoint, name, np.zeros_like)))
    assert not referee.check(PP8, ids_of(PP8), output, "int8").agreed


def test_eight_bits_keep_the_largest_value_and_255_steps():
    x = torch.linspace(-1, 1, 4001).reshape(1, -1)
    assert len(eight_bits(x).unique()) == 255
    assert eight_bits(x).abs().max() == 1
    assert torch.equal(eight_bits(torch.zeros(2, 3)), torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda c: load_model(c, torch.float32), {"float32"}),
        (lambda c: load_model(c, torch.float64), {"float32"}),
        (lambda c: by_three_products(load_model(c, torch.float32)), {"float16"}),
        (lambda c: through(load_model(c, torch.float32), ten_bits), {"float16"}),
        (lambda c: load_model(c, torch.bfloat16), {"bfloat16"}),
        (in_8_bits, {"bfloat16", "int8"}),  # twice the error, which three times as much allows
        (lambda c: load_model(changed(c, "transformer.wpe.weight", np.zeros_like), torch.float32),
         {""}),
    ],
    ids=["float32", "float64", "three products", "TF32", "bfloat16", "8 bits", "wrong"],
)  # fmt: skip
def test_an_error_tells_its_dtype_whatever_was_asked_for(referee, checkpoint, make, expected):
    found = referee.exactness(PP8, ids_of(PP8), logits_of(make(checkpoint)))
    assert found.error_class in expected, found.relative


def test_what_cannot_be_compared_has_no_exactness(referee):
    found = referee.exactness(PP8, ids_of(PP8), np.full((2, 8, 1024), np.nan, np.float32))
    assert (found.relative, found.error_class) == (None, "")
    assert "not finite" in found.message


def test_float16_agrees_as_float16_and_not_as_float32(referee, checkpoint):
    """A pass in real float16, judged without that dtype's arithmetic."""
    model = load_model(checkpoint, torch.float16)
    with torch.inference_mode():
        ids = torch.from_numpy(ids_of(PP8))
        output = model(ids, use_cache=False).logits.float().numpy()
    assert referee.check(PP8, ids_of(PP8), output, "float16").agreed
    assert not referee.check(PP8, ids_of(PP8), output).agreed


def test_a_wrong_weight_does_not_hide_behind_float16(referee, checkpoint):
    wrong = changed(checkpoint, "transformer.h.3.mlp.c_proj.weight", np.zeros_like)
    output = TorchEager(wrong, "cpu", THREADS).forward(ids_of(PP8), "all")
    assert not referee.check(PP8, ids_of(PP8), output, "float16").agreed


def test_rounded_results_are_as_far_off_as_real_float16(checkpoint):
    """The largest error of a logit, over some inputs: 0.8 to 1.1 times that of a real pass."""
    exact, real = (load_model(checkpoint, dtype) for dtype in (torch.float32, torch.float16))
    held = {n: a.astype(np.float16).astype(np.float32) for n, a in checkpoint.weights.items()}
    rounded = load_model(dataclasses.replace(checkpoint, weights=held), torch.float32)
    errors = {"real": [], "rounded": []}
    for draw in range(3):
        ids = torch.from_numpy(np.random.default_rng(draw).integers(1024, size=(1, 24)))
        with torch.inference_mode():
            expected = exact(ids, use_cache=False).logits
            errors["real"].append(error(real(ids, use_cache=False).logits.float(), expected))
            with RoundedResults(torch.float16):
                logits = rounded(ids, use_cache=False).logits
            errors["rounded"].append(error(logits, expected))
    assert 0.6 < max(errors["rounded"]) / max(errors["real"]) < 1.6


def error(found, expected):
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.fixture
def allowances(checkpoint, tmp_path, monkeypatch):
    """As a new process makes them, beside what was kept; counts how often one is found."""
    monkeypatch.setenv("MAX_GPT2_BENCH_CACHE", str(tmp_path))
    found = []
    find = Allowances._find

    def counting(self, workload, dtype):
        found.append((workload.name, dtype))
        return find(self, workload, dtype)

    monkeypatch.setattr(Allowances, "_find", counting)
    model = load_model(checkpoint, torch.float32)
    return lambda: Allowances(checkpoint, model), found


def test_an_allowance_is_found_once_and_kept_for_later_processes(allowances):
    make, found = allowances
    ratio = make().ratio(PP8, "float16")
    assert 1e-4 < ratio < 1e-2
    assert make().ratio(PP8, "float16") == ratio
    assert found == [(PP8.name, "float16")]
    make().ratio(TG4, "float16")
    assert len(found) == 2


def test_allowances_that_cannot_be_read_are_found_again(allowances, tmp_path):
    make, found = allowances
    make().ratio(PP8, "float16")
    (file,) = tmp_path.rglob("*.json")
    file.write_text("nonsense")
    make().ratio(PP8, "float16")
    assert len(found) == 2


def test_batches_share_the_allowance_of_their_length(allowances):
    make, found = allowances
    one = make()
    one.ratio(PP8, "float16")
    one.ratio(Workload(batch=4, n_prompt=8), "float16")
    assert len(found) == 1


def test_what_comes_again_in_the_next_generation_is_not_computed_anew(checkpoint, monkeypatch):
    referee = Referee(checkpoint, THREADS)
    calls = []
    model = referee._models["float32"]
    monkeypatch.setitem(
        referee._models, "float32", lambda *a, **k: calls.append(1) or model(*a, **k)
    )
    for _ in range(3):
        for block in range(6):
            ids = prompt_ids(PP8, 1024, 0, block)
            referee.check(PP8, ids, np.zeros((2, 8, 1024), np.float32))
    assert len(calls) == 6


def test_memory_for_references_is_bounded_and_the_newest_are_always_there():
    kept = Kept(most_bytes=3 * 80, newest=2)
    arrays = {str(n).encode(): np.full(10, n) for n in range(8)}
    for key, array in arrays.items():
        kept.put(key, array)
    assert [int(key) for key in arrays if kept.get(key) is not None] == [0, 1, 2, 6, 7]
