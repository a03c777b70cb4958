"""Bugs of one operation, whose repair is found among the mutants of the wrong graph."""

import pytest

from verify.mutants.repair import in_a_sentence, repairs


@pytest.mark.parametrize(
    ("spec", "tap", "found"),
    [
        ("erf", "transformer.h.0.mlp.c_proj:input", "gelu: gelu_tanh in its place"),
        (
            "scaled_by_width",
            "transformer.h.0.attn.c_proj:input",
            "mul: 0.353553 in place of 0.176777",
        ),
        ("unbiased", "transformer.h.0.ln_1", "mul: the constant 1.03226 left out"),
        ("other_epsilon", "transformer.h.0.ln_1", "add: 1e-05 in place of 1e-06"),
        ("positions_from_one", "transformer.wpe:input", "add: 0 in place of 1"),
    ],
)
def test_a_fault_of_one_operation_is_repaired(named, spec, tap, found):
    subject = named(f"faults.py:{spec}")
    for expected in subject.expected:
        first = repairs(expected, subject.forced, tap)[0]
        assert first.described().startswith(found)


def test_what_no_single_change_repairs_is_left_without_a_word(named):
    subject = named("faults.py:no_mask")
    tap = "transformer.h.0.attn.c_proj:input"
    assert repairs(subject.expected[0], subject.forced, tap) == []
    assert in_a_sentence([]) == ""


def test_embeddings_that_turn_backwards_are_turned_round(llama):
    graph, expected = next(iter(llama.expectations("backwards")))
    right = repairs(expected, graph, "model.layers.1.self_attn.o_proj:input")
    assert right[0].described() == "negative: left out, operand 1 is handed on"
    assert len(right) == 3  # or the other sign of the table, or positions that run backwards
    assert in_a_sentence(right).endswith("handed on, or 2 other changes)")


def test_a_right_stage_has_no_change_that_keeps_it_right(gpt2):
    assert repairs(gpt2.expected[0], gpt2.forced, "transformer.h.0.mlp.act") == []
