"""GPT-2s in many styles: right ones pass with no edit, faults are blamed where they are.

Compiling all of them takes minutes: `ALL_CANDIDATES=1 pytest tests/verify/test_candidates.py`.
Otherwise a few that differ most are compiled; with `-k`, those that it selects.
"""

import os
import sys
from pathlib import Path

import pytest
from max.dtype import DType
from max.graph import Module as Program

from impl.config import GPT2Config
from impl.runtime import open_device
from reference.checkpoint import Checkpoint
from reference.regimes import initial_weights, with_regime
from verify.candidate.factory import load_factory
from verify.candidate.model_graphs import BoundCandidate
from verify.candidate.program import CompiledProgram
from verify.explain.diagnosis import matching_fault
from verify.judge.acceptance import judge
from verify.pairing.prepare import NamedCandidate, prepare, settle
from verify.pairing.translated import PairedBound
from verify.truth.cases import PROBE_SIZE, probe_case, random_cases
from verify.truth.references import References

FOLDER = Path(__file__).parent / "models"
sys.path.insert(0, str(FOLDER))

from expected import QUICK, RIGHT, WRONG  # noqa: E402 - lies beside the candidates

ALL = bool(os.environ.get("ALL_CANDIDATES"))
RIGHT = {spec: output for spec, output in RIGHT.items() if ALL or spec in QUICK}
WRONG = {spec: blamed for spec, blamed in WRONG.items() if ALL or spec in QUICK}

CONFIG = GPT2Config(vocab_size=67, n_positions=40, n_embd=32, n_layer=2, n_head=4)
START = Checkpoint(name="small", config=CONFIG, weights=initial_weights(CONFIG, seed=1))
CHECKPOINT = with_regime(START, "perturbed", seed=1)

pytestmark = pytest.mark.compiles


class Shared(CompiledProgram):
    """One program for all candidates; binding one leaves the others' weights as they were."""

    def __init__(self, program, device, subjects):
        super().__init__(program, device)
        self._weights = {}
        for subject in subjects:
            self._keep(subject, subject.weights_of(CHECKPOINT.weights))

    def _keep(self, subject, weights):
        named = {f"{subject.candidate.name}{name}": array for name, array in weights.items()}
        self._weights.update(named)

    def bound(self, subject):
        weights = subject.weights_of(CHECKPOINT.weights)
        self._keep(subject, weights)
        bound = BoundCandidate(subject.candidate, self.bind(self._weights), weights)
        return PairedBound(subject, bound)


@pytest.fixture(scope="module")
def subjects(request):
    """The forced graph of every candidate that a test asks for, compiled as one program."""
    program = Program()
    found = {}
    for spec in asked_for(request.session.items):
        factory = load_factory(f"{FOLDER}/{spec}")
        subject = NamedCandidate(name=spec, factory=factory, output=RIGHT.get(spec, "logits"))
        found[spec] = prepare(subject, CHECKPOINT, "cpu", DType.float32, program)
    shared = Shared(program, open_device("cpu"), found.values())
    for paired in found.values():
        settle(paired, CHECKPOINT, run=lambda p, ids: forced_logits(shared, p, ids))
    return shared, found


def asked_for(items):
    """The candidates of the tests that run."""
    mine = [item for item in items if item.path == Path(__file__)]
    return dict.fromkeys(item.callspec.params["spec"] for item in mine)


def forced_logits(shared, paired, ids):
    """Logits of a candidate whose forced graph alone is compiled; it must have no cuts."""
    return shared.bound(paired).forced_trace(ids, {})["lm_head"]


@pytest.fixture(scope="module")
def references():
    return References(CHECKPOINT)


def cases():
    plain = random_cases(CONFIG, "perturbed", [PROBE_SIZE], seed=0, device="cpu")
    return [*plain, probe_case(CONFIG, "perturbed", seed=0, device="cpu")]


def first_failure(bound, references, case):
    """The first place that is wrong in isolation, and the fault that it computes."""
    expected = references.expectation(case, bound.program.given_taps)
    trace = bound.forced_trace(case.ids, expected.given)
    for tap, truth in expected.isolated.items():
        if tap not in trace:
            continue
        judgement = judge(trace[tap], truth, expected.isolated_envelope[tap], "float32")
        if judgement.verdict != "PASS":
            return tap, matching_fault(tap, trace[tap], expected, list(trace))
    return None


@pytest.mark.parametrize("spec", RIGHT)
def test_a_right_candidate_passes_at_every_place_that_it_shows(spec, subjects, references):
    shared, found = subjects
    bound = shared.bound(found[spec])
    assert bound.program.pairing.unheld == ()
    assert "lm_head" in bound.program.forced_taps
    assert [first_failure(bound, references, case) for case in cases()] == [None, None]


@pytest.mark.parametrize("spec", WRONG)
def test_a_fault_is_blamed_on_its_place_and_named(spec, subjects, references):
    shared, found = subjects
    bound = shared.bound(found[spec])
    failures = [first_failure(bound, references, case) for case in cases()]
    assert WRONG[spec] in failures
