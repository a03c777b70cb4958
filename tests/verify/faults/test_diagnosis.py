import numpy as np
import pytest

from verify.faults.catalogue import catalogue
from verify.faults.diagnosis import describe, diagnose
from verify.faults.planted import Planted

FAULTS = catalogue("float32")
ACT, CORE = "transformer.h.1.mlp.act", "transformer.h.1.attn.c_proj:input"


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
            assert fault.expected in sentence
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


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (np.zeros_like, "all zeros"),
        (lambda x: np.full_like(x, 2.5), "every element is 2.5"),
        (lambda x: x * 1.25, "the right result times 1.25"),
        (lambda x: x[:, ::-1], "rows are the right ones in another order"),
        (lambda x: np.where(np.arange(x.shape[1])[:, None] > 20, x + 1, x), "rows are wrong, rows"),
        (lambda x: np.where(x > 0, x, np.nan), "NaN"),
        (lambda x: x[:, :5], "its shape is"),
        (lambda x: x + 1e-3 * np.arange(x.shape[1])[:, None], "grows along the sequence"),
    ],
    ids=["zeros", "constant", "factor", "order", "rows", "nan", "shape", "position"],
)
def test_what_no_fault_explains_is_described(cases, spoil, sentence):
    _, expected = cases[0]
    found = np.ascontiguousarray(spoil(expected.isolated[ACT])).astype(np.float32)
    assert sentence in describe(ACT, found, expected, n_head=4)


def test_wrong_heads_are_named(cases):
    _, expected = cases[0]
    found = expected.isolated[CORE].copy()
    heads = found.reshape(*found.shape[:-1], 4, -1)
    heads[..., 2, :] += np.random.default_rng(0).standard_normal(heads[..., 2, :].shape)
    assert "only heads [2] of 4" in describe(CORE, found.astype(np.float32), expected, n_head=4)


@pytest.mark.parametrize(("bits", "name"), [(10, "tf32"), (7, "bfloat16")])
def test_an_error_of_fewer_bits_is_called_by_its_precision(cases, bits, name):
    _, expected = cases[0]
    tap = "transformer.h.1.mlp.c_fc"
    truth = expected.isolated[tap]
    noise = np.random.default_rng(0).uniform(-1, 1, truth.shape) * 2.0 ** -(bits + 1)
    found = (truth * (1 + noise)).astype(np.float32)
    assert f"as large as {name}'s" in describe(tap, found, expected, n_head=4)
