import numpy as np
import pytest

from impl.model import GPT2Attention
from impl.runtime import open_device
from impl.weights import from_hugging_face
from verify.explain.diagnosis import diagnose
from verify.faults.catalogue import CATALOGUE
from verify.faults.in_max import MAX_FAULTS, FaultProgram, FaultyAttention

pytestmark = pytest.mark.compiles


@pytest.fixture(scope="module")
def program(checkpoint):
    return FaultProgram(checkpoint.config, open_device("cpu"))


@pytest.fixture(scope="module")
def cases(cases):
    """One input of each kind: plain and probe."""
    return [cases[0], cases[-1]]


@pytest.fixture(scope="module")
def traces(program, checkpoint, cases):
    weights = from_hugging_face(checkpoint.config, checkpoint.weights)
    return [program.traces(weights, expected) for _, expected in cases]


def test_faults_of_attention_have_the_precision_of_impls():
    """What they compute in is not theirs to choose: only the core, between the projections, is."""
    assert FaultyAttention.forward is GPT2Attention.forward


def test_every_max_fault_is_in_the_catalogue():
    assert set(MAX_FAULTS) <= {fault.id for fault in CATALOGUE}
    assert len(MAX_FAULTS) >= 15


@pytest.mark.parametrize("name", MAX_FAULTS)
def test_a_fault_in_a_max_graph_is_caught_in_some_case(name, program, checkpoint, cases):
    weights = from_hugging_face(checkpoint.config, checkpoint.weights)
    sightings = [
        sighting
        for _, expected in cases
        for sighting in program.sightings(weights, expected, "float32")
        if sighting.fault == name
    ]
    assert any(sighting.caught for sighting in sightings), sightings


@pytest.mark.parametrize("name", MAX_FAULTS)
def test_a_fault_in_a_max_graph_is_diagnosed(name, program, references, cases, traces):
    """The oracle's variant of the fault reproduces what MAX computed."""
    fault = next(fault for fault in CATALOGUE if fault.id == name)
    tap = fault.blamed(program.layer)
    sentences = [
        diagnose(tap, found[name][tap], expected)
        for (case, expected), found in zip(cases, traces, strict=True)
        if np.isfinite(found[name][tap]).all()
    ]
    assert any(f"[{name}]" in sentence for sentence in sentences), sentences
