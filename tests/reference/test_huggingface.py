"""The reference is transformers' own model: all the weights, eager attention, no dropout."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel
from transformers.models.gpt2 import modeling_gpt2

from reference.huggingface import HuggingFaceReference, load_model
from reference.load import load
from reference.trace import TraceError

IDS = np.array([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
HEAD = "lm_head.weight"


@pytest.fixture
def reference(small):
    return HuggingFaceReference(small)


def hooks(model):
    return [
        hook
        for module in model.modules()
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    ]


# ---- the model --------------------------------------------------------------------------------


def test_the_model_is_transformers_own(reference):
    assert type(reference.model) is GPT2LMHeadModel


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tied", [True, False])
def test_its_weights_read_back_are_the_checkpoints(sized, dtype, tied):
    checkpoint = sized(tie_word_embeddings=tied)
    state = load_model(checkpoint, dtype).state_dict()
    head = {HEAD: checkpoint.weights["transformer.wte.weight"]} if tied else {}
    expected = {**checkpoint.weights, **head}
    assert state.keys() == expected.keys()
    for name, array in expected.items():
        assert state[name].dtype == dtype
        assert np.array_equal(state[name].numpy(), array), name  # float64 holds float32 exactly


def test_a_tied_head_is_the_embedding_itself(sized):
    tied = load_model(sized(), torch.float32)
    assert tied.lm_head.weight is tied.transformer.wte.weight
    untied = load_model(sized(tie_word_embeddings=False), torch.float32)
    assert untied.lm_head.weight is not untied.transformer.wte.weight


def test_the_checkpoints_weights_are_not_the_models_memory(small):
    before = small.sha256
    model = load_model(small, torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert replace(small, name="again").sha256 == before


def test_every_module_is_in_eval_mode(reference):
    assert not [name for name, module in reference.model.named_modules() if module.training]


def test_it_runs_eager_attention_in_every_layer(reference, monkeypatch):
    """Both functions are watched while they do their own work."""
    calls = []

    def watched(name, function):
        def run(*args, **kwargs):
            calls.append(name)
            return function(*args, **kwargs)

        return run

    functional, eager = torch.nn.functional, modeling_gpt2.eager_attention_forward
    monkeypatch.setattr(modeling_gpt2, "eager_attention_forward", watched("eager", eager))
    sdpa = functional.scaled_dot_product_attention
    monkeypatch.setattr(functional, "scaled_dot_product_attention", watched("sdpa", sdpa))
    reference.logits(IDS)
    assert calls == ["eager", "eager"]
    reference.model.set_attn_implementation("sdpa")
    reference.logits(IDS)
    assert calls == ["eager", "eager", "sdpa", "sdpa"]  # so the watch does see the other kind


def test_sizes_reach_transformers(sized):
    sizes = {"n_inner": 40, "layer_norm_epsilon": 1e-3, "n_head": 2, "n_positions": 9}
    config = load_model(sized(**sizes), torch.float32).config
    assert {name: getattr(config, name) for name in sizes} == sizes


def test_it_computes_what_transformers_computes_from_the_same_folder(folder):
    theirs = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(IDS)).logits.numpy()
    ours = HuggingFaceReference(load(str(folder))).logits(IDS)
    assert np.array_equal(ours, expected)


@pytest.mark.parametrize("wrong", ["missing", "extra"])
def test_weights_that_transformers_does_not_take_are_an_error(small, wrong):
    weights = dict(small.weights)
    if wrong == "missing":
        del weights["transformer.h.1.ln_1.bias"]
    else:
        weights["transformer.h.2.ln_1.bias"] = np.zeros(32, np.float32)
    with pytest.raises(RuntimeError, match=r"transformer\.h\.\d\.ln_1\.bias"):
        load_model(replace(small, weights=weights), torch.float32)


# ---- traces -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_traced_pass_computes_what_an_untapped_one_computes(small, dtype):
    reference = HuggingFaceReference(small, dtype)
    trace = reference.trace(IDS)
    assert np.array_equal(trace["lm_head"], reference.logits(IDS))
    assert trace["lm_head"].shape == (2, 5, 67)
    assert trace["lm_head"].dtype == (np.float32 if dtype == torch.float32 else np.float64)


def test_every_module_that_runs_is_tapped_on_both_sides(reference):
    trace = reference.trace(IDS)
    containers = {"transformer.h"}
    # Eager attention applies dropout as a function of this module's rate, not as the module.
    never_called = {f"transformer.h.{layer}.attn.attn_dropout" for layer in range(2)}
    modules = {name for name, _ in reference.model.named_modules() if name}
    assert {tap.removesuffix(":input") for tap in trace} == modules - containers - never_called
    assert all(f"{tap}:input" in trace for tap in trace if not tap.endswith(":input"))


def test_hooks_are_removed_after_a_trace(reference):
    reference.trace(IDS)
    assert not hooks(reference.model)


def test_hooks_are_removed_when_a_trace_fails(reference):
    with pytest.raises(TraceError):
        reference.trace(IDS, {"no.such.tap": np.zeros(1)})
    assert not hooks(reference.model)
    with pytest.raises(IndexError):
        reference.trace(IDS + 1000)  # tokens that do not exist
    assert not hooks(reference.model)


def test_a_forced_trace_leaves_no_trace_in_the_model(reference):
    before = reference.logits(IDS)
    free = reference.trace(IDS)
    reference.trace(IDS, {"transformer.h.0": np.zeros_like(free["transformer.h.0"])})
    assert np.array_equal(reference.logits(IDS), before)
