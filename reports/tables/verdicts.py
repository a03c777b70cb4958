"""Which verdict is graver, and which check of several is the worst."""

from __future__ import annotations

import math
from typing import Any

from reports.tables.numbers import figure

SEVERITY = {"PASS": 0, "SKIP": 1, "UNDERPOWERED": 2, "ERROR": 3, "FAIL": 4}
"""Larger is graver."""

UNKNOWN = 3
"""Severity of a verdict that has no name here."""


def severity(verdict: Any) -> int:
    """How grave a verdict is."""
    return SEVERITY.get(str(verdict), UNKNOWN)


def gravity(verdict: Any, used: Any) -> tuple[int, float]:
    """A key to sort checks by: the verdict, then the share of the allowed error.

    A measured NaN is worse than any number. Where nothing could be measured, a check that fails is
    worse than one with a figure (its shape is wrong), and one that passes is better.

    Args:
        verdict: of the check.
        used: its share of the allowed error, as a record holds it.
    """
    share, grave = figure(used), severity(verdict)
    if share is None:
        return grave, math.inf if grave >= SEVERITY["ERROR"] else -1.0
    return grave, math.inf if math.isnan(share) else share
