"""A known function of known activations is named."""

import numpy as np
import pytest

from tests.verify.explain.helpers import changed
from verify.explain.activation_faults import gelu, softmax
from verify.explain.diagnosis import findings

BLOCK = "transformer.h.1"


def said(expected, tap, array):
    (finding,) = findings([changed(expected, tap, array)])
    return finding.text


@pytest.mark.parametrize(
    ("tap", "make", "text"),
    [
        ("lm_head", lambda e, x: softmax(x), "softmax over the last axis of the right result"),
        (f"{BLOCK}.mlp", lambda e, x: gelu(x), "gelu of the right result"),
        (
            f"{BLOCK}.ln_2", lambda e, x: e.oracle.layer_norm(e.isolated[BLOCK], f"{BLOCK}.ln_2"),
            "ln_2 of h.1 (the norm after the addition: post-norm",
        ),
        (
            f"{BLOCK}.mlp:input",
            lambda e, x: e.oracle.layer_norm(e.isolated[f"{BLOCK}.ln_2:input"], f"{BLOCK}.ln_1"),
            "(ln_1 in the place of ln_2",
        ),
        (
            "transformer.h.0:input",
            lambda e, x: e.given["transformer.wte"] * e.given["transformer.wpe"],
            "wte times wpe",
        ),
    ],
)  # fmt: skip
def test_what_is_made_of_activations_is_named(tap, make, text, ordinary):
    assert text in said(ordinary, tap, make(ordinary, ordinary.isolated[tap]))


def test_what_is_made_of_nothing_known_is_described(ordinary):
    strange = np.random.default_rng(0).standard_normal(ordinary.isolated["lm_head"].shape)
    assert "no known fault explains it" in said(ordinary, "lm_head", strange)
