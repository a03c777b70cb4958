"""Faults of the catalogue are named from what a float32 candidate computes."""

import numpy as np
import pytest

from verify.explain.diagnosis import diagnose, matching_fault
from verify.faults.catalogue import catalogue
from verify.faults.planted import Planted

FAULTS = catalogue("float32")


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.id for fault in FAULTS])
def test_a_planted_fault_is_named(fault, references, cases):
    """In another layer than the catalogue's own, and rounded to float32 as a candidate's is."""
    layer = fault.layer(references.oracle.config.n_layer)
    tap = fault.blamed(layer)
    for case, expected in cases:
        if not fault.fits(case.ids, references.oracle.config.n_positions):
            continue
        with np.errstate(all="ignore"):
            found = Planted(references.oracle, fault, layer).stage(
                tap, case.ids, expected.isolated, expected.given
            )[tap]
        if np.array_equal(found, expected.isolated[tap]) or not np.isfinite(found).all():
            continue
        kind = np.float32 if np.issubdtype(found.dtype, np.floating) else found.dtype
        sentence = diagnose(tap, found.astype(kind), expected)
        if f"[{fault.id}]" in sentence:
            assert fault.found in sentence
            return
    pytest.fail(f"{fault.id} was never named; last: {sentence}")


def test_a_block_left_out_is_named_where_blocks_are_no_modules_of_the_candidates(references, cases):
    """Its parts are cut, and a fault that leaves out the block leaves them out too."""
    case, oracle = cases[0][0], references.oracle
    last, tap = oracle.config.n_layer - 1, "transformer.ln_f:input"
    blocks = [f"transformer.h.{layer}" for layer in range(last + 1)]
    shown = [t for t in cases[0][1].isolated if t.removesuffix(":input") not in blocks]
    cut = [t for t in shown if not t.endswith(":input") and t != "transformer"]
    expected = references.expectation(case, cut)
    fault = next(fault for fault in FAULTS if fault.id == "layer_dropped")
    found = Planted(oracle, fault, last).whole(case.ids, expected.given)[tap].astype(np.float32)
    sentence = diagnose(tap, found, expected, shown)
    assert f"in block {last}" in sentence
    assert "[layer_dropped]" in sentence


def test_what_is_no_fault_has_no_id(cases):
    _, expected = cases[0]
    tap = "transformer.h.1.mlp.act"
    noise = np.random.default_rng(0).standard_normal(expected.isolated[tap].shape)
    found = (expected.isolated[tap] + noise).astype(np.float32)
    assert matching_fault(tap, found, expected) is None
