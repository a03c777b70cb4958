"""An engine passes where its cache is sound, and fails where it is not."""

from dataclasses import replace

import numpy as np
import pytest

from impl import engine as engines
from reference.taps import LOGITS
from verify.checks.engine import (
    EngineSpec,
    cache_fault_checks,
    engine_checks,
    quality_check,
    worth_reading,
)
from verify.faults.cache import FAULTS, CachedOracle, read_in_parts
from verify.truth.cases import random_cases


@pytest.fixture(scope="session")
def batch(cases):
    """Two rows of 33 tokens, and what they are compared with."""
    return cases[0]


@pytest.mark.parametrize(
    ("sizes", "read"),
    [
        ([(1, 1), (2, 33), (10, 3)], {"given-2x33"}),
        ([(1, 1), (1, 33), (1, 9)], {"given-1x33"}),  # no batch is asked for: the largest
    ],
)
def test_engines_read_something_in_every_run(checkpoint, sizes, read):
    found = random_cases(checkpoint.config, "given", sizes, seed=0, device="cpu")
    assert worth_reading(checkpoint.config, found) == read


@pytest.mark.compiles
@pytest.mark.parametrize("kernels", ["mojo", "stock"])
def test_an_engine_passes_in_every_way_of_reading(checkpoint, batch, kernels):
    checks = list(engine_checks(EngineSpec(kernels=kernels), checkpoint, batch[1]))
    assert [check.details["way"] for check in checks] == ["decode", "chunked", "batched"]
    assert [check.verdict for check in checks] == ["PASS"] * 3
    apart = checks[1].details["from_decode"]
    assert apart == 0 if kernels == "mojo" else apart < 1e-6


@pytest.mark.compiles
def test_rounded_weights_are_judged_on_themselves_and_not_on_the_exact_ones(
    checkpoint, references, batch
):
    case, exact = batch
    form = EngineSpec.parse("mojo:bfloat16")
    held = type(references)(form.held(checkpoint)).expectation(case, list(exact.given))
    assert {check.verdict for check in engine_checks(form, checkpoint, held)} == {"PASS"}
    assert {check.verdict for check in engine_checks(form, checkpoint, exact)} == {"FAIL"}
    quality = quality_check(form, checkpoint, exact, held)
    assert 0 < quality.details["kl_mean"] < 1e-2


@pytest.mark.compiles
@pytest.mark.parametrize("kernels", ["mojo", "mojo-tiles-emulated"])
@pytest.mark.parametrize(
    ("dtype", "kept"), [("bfloat16-products", ""), ("bfloat16-cache", "bfloat16")]
)
def test_rounded_activations_have_an_envelope_of_their_own(
    checkpoint, references, batch, kernels, dtype, kept
):
    """Which float32's does not take for its own, nor does a fault of the cache stay within it."""
    case, exact = batch
    form = EngineSpec.parse(f"{kernels}:{dtype}")
    own, float32 = (
        type(references)(form.held(checkpoint), products=products, kept=form.kept).expectation(
            case, list(exact.given)
        )
        for products in (form.products, "")
    )
    assert (form.products, form.kept) == ("bfloat16", kept)
    checks = list(engine_checks(form, checkpoint, own))
    assert {check.verdict for check in checks} == {"PASS"}
    assert {check.verdict for check in engine_checks(form, checkpoint, float32)} == {"FAIL"}
    kl = [quality_check(f, checkpoint, exact, own).details["kl_mean"]
          for f in (form, EngineSpec.parse(f"{kernels}:bfloat16"))]  # fmt: skip
    assert 0 < kl[1] < kl[0] < 1e-2


@pytest.mark.compiles
def test_an_engine_in_tiles_is_float32(checkpoint, batch):
    form = EngineSpec(kernels="mojo-tiles-emulated")
    checks = list(engine_checks(form, checkpoint, batch[1]))
    assert [check.verdict for check in checks] == ["PASS"] * 3
    assert "emulated AMX tiles" in checks[0].details["path"]
    assert 0 < checks[1].details["from_decode"] < 1e-6  # attention of one token is in vectors


@pytest.mark.compiles
@pytest.mark.parametrize("kernels", ["mojo", "stock"])
def test_an_engine_whose_layers_share_a_cache_fails(checkpoint, batch, kernels, monkeypatch):
    build = engines._program

    def crossed(*arguments):
        program = build(*arguments)
        if kernels == "stock":
            program._cache[4:6] = program._cache[0:2]
        else:
            monkeypatch.setattr(program, "forward", copied(program))
        return program

    def copied(program):
        forward = program.forward  # keys and values of all layers are one buffer each

        def run(*arguments, **options):
            for cache in program._cache:
                cache[2] = cache[0]
            return forward(*arguments, **options)

        return run

    monkeypatch.setattr(engines, "_program", crossed)
    checks = list(engine_checks(EngineSpec(kernels=kernels), checkpoint, batch[1]))
    assert checks[0].verdict == "FAIL"
    assert checks[0].used > 10


@pytest.mark.compiles
@pytest.mark.parametrize("kernels", ["mojo", "stock"])
def test_an_engine_that_counts_from_another_position_fails(checkpoint, batch, kernels, monkeypatch):
    decode = engines.Engine.decode

    def late(engine, tokens):
        logits = decode(engine, tokens)
        if engine.position[0] == 20:
            engine.position = engine.position - 1  # the next token overwrites the last one's slot
        return logits

    monkeypatch.setattr(engines.Engine, "decode", late)
    checks = {
        c.details["way"]: c
        for c in engine_checks(EngineSpec(kernels=kernels), checkpoint, batch[1])
    }
    assert checks["decode"].verdict == "FAIL"
    assert checks["chunked"].verdict == "PASS"


def test_the_oracle_with_a_cache_is_the_oracle(references, batch):
    case, expected = batch
    found = read_in_parts(CachedOracle(references.oracle), case.ids)
    np.testing.assert_allclose(found, expected.free[LOGITS], rtol=0, atol=1e-12)


def test_every_fault_of_a_cache_is_caught_by_a_safe_margin(references, batch):
    case, expected = batch
    control, *checks = cache_fault_checks(expected, references.in_float64(case))
    assert (control.mode, control.verdict) == ("oracle", "PASS")
    assert [check.case for check in checks] == [fault.id for fault in FAULTS]
    assert {check.verdict for check in checks} == {"PASS"}
    assert min(check.details["margin"] for check in checks) > 10


def test_a_fault_within_what_is_allowed_is_not_called_caught(references, batch):
    case, expected = batch
    wide = {tap: replace(e, rms=1e6, max=1e6) for tap, e in expected.free_envelope.items()}
    tolerant = replace(expected, free_envelope=wide)
    _, *checks = cache_fault_checks(tolerant, references.in_float64(case))
    assert {check.verdict for check in checks} == {"UNDERPOWERED"}


@pytest.mark.parametrize(
    "text",
    [
        "auto",
        "mojo",
        "stock",
        "mojo:bfloat16",
        "auto:int8",
        "mojo-tiles-emulated:bfloat16-products",
        "auto:bfloat16-cache",
    ],
)
def test_an_engine_is_named_as_it_is_asked_for(text):
    assert str(EngineSpec.parse(text)) == text


@pytest.mark.parametrize("text", ["", "cuda", "mojo:float8"])
def test_an_engine_that_is_not_there_is_refused(text):
    with pytest.raises(ValueError, match="is not an engine"):
        EngineSpec.parse(text)
