"""The model has Hugging Face's parameter names, and no position sees a later one."""

from dataclasses import replace

import numpy as np
import pytest
from max.driver import Buffer
from max.dtype import DType
from max.experimental.nn import Module
from max.graph import DeviceRef, TensorType

from impl.model import causal_mask
from impl.runtime import build, open_device
from impl.weights import expected_shapes


@pytest.fixture(scope="module")
def masks():
    """Compiles the mask alone: rows that it is as long as in, `[S, S]` out."""

    class Mask(Module):
        def forward(self, rows):
            return causal_mask(rows.shape[0], DType.float32, rows.device)

    return Mask().compile(TensorType(DType.float32, ["length"], device=DeviceRef.CPU()))


@pytest.mark.parametrize("tied", [True, False])
def test_parameters_have_hugging_faces_names_and_maxs_shapes(checkpoint, theirs, tied):
    config = replace(checkpoint.config, tie_word_embeddings=tied)
    model = build(config, open_device("cpu"))
    shapes = {name: tuple(map(int, tensor.shape)) for name, tensor in model.parameters}
    head = {"lm_head.weight": (config.vocab_size, config.n_embd)}
    assert shapes.keys() == theirs.state_dict().keys()
    assert shapes == expected_shapes(config) | head


@pytest.mark.parametrize("tied", [True, False])
def test_a_tied_head_is_the_embedding_itself(checkpoint, tied):
    model = build(replace(checkpoint.config, tie_word_embeddings=tied), open_device("cpu"))
    assert (model.lm_head.weight is model.transformer.wte.weight) == tied


def test_modules_have_hugging_faces_names(checkpoint, theirs):
    model = build(checkpoint.config, open_device("cpu"))
    without_dropout = {name for name, _ in theirs.named_modules() if name and "drop" not in name}
    assert {name for name, _ in model.descendants} == without_dropout


@pytest.mark.compiles
@pytest.mark.parametrize("changed", [1, 5, 22])
def test_a_later_token_changes_no_earlier_logit_bit_for_bit(checkpoint, compiled, changed):
    ids = np.random.default_rng(0).integers(0, checkpoint.config.vocab_size, (2, 23))
    other = ids.copy()
    other[0, changed] = (ids[0, changed] + 1) % checkpoint.config.vocab_size
    before, after = compiled(ids), compiled(other)
    assert np.array_equal(before[0, :changed], after[0, :changed])
    assert np.array_equal(before[1], after[1])
    assert (before[0, changed:] != after[0, changed:]).any(axis=-1).all()


@pytest.mark.compiles
@pytest.mark.parametrize("length", [1, 2, 7])
def test_the_mask_is_0_up_to_the_diagonal_and_minus_infinity_behind(masks, length):
    (mask,) = masks.execute_raw(Buffer.from_numpy(np.zeros(length, np.float32)))
    expected = np.triu(np.full((length, length), -np.inf, np.float32), k=1)
    assert np.array_equal(mask.to_numpy(), expected)
