"""Every rule on every fault, and on correct runs in other orders of evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reference.regimes import with_regime
from reference.trace import Recorder
from verify.faults.catalogue import catalogue
from verify.faults.planted import Planted
from verify.faults.power import sight_in
from verify.judge.acceptance import judge
from verify.rules.published import PUBLISHED
from verify.truth.cases import PROBE, PROBE_SIZE, WIDE_SIZE, probe_case, random_cases
from verify.truth.float32 import Blocked, Pairwise, evaluations
from verify.truth.float64 import Mathematics
from verify.truth.references import References

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reference.checkpoint import Checkpoint
    from reference.oracle import Oracle
    from reference.trace import Array, Trace
    from verify.faults.base import Fault
    from verify.faults.sighting import Sighting
    from verify.judge.acceptance import Envelope
    from verify.truth.cases import Case

OURS = "this project"

TRACED = "this project, traced"
"""The same rule on the traced graph in float64, before anything is compiled."""

DTYPE = "float32"

CORRECT = (Blocked, Pairwise)
"""The orders of `verify.truth.float32` that compute every row, so that they can be run whole."""

CORRECT_SIZES = ((1, 1), (1, 9), PROBE_SIZE, (1, 128))


FAULT_CASES = 4
"""Cases that faults are planted in: two rows, a wide one, one of full length, and a probe."""


@dataclass(frozen=True, slots=True)
class Catch:
    """What one rule made of one fault on one case.

    Attributes:
        rule, fault: their names.
        applicable: whether the fault changes anything that float32 can show there.
        caught: whether the rule rejected anything.
        right: whether what it rejected first is where the fault is; None if it cannot tell.
    """

    rule: str
    fault: str
    applicable: bool
    caught: bool
    right: bool | None


@dataclass(frozen=True, slots=True)
class Alarm:
    """What one rule made of one correct run: the first place that it rejected, or nothing."""

    rule: str
    run: str
    rejected: str | None


def fault_cases(references: References, regime: str) -> list[Case]:
    """Two rows for every fault, a wide and a full-length case for those that need them, a probe."""
    config = references.checkpoint.config
    sizes = [PROBE_SIZE, WIDE_SIZE, (1, config.n_positions)]
    cases = random_cases(config, regime, sizes, seed=0, device="cpu")
    return [*cases, probe_case(config, regime, seed=0, device="cpu")]


def wanted(fault: Fault, case: Case, n_positions: int) -> bool:
    """Whether the fault is planted in this case: in the larger ones only where it has to be."""
    if not fault.fits(case.ids, n_positions):
        return False
    return case.ids.shape == PROBE_SIZE or not fault.fits(np.zeros(PROBE_SIZE), n_positions)


def catches(checkpoint: Checkpoint, regime: str) -> Iterator[Catch]:
    """Every rule on every fault on every case of one regime."""
    references = References(with_regime(checkpoint, regime), DTYPE)
    for case in fault_cases(references, regime):
        yield from catches_in(case, references)


def catches_in(case: Case, references: References) -> Iterator[Catch]:
    """Every rule on every fault on one case."""
    oracle = references.oracle
    faults = [
        f for f in catalogue(DTYPE, oracle.config) if wanted(f, case, oracle.config.n_positions)
    ]
    taps = oracle.output_taps()
    expected = references.expectation(case, taps)
    exact = Mathematics(references.checkpoint).expectation(case, taps, free=False)
    for fault in faults:
        yield _own(TRACED, sight_in(fault, exact))
        sighting = sight_in(fault, expected)
        yield _own(OURS, sighting)
        if case.label != PROBE:
            found = free_run(fault, oracle, case.ids)
            yield from _published(
                fault.id, sighting.expected, sighting.applicable, found,
                expected.torch_free, expected.free,
            )  # fmt: skip


def _own(rule: str, sighting: Sighting) -> Catch:
    right = sighting.blamed == sighting.expected
    return Catch(rule, sighting.fault, sighting.applicable, sighting.noticed, right)


def _published(
    fault: str, expected: str, applicable: bool, found: Trace, reference: Trace, truth: Trace
) -> Iterator[Catch]:
    for rule in PUBLISHED:
        first = rule.rejected(found, reference, truth)
        right = first == expected if rule.every_tap else None
        yield Catch(rule.name, fault, applicable, first is not None, right)


def free_run(fault: Fault, oracle: Oracle, ids: Array) -> Trace:
    """The trace of the whole model with the fault in one block, rounded to float32."""
    planted = Planted(oracle, fault, fault.layer(oracle.config.n_layer))
    planted.tap = recorder = Recorder()
    with np.errstate(all="ignore"):  # a fault may overflow: that is its point
        planted.language_model(ids)
        return {tap: _rounded(array) for tap, array in recorder.trace.items()}


def _rounded(array: Array) -> Array:
    return array.astype(DTYPE) if np.issubdtype(array.dtype, np.floating) else array


def alarms(checkpoint: Checkpoint, regime: str, seed: int) -> Iterator[Alarm]:
    """Every rule on every correct run of one regime and seed."""
    references = References(with_regime(checkpoint, regime, seed=seed), DTYPE)
    config = checkpoint.config
    sizes = [(batch, min(length, config.n_positions)) for batch, length in CORRECT_SIZES]
    cases = random_cases(config, regime, sizes, seed=seed, device="cpu")
    models = evaluations(references.checkpoint)
    for case in [*cases, probe_case(config, regime, seed=seed, device="cpu")]:
        yield from _ours(references, models, case)
        if case.label == PROBE:
            continue
        reference, truth = references.torch.trace(case.ids), references.oracle.trace(case.ids)
        for model in models:
            if isinstance(model, CORRECT):
                found = model.trace(case.ids)
                for rule in PUBLISHED:
                    run = run_name(model, case)
                    yield Alarm(rule.name, run, rule.rejected(found, reference, truth))


def run_name(model: Oracle, case: Case) -> str:
    """What a correct run is called; a probe belongs to the run on the same ids."""
    return f"{type(model).__name__}, {case.name.replace(f'{PROBE}-', '')}, seed {case.seed}"


def _ours(references: References, models: Sequence[Oracle], case: Case) -> Iterator[Alarm]:
    """This project's rule, by an envelope that leaves the judged evaluation out."""
    taps = references.oracle.output_taps()
    for model in models:
        if not isinstance(model, CORRECT):
            continue
        if isinstance(model, Pairwise):
            yield _traced(references, case, taps)
        expected = references.expectation(case, taps, without=type(model))
        found = model.trace(case.ids, expected.given)
        rejected = first_failure(found, expected.isolated, expected.isolated_envelope)
        if expected.free and rejected is None:
            found = model.trace(case.ids)
            rejected = first_failure(found, expected.free, expected.free_envelope)
            rejected = rejected and f"{rejected} (free)"
        yield Alarm(OURS, run_name(model, case), rejected)


def _traced(references: References, case: Case, taps: Sequence[str]) -> Alarm:
    """The rule in float64 on a run in pairwise sums, which its envelope has not seen."""
    model = Pairwise(references.checkpoint, np.float64)
    expected = Mathematics(references.checkpoint, without=Pairwise).expectation(case, taps)
    found = model.trace(case.ids, expected.given)
    rejected = first_failure(found, expected.isolated, expected.isolated_envelope, "float64")
    return Alarm(TRACED, run_name(model, case), rejected)


def first_failure(
    found: Mapping[str, Array],
    truth: Mapping[str, Array],
    bounds: Mapping[str, Envelope],
    dtype: str = DTYPE,
) -> str | None:
    """The first tap that this project's rule rejects, with the share of the allowed error."""
    for tap, array in truth.items():
        judgement = judge(found[tap], array, bounds[tap], dtype)
        if judgement.verdict != "PASS":
            return f"{tap}: used {judgement.used or float('nan'):.3f}"
    return None
