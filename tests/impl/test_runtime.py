"""Token ids are checked, devices found, and the compiled logits are those of transformers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from max.driver import CPU, accelerator_count

from impl.config import GPT2Config
from impl.runtime import CompiledGPT2, DeviceError, InputError, check_ids, device_names, open_device

CONFIG = GPT2Config(vocab_size=7, n_positions=5, n_embd=6, n_layer=1, n_head=3)

# Twice the largest difference seen (2.1e-6) on logits of up to 1.6 leaves room for other kernels.
ATOL = 2e-5


def random_ids(checkpoint, batch, length, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, checkpoint.config.vocab_size, (batch, length))


def their_logits(theirs, ids):
    with torch.inference_mode():
        return theirs(torch.from_numpy(ids), use_cache=False).logits.numpy()


@given(st.lists(st.integers(0, CONFIG.vocab_size - 1), min_size=1, max_size=CONFIG.n_positions))
def test_every_id_of_the_vocabulary_is_taken(row):
    ids = check_ids(CONFIG, np.array([row, row[::-1]]))
    assert ids.tolist() == [row, row[::-1]]
    assert ids.dtype == np.int64
    assert ids.flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint16, np.uint64])
def test_all_integer_types_are_taken(dtype):
    assert check_ids(CONFIG, np.array([[0, 6]], dtype)).tolist() == [[0, 6]]


def test_a_transposed_view_becomes_contiguous():
    assert check_ids(CONFIG, np.array([[1, 2], [3, 4]]).T).flags.c_contiguous


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[7]], "token id 7 is outside the vocabulary, 0 to 6"),
        ([[0, -1]], "token id -1 is outside the vocabulary, 0 to 6"),
        (np.array([[2**64 - 1]], np.uint64), "token id 18446744073709551615 is outside"),
        (np.zeros((1, 0), int), "the prompt is empty"),
        (np.zeros((0, 3), int), "the prompt is empty"),
        ([[0] * 6], "6 tokens are more than the model's 5 positions"),
        ([[0.0]], r"must be integers of shape \[batch, sequence\], not float64 of shape \[1, 1\]"),
        ([[True]], "must be integers"),
        ([1, 2], r"not int64 of shape \[2\]"),
        ([[[1]]], r"not int64 of shape \[1, 1, 1\]"),
        (5, r"not int64 of shape \[\]"),
    ],
)
def test_other_ids_are_refused_in_a_sentence(ids, message):
    with pytest.raises(InputError, match=message):
        check_ids(CONFIG, np.asarray(ids))


@pytest.mark.parametrize("name", ["tpu", "cuda", "", "CPU", "gpu:x", "gpu:-1", "cpu:0"])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(DeviceError, match=r"unknown device .*; choose cpu, gpu or gpu:N"):
        open_device(name)


def test_an_accelerator_that_is_not_there_is_refused():
    with pytest.raises(DeviceError, match="MAX finds no accelerator"):
        open_device(f"gpu:{accelerator_count()}")


def test_every_device_that_is_named_opens():
    assert device_names()[0] == "cpu"
    assert isinstance(open_device("cpu"), CPU)
    assert len({open_device(name).label for name in device_names()}) >= 1


def test_a_model_for_a_missing_device_is_refused(checkpoint):
    with pytest.raises(DeviceError):
        CompiledGPT2(checkpoint.config, checkpoint.weights, "gpu:99")


@pytest.mark.compiles
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 2), (3, 17), (1, 255), (2, 256)])
def test_logits_are_those_of_transformers(checkpoint, compiled, theirs, batch, length):
    ids = random_ids(checkpoint, batch, length)
    ours = compiled(ids)
    assert ours.shape == (batch, length, checkpoint.config.vocab_size)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, their_logits(theirs, ids), rtol=0, atol=ATOL)


@pytest.mark.compiles
def test_the_check_can_fail(checkpoint, compiled, theirs):
    ids = random_ids(checkpoint, 1, 17)
    changed = ids.copy()
    changed[0, 0] = (ids[0, 0] + 1) % checkpoint.config.vocab_size
    difference = np.abs(compiled(changed) - their_logits(theirs, ids))
    assert difference[:, -1].max() > 10 * ATOL


@pytest.mark.compiles
def test_one_position_more_than_the_last_is_refused(checkpoint, compiled):
    with pytest.raises(InputError, match="257 tokens are more than the model's 256 positions"):
        compiled(random_ids(checkpoint, 1, 257))


@pytest.mark.compiles
def test_logits_are_the_callers_own(checkpoint, compiled):
    ids = random_ids(checkpoint, 1, 4)
    first = compiled(ids)
    kept = first.copy()
    compiled(random_ids(checkpoint, 1, 4, seed=1))
    assert np.array_equal(first, kept)
    first[:] = 0
    assert np.array_equal(compiled(ids), kept)
