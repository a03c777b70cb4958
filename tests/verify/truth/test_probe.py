import numpy as np

from reference.oracle import Oracle
from verify.truth.probe import MLP_RMS, RESIDUAL_RMS, SCORE_RMS, probe


def _given(checkpoint):
    ids = np.random.default_rng(0).integers(0, checkpoint.config.vocab_size, (2, 9))
    trace = Oracle(checkpoint, np.float32).trace(ids)
    return {tap: array for tap, array in trace.items() if not tap.endswith(":input")}


def _rms(array):
    return float(np.sqrt(np.mean(array.astype(float) ** 2)))


def test_shapes_dtypes_and_the_given_arrays_themselves_stay(checkpoint):
    given = _given(checkpoint)
    before = {tap: array.copy() for tap, array in given.items()}
    changed = probe(given, checkpoint.config)
    assert changed.keys() == given.keys()
    for tap, array in changed.items():
        assert (array.shape, array.dtype) == (given[tap].shape, np.float32), tap
        assert np.array_equal(given[tap], before[tap]), tap


def test_the_residual_stream_is_near_layer_norms_epsilon(checkpoint):
    changed = probe(_given(checkpoint), checkpoint.config)
    assert np.isclose(_rms(changed["transformer.h.2"]), RESIDUAL_RMS, rtol=1e-5)
    assert np.isclose(_rms(changed["transformer.h.2.mlp.c_fc"]), MLP_RMS, rtol=1e-5)


def test_every_other_head_gets_large_scores_and_the_rest_stay(checkpoint):
    given, config = _given(checkpoint), checkpoint.config
    tap = "transformer.h.2.attn.c_attn"
    shape = (2, 9, 3, config.n_head, config.head_dim)
    before, after = (x[tap].reshape(shape) for x in (given, probe(given, config)))
    assert np.array_equal(before[:, :, :, 1::2], after[:, :, :, 1::2])
    assert np.array_equal(before[:, :, 2], after[:, :, 2])
    query, key = (after[:, :, part, ::2].astype(float) for part in (0, 1))
    scores = np.einsum("bqhk,bshk->bhqs", query, key) / np.sqrt(config.head_dim)
    assert 0.2 * SCORE_RMS < _rms(scores) < 5 * SCORE_RMS
