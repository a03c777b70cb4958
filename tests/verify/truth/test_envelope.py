import numpy as np
import pytest

from reference.load import load
from reference.oracle import Oracle
from verify.judge.acceptance import EXACT, Envelope
from verify.truth import envelope
from verify.truth.float32 import evaluations

CHECKPOINT = load("random:tiny")


def _ids(batch, length):
    return np.random.default_rng(3).integers(0, CHECKPOINT.config.vocab_size, (batch, length))


def _given(ids):
    trace = Oracle(CHECKPOINT, np.float32).trace(ids)
    return {tap: array for tap, array in trace.items() if not tap.endswith(":input")}


@pytest.mark.parametrize(
    ("batch", "length", "copies"), [(1, 1, 64), (1, 9, 8), (2, 33, 4), (1, 256, 1)]
)
def test_short_inputs_are_repeated(batch, length, copies):
    sample = envelope.sample(_ids(batch, length), {}, seed=0)
    assert sample.copies == copies
    assert sample.ids.shape == (copies * batch, length)


def test_the_first_copy_is_the_input_itself_and_the_others_are_close():
    ids = _ids(2, 5)
    given = _given(ids)
    sample = envelope.sample(ids, given, seed=0)
    for tap, array in given.items():
        again = sample.given[tap]
        assert np.array_equal(again[: len(array)], array), tap
        if len(again) > len(array):
            assert not np.array_equal(again[len(array) : 2 * len(array)], array), tap
            assert np.allclose(again.reshape(-1, *array.shape), array, rtol=1e-2), tap
    original = sample.original(sample.given)
    assert all(np.array_equal(original[tap], array) for tap, array in given.items())


def test_stages_that_only_pass_values_on_have_an_exact_envelope():
    stages = _stages(_ids(1, 9))
    assert stages["transformer.h.1.ln_1:input"].envelope == EXACT
    assert stages["transformer.wte"].envelope == EXACT
    assert stages["transformer.h.1.mlp.act"].envelope.rms > 0
    assert stages["transformer.h.1.attn.c_proj:input"].envelope.rms > 0


def test_the_envelope_is_the_worst_of_its_evaluations():
    ids = _ids(1, 64)
    given = _given(ids)
    sample = envelope.sample(ids, given, seed=0)
    truth = Oracle(CHECKPOINT).trace(sample.ids, sample.given)
    traces = [m.trace(sample.ids, sample.given) for m in evaluations(CHECKPOINT)]
    together = envelope.isolated(sample, truth, traces)
    alone = [envelope.isolated(sample, truth, [trace]) for trace in traces]
    for tap, stage in together.items():
        assert stage.envelope.rms == max(part[tap].envelope.rms for part in alone), tap
        assert stage.envelope.max == max(part[tap].envelope.max for part in alone), tap


def test_an_evaluation_is_judged_by_what_the_others_have_with_what_they_drew_again():
    ids = _ids(1, 64)
    sample = envelope.sample(ids, _given(ids), seed=0)
    truth = Oracle(CHECKPOINT).trace(sample.ids, sample.given)
    traces = [m.trace(sample.ids, sample.given) for m in evaluations(CHECKPOINT)]
    tap = "transformer.h.1.mlp.act"
    further = {tap: [[Envelope(1.0, 9.0)], [Envelope(2.0, 8.0)], [], []]}
    together = envelope.isolated(sample, truth, traces, further)
    for index in range(len(traces)):
        others = [*traces[:index], *traces[index + 1 :]]
        again = {tap: [*further[tap][:index], *further[tap][index + 1 :]]}
        alone = envelope.isolated(sample, truth, others, again)
        for name, stage in together.items():
            assert stage.without(index) == alone[name].envelope, name


def test_errors_grow_along_a_free_run():
    ids = _ids(1, 33)
    oracle = Oracle(CHECKPOINT)
    sample = envelope.sample(ids, {}, seed=0)
    found = envelope.free(oracle, sample, oracle.trace(sample.ids), _stages(ids), seed=0)
    assert found["transformer.h.5"].rms > found["transformer.h.0"].rms > 0
    assert found["transformer.wte"] == EXACT


def test_a_free_run_in_float32_stays_near_its_envelope():
    """What the added errors predict is what float32 really does: within a factor of two."""
    ids = _ids(1, 64)
    oracle = Oracle(CHECKPOINT)
    sample = envelope.sample(ids, {}, seed=0)
    truth = oracle.trace(sample.ids)
    found = envelope.free(oracle, sample, truth, _stages(ids), seed=0)
    error = evaluations(CHECKPOINT)[0].trace(ids)["lm_head"] - truth["lm_head"]
    assert 0.5 < np.sqrt(np.mean(error**2)) / found["lm_head"].rms < 1.5


def _stages(ids):
    sample = envelope.sample(ids, _given(ids), seed=0)
    truth = Oracle(CHECKPOINT).trace(sample.ids, sample.given)
    traces = [model.trace(sample.ids, sample.given) for model in evaluations(CHECKPOINT)]
    return envelope.isolated(sample, truth, traces)
