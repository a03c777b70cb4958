"""What a sum tells of residuals and norms."""

import pytest

from tests.verify.explain.helpers import changed
from verify.explain.block_sums import told_by_sum

BLOCK = "transformer.h.1"
STREAM, ATTN, MLP = f"{BLOCK}:input", f"{BLOCK}.attn", f"{BLOCK}.mlp"
MIDDLE = f"{BLOCK}.ln_2:input"


@pytest.mark.parametrize(
    ("tap", "factors", "text"),
    [
        (MIDDLE, {ATTN: 1.0}, "the residual is left out"),
        (BLOCK, {f"{MLP}.c_proj": 1.0}, "the residual is left out"),
        (MIDDLE, {f"{BLOCK}.ln_1": 1.0, ATTN: 1.0}, "the residual is the normalised copy"),
        (BLOCK, {STREAM: 1.0, ATTN: 1.0}, "mlp is left out, or added elsewhere"),
        (BLOCK, {STREAM: 1.0, ATTN: 1.0, MLP: -1.0}, "what mlp returns is subtracted"),
        (BLOCK, {STREAM: 2.0, ATTN: 2.0, MLP: 1.0}, "the stream is added twice"),
        (BLOCK, {STREAM: 1.0, MLP: 1.0}, "attention's sum is lost"),
        (f"{BLOCK}.ln_1:input", {STREAM: 1.0, ATTN: 1.0}, "post-norm, or ln_1 and ln_2 exchanged"),
        ("transformer.h.0:input", {"transformer.wte": 8.0, "transformer.wpe": 1.0}, "scaled"),
        ("transformer.h.0:input", {"transformer.wpe": 1.0}, "the token embeddings are left out"),
        (f"{BLOCK}:input", {"transformer.ln_f": 1.0}, "the last norm inside the loop"),
        (BLOCK, {STREAM: 0.3, MLP: 0.7}, ""),
    ],
)
def test_a_sum_has_the_name_of_its_mistake(tap, factors, text, ordinary):
    said = told_by_sum(changed(ordinary, tap, ordinary.isolated[tap]), factors)
    assert text in said
    assert bool(text) == bool(said)
