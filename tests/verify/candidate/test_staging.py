import numpy as np
import pytest
from max.dtype import DType
from max.experimental.nn import Linear, Module
from max.graph import Module as Program
from max.graph import TensorType

from impl.runtime import build, open_device
from impl.weights import from_hugging_face
from reference.oracle import Oracle
from reference.regimes import with_regime
from verify.candidate.calls import paths_of
from verify.candidate.staging import stage_tapped, weightless

pytestmark = pytest.mark.compiles

IDS = np.random.default_rng(0).integers(0, 1024, (2, 5))


def test_the_taps_are_hugging_faces_modules_in_the_order_of_execution(candidate, checkpoint):
    order = list(Oracle(checkpoint).trace(IDS))
    assert candidate.taps == candidate.forced_taps
    assert set(candidate.taps) == set(order)
    before = [tap for tap in candidate.taps if "h.2." in tap]
    assert before.index("transformer.h.2.ln_1") < before.index("transformer.h.2.mlp.act")


def test_tapping_does_not_change_the_logits(bound):
    logits, trace = bound.trace(IDS)
    assert np.array_equal(logits, bound.logits(IDS))
    assert np.array_equal(trace["lm_head"], logits)


def test_the_trace_is_near_the_oracles(bound, checkpoint):
    truth = Oracle(checkpoint).trace(IDS)
    _, trace = bound.trace(IDS)
    for tap, array in trace.items():
        assert array.shape == truth[tap].shape, tap
        assert np.allclose(array, truth[tap], atol=1e-5), tap


def test_forced_on_its_own_activations_it_computes_them_again(bound):
    _, trace = bound.trace(IDS)
    forced = bound.forced_trace(IDS, trace)
    assert all(np.array_equal(forced[tap], array) for tap, array in trace.items())


def test_a_given_activation_reaches_the_next_stage_and_no_further(bound):
    _, trace = bound.trace(IDS)
    changed = dict(trace)
    tap = "transformer.h.3.mlp.act"
    changed[tap] = trace[tap] + 1
    forced = bound.forced_trace(IDS, changed)
    moved = [name for name, array in forced.items() if not np.array_equal(array, trace[name])]
    assert moved == ["transformer.h.3.mlp.c_proj:input", "transformer.h.3.mlp.c_proj"]


def test_parameters_are_read_back_from_the_compiled_program(bound, checkpoint):
    weights = from_hugging_face(checkpoint.config, checkpoint.weights)
    held = bound.parameters()
    assert held.keys() == weights.keys()
    assert all(np.array_equal(held[name], array) for name, array in weights.items())


def test_other_weights_need_no_other_program(candidate, checkpoint, bound):
    stressed = with_regime(checkpoint, "stress")
    other = candidate.bind(from_hugging_face(stressed.config, stressed.weights))
    truth = Oracle(stressed).trace(IDS)["lm_head"]
    assert np.allclose(other.logits(IDS), truth, atol=1e-4)
    assert not np.allclose(bound.logits(IDS), truth, atol=1e-4)


def test_a_second_call_of_a_module_is_a_place_of_its_own(checkpoint):
    class Twice(Module):
        def __init__(self, config):
            self.layer = Linear(config.n_embd, config.n_embd)

        def forward(self, x):
            return self.layer(self.layer(x))

    device = open_device("cpu")
    model = weightless(build(checkpoint.config, device, factory=Twice))
    types = [TensorType(DType.float32, ["rows", checkpoint.config.n_embd], device=device)]
    seen = stage_tapped("twice", model, types, paths_of(model), Program(), "result")
    assert list(seen) == ["layer:input", "layer", "layer#2:input", "layer#2", "result"]
