"""One explanation for all failing stages of a run."""

import math
from dataclasses import replace

import numpy as np
import pytest

from impl.config import GPT2Config
from reference.taps import in_words
from tests.verify.explain.helpers import changed, explained, failures
from verify.explain import activation_faults, attention_faults
from verify.explain.attention_faults import scaled
from verify.explain.diagnosis import findings
from verify.explain.variants import NORMS, OF_POSITIONS, OF_RESIDUALS, of_norm
from verify.faults.catalogue import catalogue

FAMILIES = {
    family.id: family
    for families in (
        attention_faults.FAMILIES, activation_faults.FAMILIES, OF_POSITIONS, OF_RESIDUALS
    )
    for family in families
}  # fmt: skip

VALUES = {
    "score_scale": (0.23, "q k^T times 0.23", "1/sqrt(head_dim) = 0.353553"),
    "mask_value": (-7.0, "masked scores set to -7", "-inf"),
    "window": (20.0, "attention to the last 20 tokens alone", "every token before"),
    "chunks": (20.0, "attention inside chunks of 20 tokens", "every token before"),
    "score_cap": (17.0, "c tanh(s / c) with c = 17", "as they are"),
    "score_clamp": (2.5, "clamped to plus and minus 2.5", "as they are"),
    "gelu_cube": (0.04, "with c = 0.04", "0.044715"),
    "gelu_slope": (0.81, "with a = 0.81", "sqrt(2/pi)"),
    "sigmoid_slope": (1.6, "x sigmoid(1.6 x)", "tanh"),
    "leaky_relu": (0.05, "x where x > 0, else 0.05 x", "tanh"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_number_is_fitted_and_holds_in_every_block(name, expectations, every):
    value, found, expected = VALUES[name]
    fault = FAMILIES[name].fault(value)
    finding = explained(expectations, [(fault, layer) for layer in every])
    assert finding.ids == (name,)
    assert f"{found}" in finding.text
    assert expected in finding.text
    assert " in every block" in finding.text


@pytest.mark.parametrize("value", [1e-6, 3e-5, 0.0])
def test_an_epsilon_of_all_norms_is_one_finding(value, expectations, every):
    faults = [
        (of_norm(place)[0].fault(value), layer)
        for place in NORMS
        for layer in (every if "{layer}" in place else [0])
    ]
    finding = explained(expectations, faults)
    assert finding.text.startswith("h.0.ln_1, h.0.ln_2 and ln_f: found eps = ")
    assert float(finding.text.partition("eps = ")[2].split()[0].rstrip(",")) == value


def test_a_factor_that_depends_on_the_block_is_one_formula(expectations, every):
    root = 1 / math.sqrt(8)
    faults = [(scale(root / (layer + 1)), layer) for layer in every if layer]
    finding = explained(expectations, faults)
    assert finding.ids[0] == "scale_by_layer"
    assert "1/sqrt(head_dim) / (layer + 1)" in finding.text
    assert "in every block (in block 0 that changes nothing)" in finding.text


def test_factors_that_no_formula_gives_are_given_block_by_block(expectations, every):
    finding = explained(expectations, [(scale(0.1 + 0.07 * layer), layer) for layer in every])
    assert "0.1 in block 0, 0.17 in block 1, 0.24 in block 2, 0.31 in block 3" in finding.text


def test_two_explanations_that_agree_on_everything_are_both_named(expectations):
    """With four heads the second block's scores are halved by both."""
    finding = explained(expectations, [(scale(1 / math.sqrt(8) / 2), 1)])
    assert set(finding.ids) == {"scale_by_layer", "scale_n_embd"}
    assert "both agree with all that was seen" in finding.text


def test_blocks_that_are_right_are_named(expectations):
    fault = FAMILIES["window"].fault(12)
    finding = explained(expectations, [(fault, 1), (fault, 3)])
    assert "in blocks 1 and 3 (blocks 0 and 2 are right)" in finding.text


def test_a_fault_is_not_mistaken_for_one_that_happens_to_agree_in_its_block(expectations):
    """Every other block divides by the layer's number too: blocks 1 and 3 are seen to differ."""
    root = 1 / math.sqrt(8)
    finding = explained(expectations, [(scale(root / 2), 1), (scale(root / 4), 3)])
    assert finding.ids[0] == "scale_by_layer"


def test_several_faults_are_several_findings_in_the_order_of_execution(expectations, every):
    gelu = next(fault for fault in catalogue("float32") if fault.id == "gelu_erf")
    faults = [(scale(0.2), layer) for layer in every] + [(gelu, layer) for layer in every]
    found = findings(failures(expectations, faults))
    assert [finding.ids for finding in found] == [("score_scale",), ("gelu_erf",)]
    assert sum(finding.stages for finding in found) == found[0].of


def test_what_holds_in_some_blocks_leaves_the_others_to_another_finding(expectations):
    erf = next(fault for fault in catalogue("float32") if fault.id == "gelu_erf")
    relu = next(fault for fault in catalogue("float32") if fault.id == "relu")
    found = findings(failures(expectations, [(erf, 0), (erf, 2), (relu, 1)]))
    assert {finding.ids for finding in found} == {("gelu_erf",), ("relu",)}
    assert "in blocks 0 and 2" in next(f for f in found if f.ids == ("gelu_erf",)).text


def test_the_words_begin_with_the_place(expectations):
    tap = "transformer.h.2.attn.c_proj:input"
    finding = explained(expectations, [(scale(0.2), 2)])
    assert finding.tap == tap
    assert finding.text.startswith(f"{in_words(tap)}: found ")


def test_what_nothing_explains_is_described_and_counted(ordinary):
    tap = "transformer.h.1.mlp.act"
    noise = np.random.default_rng(0).standard_normal(ordinary.isolated[tap].shape)
    (finding,) = findings([changed(ordinary, tap, ordinary.isolated[tap] + noise)])
    assert finding.ids == ()
    assert finding.text.startswith("h.1.mlp.act: no known fault explains it; its error is ")
    assert (finding.stages, finding.of) == (1, 1)


def test_a_query_without_keys_is_asked_about(expectations, every):
    diagonal = next(
        f for f in attention_faults.attention_faults(GPT2Config()) if f.id == "mask_offset"
    )
    finding = explained(expectations, [(diagonal, layer) for layer in every])
    assert "is the diagonal masked?" in finding.text


def test_numbers_that_decide_little_are_given_as_about(expectations, every):
    """Scores are so large that any fill between far bounds gives the same weights."""
    probes = [e for e in expectations if e.case.label == "probe"]
    fault = FAMILIES["mask_added"].fault(-3000.0)
    finding = explained(probes, [(fault, layer) for layer in every])
    assert finding.ids == ("mask_added",)


def test_a_record_has_what_the_schema_says(expectations):
    record = explained(expectations, [(scale(0.2), 2)]).record()
    assert record["record"] == "finding"
    assert record.keys() == {"record", "tap", "text", "ids", "stages", "of"}


def scale(value):
    """Attention with q k^T times a number."""
    return replace(FAMILIES["score_scale"].fault(value), replace=scaled(value))
