"""Cases in float64 that the tests of this folder share."""

import pytest

from impl.config import GPT2Config
from reference.checkpoint import Checkpoint
from reference.regimes import initial_weights, with_regime
from reference.taps import is_input
from verify.truth.cases import probe_case, random_cases
from verify.truth.float64 import Mathematics

CONFIG = GPT2Config(vocab_size=67, n_positions=48, n_embd=32, n_layer=4, n_head=4)
START = Checkpoint(name="small", config=CONFIG, weights=initial_weights(CONFIG, seed=1))


@pytest.fixture(scope="session")
def config():
    return CONFIG


@pytest.fixture(scope="session")
def expectations():
    """Two states of the weights, an ordinary case and a probe of each, a token alone, and all."""
    found = []
    for regime, sizes in (("perturbed", [(1, 1), (2, 33), (1, 48)]), ("stress", [(2, 33)])):
        perturbed = with_regime(START, "perturbed", seed=1)
        truth = Mathematics(with_regime(perturbed, regime, seed=1))
        cases = random_cases(CONFIG, regime, sizes, seed=0, device="cpu")
        cases.append(probe_case(CONFIG, regime, seed=0, device="cpu"))
        taps = [tap for tap in truth.oracle.trace(cases[0].ids) if not is_input(tap)]
        found += [truth.expectation(case, taps, free=False) for case in cases]
    return found


@pytest.fixture(scope="session")
def ordinary(expectations):
    """The first ordinary case."""
    return next(e for e in expectations if e.case.ids.shape == (2, 33))


@pytest.fixture(scope="session")
def every(config):
    return range(config.n_layer)
