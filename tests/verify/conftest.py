"""Programs and runs that the tests of this folder share."""

import random
from pathlib import Path

import pytest

from impl.runtime import build, open_device
from impl.weights import from_hugging_face
from reference.load import load
from verify.candidate.model_graphs import trace_model
from verify.candidate.program import CompiledProgram
from verify.truth.cases import PROBE_SIZE, WIDE_SIZE, probe_case, random_cases
from verify.truth.references import References

CANDIDATES = Path(__file__).parent / "models"


@pytest.fixture(autouse=True)
def _the_same_inputs_each_time(request, monkeypatch):
    """What a run draws anew a test draws from its name: a failure is seen again.

    How often a right model fails for some seed, `python -m verify campaign` measures.
    """
    drawn = random.Random(request.node.nodeid)
    monkeypatch.setattr("verify.cli.secrets.randbelow", drawn.randrange)


@pytest.fixture(scope="session")
def checkpoint():
    return load("random:tiny")


@pytest.fixture(scope="session")
def candidate(checkpoint):
    """impl's model, compiled plain, tapped and forced."""
    device = open_device("cpu")
    return trace_model(build(checkpoint.config, device), device)


@pytest.fixture(scope="session")
def bound(candidate, checkpoint):
    return candidate.bind(from_hugging_face(checkpoint.config, checkpoint.weights))


@pytest.fixture(scope="session")
def references(checkpoint):
    return References(checkpoint)


@pytest.fixture(scope="session")
def cases(checkpoint, references):
    """The inputs that between them can show every fault, with what they are compared with."""
    config = checkpoint.config
    sizes = [PROBE_SIZE, WIDE_SIZE, (1, config.n_positions)]
    inputs = random_cases(config, "given", sizes, seed=0, device="cpu")
    inputs.append(probe_case(config, "given", seed=0, device="cpu"))
    taps = [tap for tap in references.oracle.trace(inputs[0].ids) if not tap.endswith(":input")]
    return [(case, references.expectation(case, taps)) for case in inputs]


@pytest.fixture
def nothing_is_compiled(monkeypatch):
    """Compiling is refused while a test runs."""

    def refuse(*arguments, **options):
        raise AssertionError("a program is compiled")

    monkeypatch.setattr(CompiledProgram, "__init__", refuse)
    monkeypatch.setattr("verify.pairing.candidate_apart.compiled_apart", refuse)
