"""Names of taps, read for tables, sentences and figures."""

import pytest

from reference import taps

ACT = "transformer.h.3.mlp.act"
LLAMA = "model.layers.11.self_attn.q_proj"


@pytest.mark.parametrize(
    ("tap", "block", "layer"),
    [
        (ACT, "transformer.h.3", 3),
        (f"{ACT}:input", "transformer.h.3", 3),
        ("transformer.h.12", "transformer.h.12", 12),
        ("transformer.h.12:input", "transformer.h.12", 12),
        (LLAMA, "model.layers.11", 11),
        ("model.layers.2.mlp.experts.5.w1", "model.layers.2", 2),
        ("transformer", "", None),
        ("transformer.ln_f:input", "", None),
        ("transformer.h.0.ln_1", "transformer.h.0", 0),
        ("lm_head", "", None),
        ("", "", None),
    ],
)
def test_the_block_of_a_tap_and_its_number(tap, block, layer):
    assert taps.block_of(tap) == block
    assert taps.layer_of(tap) == layer


@pytest.mark.parametrize(
    ("tap", "table", "sentence"),
    [
        (ACT, "h.3.mlp.act", "h.3.mlp.act"),
        ("transformer.h.0.ln_1:input", "h.0.ln_1 ←", "what h.0.ln_1 is given"),
        ("transformer:input", "transformer ←", "what transformer is given"),
        (LLAMA, LLAMA, LLAMA),
        ("lm_head", "lm_head", "lm_head"),
    ],
)
def test_a_tap_in_a_table_and_in_a_sentence(tap, table, sentence):
    assert taps.short_name(tap) == table
    assert taps.in_words(tap) == sentence


def test_no_tap_has_an_empty_name():
    assert taps.short_name(None) == ""
    assert taps.short_name("") == ""


@pytest.mark.parametrize(
    ("tap", "layer", "moved"),
    [
        (ACT, "{layer}", "transformer.h.{layer}.mlp.act"),
        ("transformer.h.12:input", 0, "transformer.h.0:input"),
        ("h.3.ln_2", "n", "h.n.ln_2"),
        ("transformer.ln_f", 1, "transformer.ln_f"),
    ],
)
def test_the_same_place_in_another_block(tap, layer, moved):
    assert taps.with_layer(tap, layer) == moved


def test_a_tap_belongs_to_a_module():
    assert taps.module_of(f"{ACT}:input") == taps.module_of(ACT) == ACT
    assert taps.is_input(f"{ACT}:input")
    assert not taps.is_input(ACT)
