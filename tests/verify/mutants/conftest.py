"""Small models whose graphs are mutated, with what they are compared with in float64."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import transformers
from max.dtype import DType

from impl.config import GPT2Config
from impl.runtime import build, open_device
from impl.weights import from_hugging_face
from reference.checkpoint import Checkpoint
from reference.regimes import initial_weights, with_regime
from verify.candidate.allowance import with_rounded_constants
from verify.candidate.factory import load_factory
from verify.candidate.model_graphs import trace_model
from verify.candidate.observation import Observation
from verify.decoder import prepare_decoder, weights_of
from verify.mathematics import cases_of
from verify.mutants.forced import forced
from verify.pairing.prepare import NamedCandidate, prepare
from verify.truth.any_decoder import DecoderMathematics, with_probes
from verify.truth.cases import PROBE_SIZE
from verify.truth.float64 import Mathematics

MODELS = Path(__file__).parents[1] / "models"
CONFIG = GPT2Config(vocab_size=67, n_positions=40, n_embd=32, n_layer=2, n_head=4)


@dataclass
class Subject:
    """A model's forced graph with weights, and the expectations of its cases."""

    candidate: object
    forced: object
    expected: list


@dataclass
class Llama:
    """A decoder of transformers, its float64 truth, and the cases of a run."""

    model: object
    truth: object
    cases: list

    def expectations(self, name):
        """A candidate's forced graph, and what each case is compared with."""
        factory = load_factory(f"{MODELS / 'llama.py'}:{name}")
        paired = prepare_decoder(NamedCandidate(name=name, factory=factory), self.model)
        bound = paired.evaluated(paired.weights_of(weights_of(self.model)))
        graph = forced(paired, bound)
        for case in self.cases:
            expected = self.truth.expectation(case, paired.given_taps)
            yield graph, with_rounded_constants(expected, bound, Observation(bound, expected))


@pytest.fixture(scope="session")
def truth():
    """A small GPT-2 every parameter of which is moved."""
    start = Checkpoint(name="small", config=CONFIG, weights=initial_weights(CONFIG, seed=1))
    return Mathematics(with_regime(start, "perturbed", seed=1))


def subject_of(candidate, weights, truth):
    expected = [
        truth.expectation(case, candidate.given_taps)
        for case in cases_of(CONFIG, "given", [PROBE_SIZE], seed=0)
    ]
    return Subject(candidate, forced(candidate, candidate.evaluated(weights)), expected)


@pytest.fixture(scope="session")
def gpt2(truth):
    device = open_device("cpu")
    candidate = trace_model(build(CONFIG, device), device)
    weights = from_hugging_face(CONFIG, truth.checkpoint.weights)
    return subject_of(candidate, weights, truth)


@pytest.fixture(scope="session")
def named(truth):
    """Makes the subject of a candidate of `models/`."""

    def make(spec):
        file, _, name = spec.partition(":")
        factory = load_factory(f"{MODELS / file}:{name}")
        subject = NamedCandidate(name=spec, factory=factory)
        candidate = prepare(subject, truth.checkpoint, "cpu", DType.float32)
        return subject_of(candidate, candidate.weights_of(truth.checkpoint.weights), truth)

    return make


@pytest.fixture(scope="session")
def llama():
    """A Llama of two layers in MAX, and transformers' own with the same weights."""
    config = transformers.LlamaConfig(
        vocab_size=89, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        tie_word_embeddings=False, attn_implementation="eager",
    )  # fmt: skip
    torch.set_num_threads(1)  # small products wait for each other's threads
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return Llama(model, DecoderMathematics(model), with_probes(config, [PROBE_SIZE], 0))
