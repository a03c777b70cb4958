"""A checkpoint's hash tells its content, and its weights are checked against its configuration."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

from impl.config import parameter_shapes
from reference.checkpoint import CheckpointError, check_weights, listing
from reference.load import load

BIAS = "transformer.h.1.mlp.c_fc.bias"
SQUARE = "transformer.h.0.attn.c_proj.weight"


def changed(checkpoint, **weights):
    return replace(checkpoint, weights={**checkpoint.weights, **weights})


# ---- sha256 -----------------------------------------------------------------------------------


def test_equal_content_has_an_equal_hash(small):
    copied = {name: array.copy() for name, array in small.weights.items()}
    assert replace(small, name="copy", weights=copied).sha256 == small.sha256


def test_the_hash_does_not_depend_on_the_order_of_the_weights(small):
    backwards = dict(reversed(small.weights.items()))
    assert list(backwards) != list(small.weights)
    assert replace(small, weights=backwards).sha256 == small.sha256


def test_the_hash_does_not_depend_on_the_memory_layout(small):
    strided = np.zeros((64, 64), np.float32)[::2, ::2]
    strided[...] = small.weights[SQUARE]
    for array in (np.asfortranarray(small.weights[SQUARE]), strided):
        assert not array.flags.c_contiguous
        assert changed(small, **{SQUARE: array}).sha256 == small.sha256


def test_the_hash_does_not_depend_on_the_file_format(folder, small):
    """Metadata, another order and narrower files of the same values change the bytes only."""
    halves = {name: array.astype(np.float16) for name, array in small.weights.items()}
    wide = {name: torch.from_numpy(array.astype(np.float32)) for name, array in halves.items()}
    narrow = {name: torch.from_numpy(array) for name, array in halves.items()}
    hashes = set()
    for state in (wide, dict(reversed(wide.items())), narrow):
        save_file(state, folder / "model.safetensors", metadata={"format": f"pt{len(hashes)}"})
        hashes.add(load(str(folder)).sha256)
    assert len(hashes) == 1


def test_one_changed_bit_changes_the_hash(small):
    array = small.weights[SQUARE].copy()
    array[-1, -1] = np.nextafter(array[-1, -1], np.float32(1))
    assert changed(small, **{SQUARE: array}).sha256 != small.sha256


def test_another_shape_changes_the_hash(small):
    flat = small.weights[SQUARE].reshape(16, 64)
    assert changed(small, **{SQUARE: flat}).sha256 != small.sha256


def test_a_transposed_square_matrix_changes_the_hash(small):
    assert changed(small, **{SQUARE: small.weights[SQUARE].T}).sha256 != small.sha256


def test_another_name_changes_the_hash(small):
    renamed = {k.replace("h.0", "h.2"): v for k, v in small.weights.items()}
    assert replace(small, weights=renamed).sha256 != small.sha256


def test_exchanged_weights_change_the_hash(small):
    one, other = "transformer.h.0.ln_1.bias", "transformer.h.0.ln_2.bias"
    swapped = {one: small.weights[other], other: small.weights[one]}
    assert changed(small, **swapped).sha256 != small.sha256


# ---- parameters -------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [{}, {"n_inner": 40}, {"tie_word_embeddings": False}])
def test_parameters_are_those_of_transformers(sized, sizes):
    config = sized(**sizes).config
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.n_positions,
            n_embd=config.n_embd,
            n_layer=config.n_layer,
            n_head=config.n_head,
            n_inner=config.n_inner,
            tie_word_embeddings=config.tie_word_embeddings,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    theirs = {name: tuple(array.shape) for name, array in model.named_parameters()}
    assert parameter_shapes(config) == theirs
    assert config.parameter_count == model.num_parameters()


def test_a_whole_set_of_weights_is_accepted(small):
    check_weights(small.config, small.weights)


def test_every_single_parameter_is_needed(small):
    for name in small.weights:
        rest = {other: array for other, array in small.weights.items() if other != name}
        with pytest.raises(CheckpointError, match=f"has no weight {name}$"):
            check_weights(small.config, rest)


def test_a_weight_of_an_untied_head_is_foreign_to_a_tied_one(small, sized):
    untied = sized(tie_word_embeddings=False)
    with pytest.raises(CheckpointError, match=r"GPT-2 lacks: lm_head\.weight$"):
        check_weights(small.config, untied.weights)
    with pytest.raises(CheckpointError, match=r"has no weight lm_head\.weight$"):
        check_weights(untied.config, small.weights)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda array: array[:-1], r"has shape \[127\]; the configuration asks for \[128\]"),
        (lambda array: array[None], r"has shape \[1, 128\]; the configuration asks for \[128\]"),
        (lambda array: array[0], r"has shape \[\]; the configuration asks for \[128\]"),
        (lambda array: array.astype(np.float64), "has dtype float64, not float32"),
        (lambda array: array.astype(np.float16), "has dtype float16, not float32"),
        (lambda array: array / np.float32(0), "holds NaN or infinity"),
        (lambda array: np.where(array == array[5], np.float32("nan"), array), "holds NaN"),
    ],
)
def test_a_spoilt_weight_is_named_with_what_is_wrong(small, spoil, told):
    with np.errstate(divide="ignore"):
        weights = {**small.weights, BIAS: spoil(small.weights[BIAS])}
    with pytest.raises(CheckpointError, match=f"{BIAS} {told}"):
        check_weights(small.config, weights)


def test_a_long_list_of_names_is_cut(small):
    assert listing(["a"]) == "a"
    assert listing("abc") == "a, b, c"
    assert listing("abcdefg") == "a, b, c and 4 more"
    with pytest.raises(CheckpointError, match=r"and \d+ more$"):
        check_weights(small.config, {})
