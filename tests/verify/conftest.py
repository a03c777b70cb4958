"""Programs and runs that the tests of this folder share."""

from pathlib import Path

import pytest

from impl.runtime import build, open_device
from impl.weights import from_hugging_face
from reference.load import load
from verify.candidate import Candidate

CANDIDATES = Path(__file__).parent / "candidates"


@pytest.fixture(scope="session")
def checkpoint():
    return load("random:tiny")


@pytest.fixture(scope="session")
def candidate(checkpoint):
    """impl's model, compiled plain, tapped and forced."""
    device = open_device("cpu")
    return Candidate(build(checkpoint.config, device), device)


@pytest.fixture(scope="session")
def bound(candidate, checkpoint):
    return candidate.bind(from_hugging_face(checkpoint.config, checkpoint.weights))
