"""MAX's process computes what MAX computes here, bit for bit, and its end is a sentence."""

import os
import signal

import numpy as np
import pytest
from max.dtype import DType

from impl.runtime import build, open_device
from verify.apart.executor import compiled_apart
from verify.candidate.guard import CandidateError
from verify.candidate.model_graphs import Candidate
from verify.candidate.staging import Staging
from verify.graph.adapter import Noted

pytestmark = pytest.mark.compiles

IDS = np.random.default_rng(0).integers(0, 1024, (2, 5))


@pytest.fixture(scope="module")
def staged(checkpoint):
    device = open_device("cpu")
    return Staging(build(checkpoint.config, device, DType.float32), device).staged()


@pytest.fixture(scope="module")
def apart(staged):
    return compiled_apart(staged.program, [], "cpu")


def test_the_same_program_gives_the_same_bits_in_either_process(apart, staged, bound):
    there = Candidate(staged, open_device("cpu"), lambda _: apart).bind(bound._weights)
    given = {tap: array.astype(np.float32) for tap, array in bound.trace(IDS)[1].items()}
    assert np.array_equal(there.logits(IDS), bound.logits(IDS))
    for tap, array in bound.forced_trace(IDS, given).items():
        assert np.array_equal(there.forced_trace(IDS, given)[tap], array), tap
    held = there.parameters()
    assert held.keys() == bound.parameters().keys()
    assert all(np.array_equal(held[name], array) for name, array in bound.parameters().items())


def test_weights_bound_twice_do_not_mix(apart, staged, bound):
    there = Candidate(staged, open_device("cpu"), lambda _: apart)
    first = there.bind(bound._weights)
    zeros = {name: np.zeros_like(array) for name, array in bound._weights.items()}
    second = there.bind(zeros)
    assert not second.logits(IDS).any()
    assert np.array_equal(first.logits(IDS), bound.logits(IDS))


def test_what_max_refuses_is_what_max_says(apart, bound):
    name = next(iter(bound._weights))
    missing = {key: array for key, array in bound._weights.items() if key != name}
    with pytest.raises(RuntimeError, match=name):
        apart.bind(missing)


def test_a_program_that_is_none_is_refused():
    with pytest.raises(Exception, match="MAX cannot read"):
        Noted(b"nonsense").program()


def test_the_end_of_its_process_is_a_sentence(staged, bound):
    apart = compiled_apart(staged.program, [], "cpu")
    os.kill(apart._apart._process.pid, signal.SIGSEGV)
    with pytest.raises(CandidateError, match=r"its program: the process crashed \(SIGSEGV\)"):
        apart.bind(bound._weights)
