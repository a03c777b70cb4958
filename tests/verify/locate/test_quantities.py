import numpy as np
import pytest

from reference.load import load
from reference.taps import is_input
from verify.locate.quantities import Spelled, quantities
from verify.truth.cases import random_cases
from verify.truth.float64 import Mathematics


@pytest.fixture(scope="module")
def expected():
    checkpoint = load("random:tiny")
    truth = Mathematics(checkpoint)
    (case,) = random_cases(checkpoint.config, "given", [(2, 9)], seed=0, device="cpu")
    taps = [tap for tap in truth.oracle.trace(case.ids) if not is_input(tap)]
    return truth.expectation(case, taps, free=False)


def test_the_oracle_spelled_out_is_the_oracle(expected):
    spelled = Spelled(expected.oracle, "").trace(expected.case.ids)
    truth = expected.oracle.trace(expected.case.ids)
    assert spelled.keys() == truth.keys()
    assert max(np.abs(spelled[tap] - truth[tap]).max() for tap in truth) < 1e-13


@pytest.mark.parametrize(
    ("tap", "name"),
    [
        ("transformer.h.1.ln_1", "ln_1(x)"),
        ("transformer.h.1.attn.c_attn", "c_attn: x W + b"),
        ("transformer.h.1.attn.c_proj:input", "heads merged"),
        ("transformer.h.1.ln_2:input", "x + attn(...)"),
        ("transformer.h.1.mlp.act", "act: gelu_new(x)"),
        ("transformer.h.1", "x + attn(...) + mlp(...)"),
        ("transformer.wpe:input", "positions 0, 1, 2, ..."),
        ("transformer.h.0:input", "wte[ids] + wpe[positions]"),
        ("transformer.ln_f", "ln_f(x)"),
        ("lm_head", "logits = x wte^T"),
    ],
)
def test_a_place_is_among_the_quantities_on_the_way_to_it(tap, name, expected):
    (found,) = [one.array for one in quantities(tap, expected) if one.name == name]
    assert np.array_equal(found.ravel(), expected.isolated[tap].ravel())


def test_quantities_are_those_of_the_places_own_block(expected):
    names = [one.name for one in quantities("transformer.h.1.ln_1", expected)]
    assert names.count("q k^T") == 1
    assert (
        names.index("q k^T") < names.index("softmax(masked scores)") < names.index("heads merged")
    )
