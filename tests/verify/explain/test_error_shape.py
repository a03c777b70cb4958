import numpy as np
import pytest

from verify.explain.error_shape import describe
from verify.judge.rounding import to_bf16, to_fp16

ACT, CORE = "transformer.h.1.mlp.act", "transformer.h.1.attn.c_proj:input"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (np.zeros_like, "all zeros"),
        (to_bf16, "it is rounded to bfloat16: every value is one that bfloat16 holds"),
        (to_fp16, "it is rounded to float16: every value is one that float16 holds"),
        (lambda x: to_bf16(x + np.sin(x)), "bfloat16 holds, and differs by more than that"),
        (lambda x: np.full_like(x, 2.5), "every element is 2.5"),
        (lambda x: x * 1.25, "the right result times 1.25"),
        (lambda x: x[:, ::-1], "rows are the right ones in another order"),
        (lambda x: np.where(np.arange(x.shape[1])[:, None] > 20, x + 1, x), "rows are wrong, rows"),
        (lambda x: x[:, :5], "its shape is"),
        (lambda x: x + 1e-3 * np.arange(x.shape[1])[:, None], "grows along the sequence"),
        (lambda x: x + 9 * np.sign(np.sin(1e4 * x)), "times its size"),
    ],
    ids=[
        "zeros", "bfloat16", "float16", "more", "constant", "factor", "order", "rows", "shape",
        "position", "large",
    ],
)  # fmt: skip
def test_what_no_fault_explains_is_described(cases, spoil, sentence):
    _, expected = cases[0]
    found = np.ascontiguousarray(spoil(expected.isolated[ACT])).astype(np.float32)
    assert sentence in describe(ACT, found, expected, n_head=4)


def test_what_is_not_finite_is_counted_and_the_first_is_named(cases):
    _, expected = cases[0]
    found = expected.isolated[ACT].astype(np.float32)
    found[1, 2, 3] = np.nan
    found[1, 4, 0] = np.inf
    said = describe(ACT, found, expected, n_head=4)
    assert said == (
        f"1 NaN and 1 infinite of {found.size:,} elements, the first at row 1, token 2, "
        f"feature 3 of {expected.case.name}"
    )


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
