"""How a wrong result relates to other activations, whatever the stage is."""

import numpy as np
import pytest

from tests.verify.explain.helpers import changed
from verify.explain.relations import relation

BLOCK = "transformer.h.1"


def at(expected, tap):
    return expected.given.get(tap, expected.isolated[tap])


@pytest.mark.parametrize(
    ("tap", "spoil", "text"),
    [
        (f"{BLOCK}.attn.c_proj:input", lambda x: x / 0.9, "the right result times 1/0.9"),
        (f"{BLOCK}.mlp", lambda x: x / np.sqrt(8), "times 1/sqrt(2 n_layer) = 0.353553"),
        (f"{BLOCK}.mlp", lambda x: 0.37 * x, "the right result times 0.37"),
        (f"{BLOCK}.mlp", lambda x: 0 * x + 2.5, "2.5 everywhere"),
        (f"{BLOCK}.mlp.c_fc", lambda x: np.clip(x, -0.3, 0.4), "below -0.3 or above 0.4"),
        ("lm_head", lambda x: 30 * np.tanh(x / 30), "c tanh(x / c) with c = 30"),
        ("lm_head", lambda x: 1.7 * np.tanh(x / 1.7), "c tanh(x / c) with c = 1.7"),
        ("lm_head", lambda x: x / 0.7, "the right result times 1.42857"),
        (f"{BLOCK}.ln_1", lambda x: np.roll(x, 1, axis=1), "the result of the token before it"),
    ],
)
def test_a_relation_is_named_with_its_number(tap, spoil, text, ordinary):
    found = relation(changed(ordinary, tap, spoil(ordinary.isolated[tap])))
    assert text in found.text


@pytest.mark.parametrize(
    ("tap", "terms", "text", "expected"),
    [
        (
            "transformer.h.0:input", {"transformer.wte": 32**0.5, "transformer.wpe": 1.0},
            "sqrt(n_embd) = 5.65685 x wte + wpe", "wte + wpe",
        ),
        (
            f"{BLOCK}.ln_2:input", {f"{BLOCK}:input": 1.0, f"{BLOCK}.attn": 0.5},
            "what h.1 is given + 1/2 = 0.5 x h.1.attn", "what h.1 is given + h.1.attn",
        ),
        (
            f"{BLOCK}.ln_1:input", {f"{BLOCK}:input": 1.0, f"{BLOCK}.attn": 1.0},
            "post-norm", "what h.1 is given",
        ),
        (
            BLOCK, {f"{BLOCK}:input": 1.0, f"{BLOCK}.mlp": 1.0},
            "what h.1 is given + h.1.mlp",
            "what h.1 is given + h.1.attn + h.1.mlp",
        ),
    ],
)  # fmt: skip
def test_a_sum_is_named_term_by_term(tap, terms, text, expected, ordinary):
    array = sum(factor * at(ordinary, name) for name, factor in terms.items())
    found = relation(changed(ordinary, tap, array + np.zeros_like(ordinary.isolated[tap])))
    assert text in found.text
    assert found.expected == expected


def test_another_places_result_is_named(ordinary):
    found = relation(changed(ordinary, f"{BLOCK}.ln_2", at(ordinary, f"{BLOCK}.mlp.c_proj")))
    assert found.text == "h.1.mlp.c_proj"
    theirs = ordinary.isolated["transformer.h.2.mlp.act"]
    assert relation(changed(ordinary, f"{BLOCK}.mlp.act", theirs)).text == "h.2.mlp.act"


def test_heads_in_another_order_are_named(ordinary):
    tap = f"{BLOCK}.attn.c_proj:input"
    heads = ordinary.isolated[tap].reshape(2, 33, 4, 8)[:, :, [1, 0, 3, 2]]
    assert relation(changed(ordinary, tap, heads.reshape(2, 33, 32))).text == (
        "heads in the order [1, 0, 3, 2]"
    )


def test_noise_is_no_relation(ordinary):
    tap = f"{BLOCK}.mlp"
    noise = np.random.default_rng(0).standard_normal(ordinary.isolated[tap].shape)
    assert relation(changed(ordinary, tap, ordinary.isolated[tap] + noise)) is None
