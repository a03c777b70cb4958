"""A trace holds what was computed; a forced one cuts the model into stages that do not touch."""

import numpy as np
import pytest
import torch

from reference.huggingface import HuggingFaceReference
from reference.oracle import Oracle
from reference.taps import INPUT
from reference.trace import Recorder, TraceError

IDS = np.array([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
BLOCK = "transformer.h.0"

# Changing what one tap is given changes what is computed from it before the next given
# activation, and nothing behind that. The tap's own record stays: it is what was computed.
AFFECTED = {
    "transformer.wte": {f"{BLOCK}:input", f"{BLOCK}.ln_1:input", f"{BLOCK}.ln_1"}
    | {f"{BLOCK}.ln_2:input", f"{BLOCK}.ln_2", BLOCK},  # by the residual connection
    f"{BLOCK}.ln_1": {
        f"{BLOCK}.attn:input",
        f"{BLOCK}.attn.c_attn:input",
        f"{BLOCK}.attn.c_attn",
    },
    f"{BLOCK}.attn.c_attn": {f"{BLOCK}.attn.c_proj:input", f"{BLOCK}.attn.c_proj"},
    f"{BLOCK}.attn.c_proj": {f"{BLOCK}.attn"},
    f"{BLOCK}.attn": {f"{BLOCK}.ln_2:input", f"{BLOCK}.ln_2", BLOCK},
    f"{BLOCK}.mlp.c_fc": {f"{BLOCK}.mlp.act:input", f"{BLOCK}.mlp.act"},
    f"{BLOCK}.mlp": {BLOCK},
    BLOCK: {
        "transformer.h.1:input",
        "transformer.h.1.ln_1:input",
        "transformer.h.1.ln_1",
        "transformer.h.1.ln_2:input",
        "transformer.h.1.ln_2",
        "transformer.h.1",
    },
    "transformer.h.1": {"transformer.ln_f:input", "transformer.ln_f"},
    "transformer.ln_f": {"transformer"},
    "transformer": {"lm_head:input", "lm_head"},
    "lm_head": set(),
}


@pytest.fixture(scope="module", params=["oracle", "hugging face"])
def model(request, small):
    if request.param == "oracle":
        return Oracle(small)
    return HuggingFaceReference(small, torch.float64)


@pytest.fixture(scope="module")
def taps(small):
    """Both models' taps."""
    return list(Oracle(small).trace(IDS))


def outputs(trace, taps):
    return {tap: trace[tap] for tap in taps if not tap.endswith(INPUT)}


# ---- the recorder -----------------------------------------------------------------------------


def test_what_is_recorded_is_a_copy():
    recorder, value = Recorder(), np.zeros(2)
    assert recorder("a", value) is value
    value[:] = 7
    assert recorder.finish()["a"].tolist() == [0, 0]


def test_taps_are_kept_in_the_order_of_execution():
    recorder = Recorder()
    for tap in ("b", "a", "c"):
        recorder(tap, np.zeros(1))
    assert list(recorder.finish()) == ["b", "a", "c"]


def test_a_tap_recorded_twice_is_an_error():
    recorder = Recorder()
    recorder("h.0", np.zeros(1))
    with pytest.raises(TraceError, match=r"h\.0 was computed twice"):
        recorder("h.0", np.zeros(1))


def test_a_given_activation_that_never_comes_by_is_an_error():
    recorder = Recorder({"a": np.zeros(1), "b": np.ones(1)})
    recorder("a", np.zeros(1))
    with pytest.raises(TraceError, match="no module computed b"):
        recorder.finish()


def test_a_given_activation_replaces_what_was_computed_which_is_recorded():
    recorder = Recorder({"a": np.full(2, 5.0)})
    went_on = recorder("a", np.zeros(2, np.float32))
    assert went_on.tolist() == [5, 5]
    assert went_on.dtype == np.float32  # the model's own
    assert recorder.finish()["a"].tolist() == [0, 0]


# ---- both models ------------------------------------------------------------------------------


def test_a_tap_that_does_not_exist_cannot_be_given(model):
    with pytest.raises(TraceError, match=r"no module computed transformer\.h\.2"):
        model.trace(IDS, {"transformer.h.2": np.zeros((2, 5, 32))})


def test_a_model_can_be_traced_again_and_gives_the_same(model):
    first, second = model.trace(IDS), model.trace(IDS)
    assert list(first) == list(second)
    assert all(np.array_equal(first[tap], second[tap]) for tap in first)


def test_a_trace_is_untouched_by_the_next_one(model):
    first = model.trace(IDS)
    kept = {tap: array.copy() for tap, array in first.items()}
    model.trace(IDS + 1)
    assert all(np.array_equal(first[tap], kept[tap]) for tap in first)


def test_forced_with_its_own_free_trace_it_computes_that_trace(model, taps):
    free = model.trace(IDS)
    forced = model.trace(IDS, outputs(free, taps))
    assert all(np.array_equal(free[tap], forced[tap]) for tap in free)


@pytest.mark.parametrize("tap", AFFECTED)
def test_a_changed_activation_is_felt_in_its_own_stage_alone(model, taps, tap):
    given = outputs(model.trace(IDS), taps)
    before = model.trace(IDS, given)
    after = model.trace(
        IDS, {**given, tap: given[tap] + 1.5 * (1 + np.indices(given[tap].shape)[2])}
    )
    changed = {name for name in taps if not np.array_equal(before[name], after[name])}
    assert changed == AFFECTED[tap]


def test_every_output_can_be_replaced(model, taps):
    """A given activation that were ignored would leave all that follows as it was."""
    free = model.trace(IDS)
    last = [tap for tap in taps if not tap.endswith(INPUT)][-1]
    for tap in outputs(free, taps):
        if tap != last:
            after = model.trace(IDS, {tap: np.flip(free[tap], axis=-1).copy()})
            assert not np.array_equal(after["lm_head"], free["lm_head"]), tap


def test_activations_that_were_given_are_not_changed(model, taps):
    given = outputs(model.trace(IDS), taps)
    kept = {tap: array.copy() for tap, array in given.items()}
    model.trace(IDS, given)
    assert all(np.array_equal(given[tap], kept[tap]) for tap in given)
