"""The referee accepts what PyTorch computes, and refuses a model that is wrong."""

import dataclasses

import numpy as np
import pytest
import torch

from bench.arms.torch_eager import TorchEager, TorchEagerBF16
from bench.worker.referee import Referee
from bench.workload.workload import Workload, prompt_ids
from impl.packing import held_state
from reference.load import load

PP8, TG4 = Workload(batch=2, n_prompt=8), Workload(batch=2, n_gen=6, n_depth=8)
THREADS = torch.get_num_threads()


@pytest.fixture(scope="module")
def checkpoint():
    return load("random:tiny")


@pytest.fixture(scope="module")
def referee(checkpoint):
    return Referee(checkpoint, THREADS)


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
