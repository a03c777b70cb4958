"""One run of the verification, shared by every test of this folder."""

import pytest

from reference.load import load
from verify.outcome import Outcome
from verify.run import Plan, verify

SIZES = [(1, 1), (1, 9), (2, 33)]
"""A single token, an odd length, and a batch just over a tile of 32."""


@pytest.fixture(scope="session")
def outcome() -> Outcome:
    """The embedded checkpoint, as trained and under stress, at a few sizes."""
    plan = Plan(checkpoint=load("tiny"), regimes=("given", "stress"), sizes=SIZES)
    return verify(plan, emit=lambda _: None)
