"""What people compute in place of LayerNorm is named."""

import numpy as np
import pytest

from tests.verify.explain.helpers import changed
from verify.explain.diagnosis import findings
from verify.explain.norm_faults import norm_faults

TAP = "transformer.h.1.ln_2"
FAULTS = list(norm_faults("transformer.h.{layer}.ln_2"))


@pytest.mark.parametrize(
    "id_", ["ln_no_root", "ln_not_centred", "ln_bias_first", "ln_weight_plus_one", "ln_axis"]
)
def test_a_norm_that_is_another_formula_is_named(id_, ordinary):
    fault = next(fault for fault in FAULTS if fault.id == id_)
    x = ordinary.isolated[f"{TAP}:input"]
    result = fault.replace(ordinary.oracle, ordinary.oracle.layer_norm, x, TAP)
    (finding,) = findings([changed(ordinary, TAP, result)])
    assert finding.ids[0] == id_
    assert fault.found in finding.text


def test_no_two_compute_the_same(ordinary):
    x = ordinary.isolated[f"{TAP}:input"]
    with np.errstate(all="ignore"):
        results = [f.replace(ordinary.oracle, ordinary.oracle.layer_norm, x, TAP) for f in FAULTS]
    finite = [result for result in results if np.isfinite(result).all()]
    for place, one in enumerate(finite):
        assert not any(np.allclose(one, other, rtol=1e-9) for other in finite[place + 1 :])
