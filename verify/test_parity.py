"""The verification as pytest tests: one id for each place of the model.

An editor or a CI shows which layer broke: `verify/test_parity.py::test_place[h.3.mlp.act]`.
"""

import numpy as np
import pytest

from reference.load import load
from reference.oracle import Oracle
from reference.taps import short_name
from verify.outcome import Outcome

pytestmark = pytest.mark.compiles

TAPS = list(Oracle(load("tiny")).trace(np.zeros((1, 1), np.int64)))
MODES = ("parameters", "oracle", "plain", "observer", "logits", "perplexity", "greedy")


@pytest.mark.parametrize(
    "tap", TAPS, ids=[short_name(tap).replace(" <-", "-input") for tap in TAPS]
)
def test_place(outcome: Outcome, tap: str) -> None:
    """In isolation and running free, in every case, this place stays within the allowed error."""
    checks = [c for c in outcome.checks if c.tap == tap and c.mode in ("isolated", "free")]
    assert checks, f"{tap} was not compared"
    failed = [f"{c.case}, {c.mode}: {c.message}" for c in checks if c.verdict != "PASS"]
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("mode", MODES)
def test_whole(outcome: Outcome, mode: str) -> None:
    """What is said of the whole model holds in every case."""
    checks = [c for c in outcome.checks if c.mode == mode]
    assert checks, f"no check of {mode}"
    failed = [f"{c.case}: {c.message}" for c in checks if c.verdict != "PASS"]
    assert not failed, "\n".join(failed)


def test_coverage_is_complete(outcome: Outcome) -> None:
    """Every place of the reference is compared, or excused by name with a reason."""
    compared = {check.tap for check in outcome.checks if check.mode == "isolated"}
    open_taps = [
        tap for tap, reason in outcome.expected.items() if not reason and tap not in compared
    ]
    assert not open_taps
    assert not outcome.unknown


def test_verdict(outcome: Outcome) -> None:
    """The run as a whole passes, and names no divergence."""
    assert outcome.verdict == "PASS"
    assert outcome.first_divergence is None
