"""impl's GPT-2 evaluated in float64, compared with the oracle; `test_candidates_traced.py` has the
other candidates."""

import numpy as np
import pytest
from max.graph import Module

from impl import stock
from impl.runtime import build, open_device
from impl.weights import from_hugging_face
from reference.load import load
from reference.oracle import Oracle
from reference.regimes import with_regime
from verify.candidate.model_graphs import trace_model
from verify.graph.adapter import noting, read
from verify.graph.evaluate import evaluate
from verify.graph.form import same
from verify.graph.weights import Weights
from verify.max_bugs.where_mask import (
    FEATURES,
    HEADS,
    LENGTH,
    add_attention,
    band_part_mask,
    numpy_attention,
    where_mask,
)

FLOAT64 = 1e-13
"""In float64 a right stage was 5e-15 of its rms from the oracle at most; a wrong one 3e-6 at least,
the erf GELU behind a whole model of the smallest size."""

IDS = np.random.default_rng(1).integers(0, 67, (2, 9))


def traced(checkpoint):
    device = open_device("cpu")
    return trace_model(build(checkpoint.config, device), device)


@pytest.fixture(scope="module")
def tiny():
    return load("random:tiny")


@pytest.fixture(scope="module")
def taps(tiny):
    return traced(tiny)


def bound_to(taps, checkpoint, precision="float64"):
    weights = from_hugging_face(checkpoint.config, checkpoint.weights, contiguous=False)
    return taps.evaluated(weights, precision)


def distance(found, truth):
    """The largest error, in units of the truth's rms."""
    unit = np.sqrt(np.mean(np.square(truth, dtype=np.float64)))
    return np.abs(found - truth).max() / (unit or 1)


@pytest.fixture(scope="module", params=["given", "perturbed", "stress"])
def regime(request, tiny):
    return with_regime(tiny, request.param)


def test_every_stage_of_impl_is_the_oracles_in_float64(taps, regime):
    _, found = bound_to(taps, regime).trace(IDS)
    truth = Oracle(regime).trace(IDS)
    assert found.keys() == truth.keys()
    assert max(distance(found[tap], truth[tap]) for tap in truth) < FLOAT64


def test_forced_on_the_oracles_activations_every_stage_is_the_oracles(taps, regime):
    truth = Oracle(regime).trace(IDS)
    found = bound_to(taps, regime).forced_trace(IDS, truth)
    assert max(distance(found[tap], truth[tap]) for tap in truth) < FLOAT64


def test_plain_free_and_forced_agree_exactly(taps, tiny):
    bound = bound_to(taps, tiny)
    logits, free = bound.trace(IDS)
    forced = bound.forced_trace(IDS, free)
    assert np.array_equal(bound.logits(IDS), logits)
    assert all(np.array_equal(forced[tap], array) for tap, array in free.items())


def test_at_the_declared_precision_it_is_as_near_to_float64_as_float32_can_be(taps, tiny):
    _, found = bound_to(taps, tiny, "declared").trace(IDS)
    truth = Oracle(tiny).trace(IDS)
    errors = {
        tap: distance(found[tap], truth[tap]) for tap in truth if found[tap].dtype.kind == "f"
    }
    assert {found[tap].dtype.name for tap in errors} == {"float32"}
    assert 1e-8 < max(errors.values()) < 1e-5


def test_staging_twice_gives_equal_graphs(taps, tiny):
    again = traced(tiny)
    assert taps.traces_alike()
    assert all(
        same(taps.graphs[name], again.graphs[name]) for name in ("plain", "tapped", "forced")
    )


def test_the_mask_that_max_drops_is_there_in_the_graph():
    program = Module()
    with noting(places=False) as notes:
        add_attention(program, "where", where_mask)
        add_attention(program, "band_part", band_part_mask)
    inputs = np.random.default_rng(0).standard_normal((3, HEADS, LENGTH, FEATURES))
    inputs = inputs.astype(np.float32)
    truth = numpy_attention(*inputs.astype(np.float64), masked=True)
    for graph in read(program, notes):
        assert distance(evaluate(graph, list(inputs)).outputs[0], truth) < FLOAT64


def test_the_engines_graph_on_its_cache_is_the_oracles(tiny):
    """A prompt, then a token and two more: keys and values stay in the buffers."""
    config, ids = tiny.config, IDS[:, :8]
    with noting(places=False) as notes:
        program = stock.trace(config, open_device("cpu"))
    (graph,) = read(program, notes)
    weights = Weights(from_hugging_face(config, tiny.weights))
    shape = (2, config.n_head, config.n_positions, config.head_dim)
    caches = [np.zeros(shape, np.float32) for _ in range(2 * config.n_layer)]
    logits = []
    for past, end in ((0, 5), (5, 6), (6, 8)):
        span = np.array([0, 2, past, end])
        asked = np.arange(2 * (end - past))
        mask = stock.future_mask(past, end)
        inputs = [ids[:, past:end], np.arange(past, end), mask, asked, span, *caches]
        found = evaluate(graph, inputs, weights)
        caches = list(found.buffers.values())
        logits.append(found.outputs[0].reshape(2, end - past, -1))
    truth = Oracle(tiny).trace(ids)["lm_head"]
    assert distance(np.concatenate(logits, axis=1), truth) < FLOAT64
