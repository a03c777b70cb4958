"""Stages of a Llama whose formula has another number or choice."""

import numpy as np
import pytest
import torch
import transformers

from verify.decoder import DecoderReferences
from verify.explain.diagnosis import failure_at, findings
from verify.explain.llama_formulas import formula_of
from verify.truth.cases import Case

ATTENTION = "model.layers.1.self_attn.o_proj:input"
GATED = "model.layers.1.mlp.down_proj:input"
NORM = "model.layers.1.input_layernorm"


@pytest.fixture(scope="module")
def expected():
    config = transformers.LlamaConfig(
        vocab_size=89, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    references = DecoderReferences.of(model)
    case = Case(regime="given", ids=np.random.default_rng(0).integers(0, 89, (2, 17)), seed=0)
    taps = [tap for tap in references.torch.trace(case.ids) if not tap.endswith(":input")]
    cut = [tap for tap in taps if not tap.endswith("act_fn")]
    return references.expectation(case, cut)


@pytest.mark.parametrize("tap", [ATTENTION, GATED, NORM, "model.norm"])
def test_the_formula_is_the_references(tap, expected):
    formula = formula_of(failure_at(tap, expected.isolated[tap], expected))
    found, truth = formula.compute(formula.right), expected.isolated[tap]
    assert np.abs(found - truth).max() < 1e-5 * np.abs(truth).max()


@pytest.mark.parametrize(
    ("tap", "values", "words"),
    [
        (ATTENTION, {"rotation": "backwards"}, "rotary embeddings that turn backwards"),
        (ATTENTION, {"rotation": "pairs"}, "of neighbouring features, not of halves"),
        (ATTENTION, {"rotation": "none"}, "no rotary embeddings"),
        (ATTENTION, {"base": 5e5}, "of base 500000; the reference has base 10000"),
        (ATTENTION, {"base": 12345.0}, "of base 12345"),
        (ATTENTION, {"scale": 0.3}, "scores times 0.3; the reference has scale 0.25"),
        (ATTENTION, {"mask": "none"}, "no mask"),
        (ATTENTION, {"sharing": "tiled"}, "key heads in turn"),
        (GATED, {"activation": "gelu"}, "gelu(gate) up"),
        (GATED, {"order": "swapped"}, "the two projections exchanged"),
        (NORM, {"eps": 3e-4}, "eps 0.0003; the reference has eps 1e-06"),
        (NORM, {"mean": True}, "the mean is taken off"),
        (NORM, {"offset": True}, "times 1 + weight"),
    ],
)
def test_another_number_or_choice_is_named(tap, values, words, expected):
    formula = formula_of(failure_at(tap, expected.isolated[tap], expected))
    found = formula.compute({**formula.right, **values}).astype(np.float32)
    (finding,) = findings([failure_at(tap, found, expected)])
    assert words in finding.text


def test_what_a_projection_makes_of_a_wrong_input_follows_from_it(expected):
    tap, wrong = "model.layers.1.self_attn.o_proj", expected.isolated[ATTENTION][:, ::-1]
    weight = expected.oracle.model.get_parameter(f"{tap}.weight").detach().double().numpy()
    first = failure_at(ATTENTION, np.ascontiguousarray(wrong), expected)
    later = failure_at(tap, wrong @ weight.T, expected)
    (finding,) = findings([later, first])
    assert (finding.tap, finding.stages) == (ATTENTION, 2)


def test_a_stage_without_a_known_formula_is_described(expected):
    tap = "model.layers.1.self_attn.q_proj"
    found = (expected.isolated[tap] * 1.5).astype(np.float32)
    (finding,) = findings([failure_at(tap, found, expected)])
    assert "the right result times 1.5" in finding.text
