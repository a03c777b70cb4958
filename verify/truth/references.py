"""What a candidate is compared with: one case's truth, PyTorch's figures, and the envelope."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.dtypes import rounded
from reference.oracle import Oracle
from reference.taps import module_of
from verify.judge.metrics import rms
from verify.truth import envelope
from verify.truth import float16 as arithmetic16
from verify.truth import float32 as arithmetic
from verify.truth.alarms import correct_results
from verify.truth.cases import LARGE_PARAMETERS, PROBE, PROBE_SIZE, plants_faults
from verify.truth.expectation import EnvelopeSample, Expectation
from verify.truth.float32 import Sequential
from verify.truth.probe import probe
from verify.truth.redraws import redraws

if TYPE_CHECKING:
    from reference.checkpoint import Checkpoint
    from reference.huggingface import HuggingFaceReference
    from reference.trace import Array
    from verify.truth.cases import Case

ORACLE_TOLERANCE = 1e-12
"""Relative difference, at each tap's own scale, up to which two float64 models are the same."""

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
    """

    def __init__(self, checkpoint: Checkpoint, dtype: str = "float32") -> None:
        self.dtype = dtype
        self.checkpoint = checkpoint = rounded(checkpoint, dtype)
        large = checkpoint.config.parameter_count > LARGE_PARAMETERS
        self._least_copies = 1 if large else envelope.LEAST_COPIES
        self.oracle = Oracle(checkpoint)
        self._evaluations = _evaluations(checkpoint, dtype)

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

    def oracle_disagreement(self, ids: Array) -> tuple[str, float]:
        """The tap at which Hugging Face in float64 is farthest from the oracle, and how far.

        Returns:
            The tap, and its largest difference over its rms. Above `ORACLE_TOLERANCE` one of the
            two is wrong.
        """
        truth = self.oracle.trace(ids)
        other = hugging_face(self.checkpoint, "float64").trace(ids)
        distances = {
            tap: float(np.abs(other[tap] - array).max()) / (rms(array.astype(float)) or 1.0)
            for tap, array in truth.items()
        }
        worst = max(distances, key=lambda tap: distances[tap])
        return worst, distances[worst]

    def expected_taps(self, ids: Array) -> dict[str, str]:
        """Every tap that the reference has, with the reason where a candidate need not have it."""
        trace = self.torch.trace(ids)
        return {tap: EXCUSED.get(_module_name(tap), "") for tap in trace}


def hugging_face(checkpoint: Checkpoint, dtype: str) -> HuggingFaceReference:
    """The model of transformers with a checkpoint. Importing it and torch takes seconds."""
    import torch

    from reference.huggingface import HuggingFaceReference

    return HuggingFaceReference(checkpoint, getattr(torch, dtype))


def _evaluations(checkpoint: Checkpoint, dtype: str) -> list[Oracle]:
    """One model for each legitimate order in a precision."""
    if dtype == "float32":
        return arithmetic.evaluations(checkpoint)
    return arithmetic16.evaluations(checkpoint, dtype)


def _module_name(tap: str) -> str:
    return module_of(tap).rsplit(".", 1)[-1]
