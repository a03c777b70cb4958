"""Models of the graph API: what is found of them, and what is said where something is missing.

They are traced, and nothing is compiled; `test_candidates_traced.py` judges whole models.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
from max.driver import Buffer
from max.dtype import DType

from impl.config import GPT2Config
from reference.checkpoint import Checkpoint
from reference.oracle import Oracle
from reference.regimes import initial_weights, with_regime
from verify.candidate.graph_api import GraphModel
from verify.candidate.guard import CandidateError
from verify.pairing.prepare import NamedCandidate, prepare
from verify.pairing.translated import held_weights

sys.path.insert(0, str(Path(__file__).parents[1] / "models" / "forms"))

import graph_api

pytestmark = pytest.mark.usefixtures("nothing_is_compiled")

CONFIG = GPT2Config(vocab_size=67, n_positions=40, n_embd=32, n_layer=2, n_head=4)
START = Checkpoint(name="small", config=CONFIG, weights=initial_weights(CONFIG, seed=1))
CHECKPOINT = with_regime(START, "perturbed", seed=1)
IDS = np.random.default_rng(0).integers(0, CONFIG.vocab_size, (2, 7))


def prepared(factory, dtype="float32"):
    subject = NamedCandidate(name=factory.__name__, factory=factory)
    return prepare(subject, CHECKPOINT, "cpu", DType[dtype])


def refused(factory, dtype="float32"):
    with pytest.raises(CandidateError) as caught:
        prepared(factory, dtype)
    return str(caught.value)


def test_the_weights_of_a_max_nn_module_have_the_names_of_its_state_dict():
    model = graph_api.NNModel(CONFIG)
    assert len(GraphModel(model).parameters) == len(model.raw_state_dict())
    assert dict(GraphModel(model).parameters) == model.raw_state_dict()


def test_a_shared_weight_is_one_parameter_under_two_names():
    candidate = prepared(graph_api.NNTied)
    assert candidate.outline.tied == {"lm_head.weight": "wte.weight"}
    weights = held_weights(candidate, CHECKPOINT, "float32")
    assert np.shares_memory(weights["lm_head.weight"], weights["wte.weight"])


@pytest.mark.parametrize("factory", [graph_api.NNModel, graph_api.Plain])
def test_every_object_that_is_called_is_a_place(factory):
    candidate = prepared(factory)
    block = "transformer.h.1"
    inside = ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")
    places = [block, *(f"{block}.{name}" for name in inside), "transformer.ln_f", "lm_head"]
    assert [place for place in places if place not in candidate.forced_taps] == []
    assert candidate.pairing.unheld == ()


def test_of_a_function_the_logits_are_seen():
    assert prepared(graph_api.closure).forced_taps == ["lm_head"]


def test_what_a_trace_leaves_in_a_model_does_not_reach_the_next():
    model = graph_api.Plain(CONFIG)
    candidate = prepared(lambda config: model)
    assert model.embedded is None
    assert "_mlir_value" not in vars(model.tokens)
    assert candidate.candidate.traces_alike()


def test_a_given_activation_reaches_the_next_stage_and_no_further():
    candidate = prepared(graph_api.NNModel)
    bound = candidate.evaluated(held_weights(candidate, CHECKPOINT, "float32"))
    trace = Oracle(CHECKPOINT).trace(IDS)
    changed = {**trace, "transformer.h.0.ln_2": trace["transformer.h.0.ln_2"] + 1}
    first, second = (bound.forced_trace(IDS, given) for given in (trace, changed))
    moved = [tap for tap in first if not np.array_equal(first[tap], second[tap])]
    assert moved == [
        f"transformer.h.0.{tap}" for tap in ("mlp:input", "mlp.c_fc:input", "mlp.c_fc")
    ]


def test_the_parameters_are_read_back():
    candidate = prepared(graph_api.Plain)
    weights = held_weights(candidate, CHECKPOINT, "float32")
    held = candidate.evaluated(weights).parameters()
    assert held.keys() == weights.keys()
    assert all(np.array_equal(held[name], array) for name, array in weights.items())


def test_the_forward_of_an_architecture_package_is_recognised():
    message = refused(graph_api.Ragged)
    assert message.startswith("Ragged.__call__(tokens, kv_collections, return_n_logits, input_row")
    assert "architecture package for serving" in message


def test_a_callable_without_weights_is_told_how_to_hold_them():
    message = refused(graph_api.without_weights)
    assert "without_weights(config) returns a function that holds no weight: make each a" in message


def test_what_it_raises_is_a_sentence_with_its_own_lines():
    with pytest.raises(CandidateError, match="AttributeError: 'Unset' object has no") as caught:
        prepared(graph_api.Unset)
    assert caught.value.__notes__[-1].startswith("  graph_api.py:")


def test_weights_on_another_device_are_refused_in_a_sentence():
    message = refused(graph_api.Elsewhere)
    assert message.startswith("its weights are on gpu:0, and it is verified on cpu:0: choose")


def test_a_weight_that_gpt2_lacks_needs_a_value():
    assert "its weight scale has no counterpart" in refused(graph_api.OwnBuffer)


@pytest.mark.parametrize("kind", [np.array, Buffer.from_numpy])
def test_a_value_that_a_max_nn_module_was_given_is_used(kind):
    def with_value(config):
        model = graph_api.OwnBuffer(config)
        model.load_state_dict({"scale": kind(np.full(7, 2, np.float32))}, strict=False)
        return model

    candidate = prepared(with_value)
    bound = candidate.evaluated(held_weights(candidate, CHECKPOINT, "float32"))
    truth = 2 * Oracle(CHECKPOINT).trace(IDS)["lm_head"]
    assert np.allclose(bound.logits(IDS), truth, rtol=0, atol=1e-12)


def test_weights_of_another_dtype_are_refused_in_a_sentence():
    assert "its parameters are float32: verify with --dtype float32" in refused(
        graph_api.Plain, "bfloat16"
    )


def test_what_is_no_model_at_all_is_refused():
    def number(config):
        return 3

    assert "number(config) returns an int: no module of max.experimental.nn" in refused(number)
