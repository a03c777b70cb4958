"""Rounding to fewer bits is named with the step at which it happens."""

import numpy as np
import pytest

from verify.explain.diagnosis import diagnose
from verify.explain.rounded import ATTENTION_STEPS, FORMATS, rounding_faults
from verify.faults.planted import Planted

CORE = "transformer.h.{layer}.attn.c_proj:input"
PLACES = (
    CORE, "transformer.h.{layer}.ln_1", "transformer.h.{layer}.mlp.c_fc",
    "transformer.h.{layer}.mlp.act",
)  # fmt: skip


def computed(fault, layer, expected):
    trace = Planted(expected.oracle, fault, layer).stage(
        fault.blamed(layer), expected.case.ids, expected.isolated, expected.given
    )
    return trace[fault.blamed(layer)].astype(np.float32)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", FORMATS)
def test_the_step_and_the_format_are_named(place, name, cases):
    """Of two steps whose rounding is the same, either may be named."""
    _, expected = cases[0]
    for fault in rounding_faults(place, "float32"):
        if not fault.found.endswith(name):
            continue
        found = computed(fault, 1, expected)
        if np.array_equal(found, expected.isolated[fault.blamed(1)].astype(np.float32)):
            continue
        said = diagnose(fault.blamed(1), found, expected)
        known = (name, "_bf16]", "_tf32]")  # the catalogue has some of them
        assert any(one in said for one in known), (fault.found, said)


def test_every_step_of_attention_can_be_rounded():
    found = [fault.found for fault in rounding_faults(CORE, "float32")]
    assert len(found) == len(ATTENTION_STEPS) * len(FORMATS)
    assert "the softmax's result rounded to bfloat16" in found


def test_a_format_is_no_fault_of_itself():
    assert not any("to bfloat16" in f.found for f in rounding_faults(CORE, "bfloat16"))
