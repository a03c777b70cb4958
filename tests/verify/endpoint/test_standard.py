"""What answers are compared with: the embedded GPT-2, and any decoder that transformers loads."""

import asyncio

import numpy as np
import pytest
import torch
import transformers

from reference.checkpoint import CheckpointError
from verify.endpoint.abilities import Abilities, find
from verify.endpoint.answering import Judge
from verify.endpoint.asking import put
from verify.endpoint.noticed import planted
from verify.endpoint.questions import Questions
from verify.endpoint.simulated import Simulated
from verify.endpoint.standard import Standard, model_of


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """The folder of a drawn Llama without a tokenizer."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=200, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=160,
        initializer_range=0.3, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("llama")
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def wrong_of(model, dtype, fault=""):
    """The first wrong case of each that a simulated server is asked; few of them draw."""
    standard = Standard(model, dtype)

    async def ask():
        server = Simulated(model.torch, model.vocabulary, fault)
        abilities = await find(server, model.vocabulary)
        questions = Questions(standard, abilities, model.context)
        judge = Judge(standard, returns_ids=True, logprobs=True, context=model.context)
        cases = [case for case in questions.cases(0) if not case.drawn]
        return [one for case in cases if (one := await put(server, case, judge)).wrong]

    return asyncio.run(ask())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_llama_is_its_own_standard(llama, dtype):
    model = model_of(str(llama), dtype)
    assert (model.context, model.size, model.ends) == (160, 200, {2})
    assert model.vocabulary is None
    assert wrong_of(model, dtype) == []


def test_faults_of_a_llama_are_noticed_without_a_tokenizer(llama):
    model = model_of(str(llama), "float32")
    standard = Standard(model, "float32")
    questions = Questions(standard, Abilities(), model.context)
    judge = Judge(standard, returns_ids=True, logprobs=True, context=model.context)
    some = ("position-from-0", "page-end", "other-row", "stale-prefix", "epsilon")
    cases = [case for case in questions.cases(0) if not case.drawn]
    found = planted(model, Abilities(), cases, judge, faults=some)
    states = {one.fault: one.state for one in found}
    # Its norm's epsilon of 1e-6 is small beside activations that were drawn so large.
    assert states == dict.fromkeys(some, "caught") | {"epsilon": "not applicable"}
    assert "no log-probability changes" in found[-1].message


def test_a_gpt2_in_bfloat16_is_its_own_standard():
    assert wrong_of(model_of("tiny", "bfloat16"), "bfloat16") == []


def test_the_allowance_of_bfloat16_is_far_wider(standard):
    narrow = Standard(model_of("tiny", "bfloat16"), "bfloat16")
    ids = list(range(40))
    wide = narrow.of(ids, 30).allowed / standard.of(ids, 30).allowed
    assert wide.min() > 100


def test_what_follows_does_not_depend_on_where_the_answer_begins(standard):
    ids = [int(one) for one in np.random.default_rng(0).integers(0, 1024, 70)]
    whole, end = standard.of(ids, 0), standard.of(ids, 60)
    assert np.array_equal(whole.logprobs[60:], end.logprobs)
    assert len(end.allowed) == 10
    assert np.allclose(np.exp(end.logprobs).sum(axis=-1), 1)


def test_greedy_tokens_are_the_oracle_s_own(standard):
    prompt = [3, 1, 4, 1, 5]
    ids = standard.greedy(prompt, 4)
    expected = standard.of([*prompt, *ids[:-1]], 4)
    assert [expected.best(at) for at in range(4)] == ids


def test_a_folder_that_is_no_model_is_a_sentence(tmp_path):
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        model_of(str(tmp_path), "float32")


def test_log_probabilities_that_are_made_in_float32_are_allowed_where_logits_are_small():
    """An untrained model's logits are near 0, and every log-probability near -log(vocabulary)."""
    model = model_of("random:tiny", "float32")
    ids = np.random.default_rng(0).integers(0, model.size, 40)
    expected = Standard(model, "float32").of(ids, 0)
    exact = torch.from_numpy(model.oracle(ids[None])[0])
    in_float32 = exact.float().log_softmax(-1).double().numpy()
    error = np.abs(in_float32 - expected.logprobs).max(axis=-1)
    assert (error > 0).any()
    assert (error <= expected.allowed).all()
    assert expected.allowed.max() < 1e-4
