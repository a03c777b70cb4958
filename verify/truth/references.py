"""What a candidate is compared with: one case's truth, PyTorch's figures, and the envelope."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from reference.dtypes import rounded
from reference.oracle import Oracle
from reference.taps import module_of
from verify.judge.acceptance import judge
from verify.truth import bfloat16_products, envelope
from verify.truth import float16 as arithmetic16
from verify.truth import float32 as arithmetic
from verify.truth import tf32 as arithmetic_tf32
from verify.truth.alarms import correct_results
from verify.truth.cases import LARGE_PARAMETERS, PROBE, PROBE_SIZE, plants_faults
from verify.truth.expectation import EnvelopeSample, Expectation
from verify.truth.float32 import Sequential
from verify.truth.float64 import BiasFirst, Mathematics, OneChain
from verify.truth.probe import probe
from verify.truth.redraws import redraws

if TYPE_CHECKING:
    from reference.checkpoint import Checkpoint
    from reference.huggingface import HuggingFaceReference
    from reference.trace import Array
    from verify.judge.acceptance import Judgement
    from verify.truth.cases import Case

EXCUSED = {
    "drop": "dropout is the identity in eval mode",
    "resid_dropout": "dropout is the identity in eval mode",
    "dropout": "dropout is the identity in eval mode",
    "attn_dropout": "dropout is the identity in eval mode",
}
"""Modules of Hugging Face's GPT-2 that a candidate need not have, by name, with the reason."""


class References:
    """The reference and the oracle for one state of the weights.

    Args:
        checkpoint: configuration and weights; they are rounded to `dtype` first.
        dtype: the candidate's precision, in which PyTorch computes and envelopes are measured.
        products: what products may compute in where that is coarser, and envelopes are measured
            in then: `tf32`, or `bfloat16` for the factors of linear layers.
        kept: what keys and values may be kept in where that is coarser: `bfloat16`, with products
            of it.
    """

    def __init__(
        self, checkpoint: Checkpoint, dtype: str = "float32", *, products: str = "", kept: str = ""
    ) -> None:
        self.dtype, self.products = dtype, products
        self.checkpoint = checkpoint = rounded(checkpoint, dtype)
        large = checkpoint.config.parameter_count > LARGE_PARAMETERS
        self._least_copies = 1 if large else envelope.LEAST_COPIES
        self.oracle = Oracle(checkpoint)
        self._evaluations = _evaluations(checkpoint, dtype, products, kept)

    @cached_property
    def torch(self) -> HuggingFaceReference:
        """PyTorch's model in the candidate's precision. Importing it takes seconds."""
        return hugging_face(self.checkpoint, self.dtype)

    def expectation(
        self,
        case: Case,
        given_taps: list[str],
        without: type[Oracle] | None = None,
        *,
        free: bool = True,
    ) -> Expectation:
        """Compute everything that the case is compared with.

        Args:
            case: the input.
            given_taps: where the candidate's stages are cut, that is, its modules' outputs.
            without: an evaluation order that the envelope shall not know, so that it can be judged
                as a candidate is.
            free: whether the case is run free too; a probe never is.
        """
        orders = [model for model in self._evaluations if type(model) is not without]
        models: list[Any] = [self.torch, *orders]
        torch_free = self.torch.trace(case.ids)
        given = {tap: torch_free[tap] for tap in given_taps}
        if case.label == PROBE:
            given = probe(given, self.checkpoint.config)
        sample = envelope.sample(case.ids, given, case.seed, self._least_copies)
        isolated = self.oracle.trace(sample.ids, sample.given)
        evaluations = [model.trace(sample.ids, sample.given) for model in models]
        further = redraws(
            sample, isolated, evaluations, self.oracle, [None, *orders], case.seed, self.dtype
        )
        stages = envelope.isolated(sample, isolated, evaluations, further)
        expectation = Expectation(
            case=case,
            oracle=self.oracle,
            dtype=self.dtype,
            products=self.products,
            given=given,
            isolated=sample.original(isolated),
            torch_isolated=sample.original(evaluations[0]),
            torch_free=torch_free,
            isolated_envelope={tap: stage.envelope for tap, stage in stages.items()},
            drawn=EnvelopeSample(sample, isolated, evaluations) if plants_faults(case) else None,
        )
        if case.ids.shape == PROBE_SIZE:
            alarms = correct_results(sample, isolated, evaluations, stages, self.dtype)
            expectation = replace(expectation, alarms=alarms)
        if case.label == PROBE or not free:
            return expectation
        truth = self.oracle.trace(sample.ids)
        runs = [model.trace(sample.ids) for model in models if not isinstance(model, Sequential)]
        free_envelope = envelope.free(self.oracle, sample, truth, stages, case.seed, runs)
        return replace(expectation, free=sample.original(truth), free_envelope=free_envelope)

    def oracle_disagreement(self, case: Case) -> tuple[str, Judgement]:
        """Hugging Face in float64, judged by the oracle as a candidate's graph is.

        Args:
            case: the input; both models run free.

        Returns:
            The first tap at which the two models differ, where one of them is wrong; else the tap
            at which they use most of what is allowed. With the judgement there.
        """
        expected = self.in_float64(case)
        other = hugging_face(self.checkpoint, "float64").trace(case.ids)
        judged = {
            tap: judge(other[tap], truth, expected.free_envelope[tap], "float64")
            for tap, truth in expected.free.items()
        }
        wrong = (item for item in judged.items() if item[1].verdict != "PASS")
        return next(wrong, max(judged.items(), key=lambda item: item[1].used or 0.0))

    def in_float64(self, case: Case) -> Expectation:
        """What other evaluations of a case in float64 are compared with.

        What is allowed is measured: a near-tie of a softmax, which large weights make likely,
        enlarges float64's own rounding by two orders of magnitude.
        """
        mathematics = Mathematics(self.checkpoint, further=[BiasFirst, OneChain])
        return mathematics.expectation(case, mathematics.oracle.output_taps())

    def expected_taps(self, ids: Array) -> dict[str, str]:
        """Every tap that the reference has, with the reason where a candidate need not have it."""
        trace = self.torch.trace(ids)
        return {tap: EXCUSED.get(_module_name(tap), "") for tap in trace}


def hugging_face(checkpoint: Checkpoint, dtype: str) -> HuggingFaceReference:
    """The model of transformers with a checkpoint. Importing it and torch takes seconds."""
    import torch

    from reference.huggingface import HuggingFaceReference

    return HuggingFaceReference(checkpoint, getattr(torch, dtype))


def _evaluations(checkpoint: Checkpoint, dtype: str, products: str, kept: str) -> list[Oracle]:
    """One model for each legitimate order in a precision."""
    if products == "bfloat16":
        return bfloat16_products.evaluations(checkpoint, kept=bool(kept))
    if products == "tf32":
        return arithmetic_tf32.evaluations(checkpoint)
    if dtype == "float32":
        return arithmetic.evaluations(checkpoint)
    return arithmetic16.evaluations(checkpoint, dtype)


def _module_name(tap: str) -> str:
    return module_of(tap).rsplit(".", 1)[-1]
