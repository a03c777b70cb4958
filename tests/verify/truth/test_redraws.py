import numpy as np
import pytest

from reference.load import load
from reference.oracle import Oracle
from reference.regimes import with_regime
from verify.truth import envelope
from verify.truth.float32 import evaluations
from verify.truth.redraws import redraws

CORE = "transformer.h.2.attn.c_proj:input"


@pytest.fixture(scope="module")
def stressed():
    """A stage-by-stage run under stress, whose attention core nearly ties somewhere."""
    return _run(with_regime(load("tiny"), "stress"), (2, 33))


def _run(checkpoint, shape, least_copies=envelope.LEAST_COPIES):
    ids = np.random.default_rng(3).integers(0, checkpoint.config.vocab_size, shape)
    trace = Oracle(checkpoint, np.float32).trace(ids)
    given = {tap: array for tap, array in trace.items() if not tap.endswith(":input")}
    sample = envelope.sample(ids, given, 0, least_copies)
    oracle, models = Oracle(checkpoint), evaluations(checkpoint)
    truth = oracle.trace(sample.ids, sample.given)
    traces = [model.trace(sample.ids, sample.given) for model in models]
    return sample, truth, traces, oracle, models


def test_stages_that_one_row_dominates_are_drawn_again(stressed):
    found = redraws(*stressed, seed=0)
    assert CORE in found
    assert [len(drawn) for drawn in found[CORE]] == [envelope.DRAWS] * len(stressed[-1])


def test_a_drawn_error_is_of_the_size_of_the_first(stressed):
    """The copies keep the near-tie: a move that undid it would leave errors far smaller."""
    sample, truth, traces, _, models = stressed
    first = envelope.isolated(sample, truth, traces)[CORE].envelope.rms
    drawn = [extent.rms for part in redraws(*stressed, seed=0)[CORE] for extent in part]
    assert np.median(drawn) / first > 0.1
    assert max(drawn) / first < 10
    assert len(set(drawn)) > envelope.DRAWS * len(models) / 2


def test_an_envelope_takes_in_what_was_drawn_again(stressed):
    sample, truth, traces, _, _ = stressed
    found = redraws(*stressed, seed=0)
    before = envelope.isolated(sample, truth, traces)[CORE].envelope
    after = envelope.isolated(sample, truth, traces, found)[CORE].envelope
    everything = [extent for drawn in found[CORE] for extent in drawn]
    assert after.rms == max(before.rms, *(extent.rms for extent in everything))
    assert after.max == max(before.max, *(extent.max for extent in everything))


def test_an_evaluation_that_knows_no_parts_draws_nothing(stressed):
    *rest, models = stressed
    found = redraws(*rest, [None, *models[1:]], seed=0)
    assert found[CORE][0] == []
    assert found[CORE][1]


@pytest.mark.parametrize(("shape", "copies"), [((1, 1), 4), ((1, 256), 1)])
def test_nothing_is_drawn_where_copies_abound_or_no_row_dominates(shape, copies):
    run = _run(load("random:tiny"), shape, copies)
    assert redraws(*run, seed=0) == {}


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        ("transformer.h.2.attn", ["transformer.h.2.attn.c_proj:input"]),
        ("transformer.h.2.mlp", ["transformer.h.2.mlp.act"]),
        ("transformer.h.2", ["transformer.h.2.ln_2:input", "transformer.h.2.mlp"]),
    ],
)
def test_what_is_not_wanted_is_left_out_and_changes_nothing(stressed, part, wanted):
    sample, truth, _, _, models = stressed
    given = {tap: a for tap, a in sample.given.items() if tap.startswith(f"{part}.")}
    for model in models:
        whole = model.part_trace(part, truth[f"{part}:input"], given)
        short = model.part_trace(part, truth[f"{part}:input"], given, wanted)
        assert len(short) < len(whole)
        for tap in wanted:
            assert np.array_equal(short[tap], whole[tap], equal_nan=True), tap
