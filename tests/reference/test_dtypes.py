import numpy as np
import pytest
import torch

from reference.checkpoint import Checkpoint, CheckpointError
from reference.dtypes import DTYPES, held_in, is_floating, rounded, unit_roundoff
from reference.huggingface import HuggingFaceReference
from reference.load import load

CHECKPOINT = load("random:tiny")
SIXTEEN_BITS = ("bfloat16", "float16")


@pytest.mark.parametrize("dtype", SIXTEEN_BITS)
def test_weights_are_rounded_as_torch_rounds_them_and_stay_float32(dtype):
    for name, array in rounded(CHECKPOINT, dtype).weights.items():
        expected = torch.from_numpy(CHECKPOINT.weights[name]).to(getattr(torch, dtype)).float()
        assert array.dtype == np.float32
        assert np.array_equal(array, expected.numpy()), name


def test_float32_weights_are_left_alone():
    assert rounded(CHECKPOINT, "float32") is CHECKPOINT


def test_a_weight_beyond_float16_is_refused_by_name():
    big = {name: array.copy() for name, array in CHECKPOINT.weights.items()}
    big["transformer.wte.weight"][0, 0] = 1e5
    checkpoint = Checkpoint(name="big", config=CHECKPOINT.config, weights=big)
    with pytest.raises(CheckpointError, match=r"wte\.weight holds numbers too large for float16"):
        rounded(checkpoint, "float16")
    assert rounded(checkpoint, "bfloat16").weights["transformer.wte.weight"][0, 0] > 9e4


def test_a_tied_head_goes_on_sharing_its_table():
    table = np.ones((2, 3), np.float32)
    held = held_in("bfloat16", {"wte": table, "lm_head": table, "other": np.ones(2, np.float32)})
    assert held["wte"] is held["lm_head"]
    assert {array.dtype for array in held.values()} == {DTYPES["bfloat16"]}


@pytest.mark.parametrize(("dtype", "bits"), [("float32", 24), ("float16", 11), ("bfloat16", 8)])
def test_unit_roundoff_is_half_the_gap_above_one(dtype, bits):
    assert unit_roundoff(DTYPES[dtype]) == 2.0**-bits


def test_bfloat16_counts_as_floating():
    assert is_floating(np.ones(1, DTYPES["bfloat16"]))
    assert not is_floating(np.ones(1, np.int64))


@pytest.mark.parametrize("dtype", SIXTEEN_BITS)
def test_hugging_face_in_16_bits_is_traced_and_forced(dtype):
    model = HuggingFaceReference(CHECKPOINT, getattr(torch, dtype))
    ids = np.array([[1, 2, 3]])
    free = model.trace(ids)
    floats = {tap: array for tap, array in free.items() if is_floating(array)}
    assert {array.dtype for array in floats.values()} == {DTYPES[dtype]}
    given = {tap: array for tap, array in free.items() if tap.endswith("mlp.act")}
    doubled = {tap: (2 * array).astype(array.dtype) for tap, array in given.items()}
    again = model.trace(ids, given)
    other = model.trace(ids, doubled)
    assert all(np.array_equal(again[tap], array) for tap, array in free.items())
    assert not np.array_equal(
        other["transformer.h.0.mlp.c_proj"], free["transformer.h.0.mlp.c_proj"]
    )
