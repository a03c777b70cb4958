"""Rules that others have published, to be laid beside this project's own (`verify.rules`).

Each is given what people give it: whole runs of the candidate and of PyTorch, both float32, as
traces by tap. A rule that looks at every tap can say where a run first goes wrong; one that looks
at the logits alone can only say that it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch._dynamo.utils import same

from reference.taps import LOGITS
from verify.checks.logits import TOP
from verify.judge.metrics import kl_divergence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference.trace import Array

Accepts = Callable[["Array", "Array", "Array"], bool]
"""Called with the candidate's array, PyTorch's and the float64 truth."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One published rule.

    Attributes:
        name: as the table has it.
        accepts: whether one array may pass.
        source: who uses it.
        every_tap: whether it looks at every tap; else at the logits alone.
    """

    name: str
    accepts: Accepts
    source: str
    every_tap: bool = True

    def rejected(
        self, found: Mapping[str, Array], reference: Mapping[str, Array], truth: Mapping[str, Array]
    ) -> str | None:
        """The first tap, in the order of execution, that the rule rejects; None where none is."""
        for tap in found if self.every_tap else (LOGITS,):
            if not self._accepts(found[tap], reference[tap], truth[tap]):
                return tap
        return None

    def _accepts(self, found: Array, reference: Array, truth: Array) -> bool:
        """Whatever cannot be compared is rejected, and integers have to be equal."""
        if found.shape != reference.shape:
            return False
        if not np.issubdtype(found.dtype, np.floating):
            return bool(np.array_equal(found, reference))
        with np.errstate(all="ignore"):  # a fault may overflow
            return self.accepts(found, reference, truth)


def cosine(found: Array, reference: Array, truth: Array, *, least: float) -> bool:  # noqa: ARG001
    """Cosine of the angle between both arrays, seen as vectors in float64."""
    a, b = found.ravel().astype(np.float64), reference.ravel().astype(np.float64)
    if np.array_equal(a, b):
        return True
    return bool(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) >= least)


def nmse(found: Array, reference: Array, truth: Array, *, most: float) -> bool:  # noqa: ARG001
    """Normalised mean square error: sum (found - reference)^2 / sum reference^2, in float64."""
    wide = reference.astype(np.float64)
    difference = found - wide
    return bool((difference**2).sum() <= most * (wide**2).sum())


def close(
    found: Array,
    reference: Array,
    truth: Array,  # noqa: ARG001
    *,
    rtol: float,
    atol: float,
) -> bool:
    """|found - reference| <= atol + rtol |reference| everywhere; NaN is far."""
    return bool(np.allclose(found, reference, rtol=rtol, atol=atol))


def assert_close(found: Array, reference: Array, truth: Array) -> bool:  # noqa: ARG001
    """`torch.testing.assert_close` with its defaults: for float32 rtol 1.3e-6, atol 1e-5."""
    try:
        torch.testing.assert_close(torch.from_numpy(found), torch.from_numpy(reference))
    except AssertionError:
        return False
    return True


def dynamo_same(found: Array, reference: Array, truth: Array, *, tol: float) -> bool:
    """allclose, or an rmse to float64 of less than a few times PyTorch's own plus `tol`."""
    arrays = (torch.from_numpy(array) for array in (reference, found, truth))
    ref, res, fp64_ref = arrays
    return bool(same(ref, res, fp64_ref, tol=tol, cos_similarity=False, log_error=_silent))


def _silent(*_: object) -> None:
    """In place of a logger: a rejection is a result here, no incident."""


def kl(found: Array, reference: Array, truth: Array, *, most: float) -> bool:  # noqa: ARG001
    """KL(softmax(reference) || softmax(found)) in nats, the mean over all positions."""
    return bool(kl_divergence(reference, found).mean() < most)


def top5(found: Array, reference: Array, truth: Array) -> bool:  # noqa: ARG001
    """Each side's first choice is among the other's five best, at every position."""
    if np.isnan(found).any():
        return False
    return _among_best(found, reference) and _among_best(reference, found)


def _among_best(chosen: Array, ranked: Array) -> bool:
    """Whether the first choice of one side is always among the best of the other."""
    count = min(TOP, ranked.shape[-1])
    best = np.argpartition(-ranked, count - 1, axis=-1)[..., :count]
    return bool((best == chosen.argmax(axis=-1)[..., None]).any(axis=-1).all())


PUBLISHED = (
    Rule(
        "top-5",
        top5,
        "vLLM, tests/models/utils.py, check_logprobs_close with num_logprobs=5",
        every_tap=False,
    ),
    Rule(
        "cosine 0.99",
        partial(cosine, least=0.99),
        "torch/_dynamo/utils.py, same(cos_similarity=True), here at every tap",
    ),
    Rule(
        "NMSE < 1e-2",
        partial(nmse, most=1e-2),
        "the measure of llama.cpp's test-backend-ops (5e-4 for one matrix product there)",
    ),
    Rule(
        "KL < 1e-3",
        partial(kl, most=1e-3),
        "between the bounds of Modular's verify_pipelines.py, 1e-4 (float32) to 2e-3 (bfloat16)",
        every_tap=False,
    ),
    Rule(
        "cosine 0.9999",
        partial(cosine, least=0.9999),
        "Modular's verify_pipelines.py, cos_dist_threshold=1e-4 of llama3_1-float32, at every tap",
    ),
    Rule(
        "logits atol 1e-2",
        partial(close, rtol=0.0, atol=1e-2),
        "llm.c, test_gpt2.c",
        every_tap=False,
    ),
    Rule(
        "dynamo same",
        partial(dynamo_same, tol=1e-4),
        "torch/_dynamo/utils.py, same(fp64_ref, tol=1e-4)",
        every_tap=False,
    ),
    Rule(
        "rtol 1e-3, atol 1e-4",
        partial(close, rtol=1e-3, atol=1e-4),
        "onnxruntime, compare_bert_results.py, here at every tap",
    ),
    Rule(
        "atol 1e-4",
        partial(close, rtol=0.0, atol=1e-4),
        "the absolute part of many of transformers' integration tests, here at every tap",
    ),
    Rule(
        "assert_close",
        assert_close,
        "torch.testing.assert_close, defaults for float32 (rtol 1.3e-6, atol 1e-5), at every tap",
    ),
)
"""From the most to the least forgiving, roughly."""
