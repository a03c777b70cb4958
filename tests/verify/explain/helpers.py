"""Failing stages made in NumPy: the oracle with faults in it, in float64."""

import numpy as np

from verify.explain.diagnosis import failure_at, findings
from verify.faults.planted import Planted
from verify.judge.acceptance import judge


def failures(expectations, faults, visible=None):
    """What fails where faults are planted.

    Args:
        expectations: of the cases.
        faults: each with its block.
        visible: the places that are shown; None for all.
    """
    found = []
    for expected in expectations:
        shown = list(expected.isolated) if visible is None else visible
        for fault, layer in faults:
            with np.errstate(all="ignore"):
                trace = Planted(expected.oracle, fault, layer).seen(
                    fault.blamed(layer), expected.case.ids, expected.isolated, expected.given, shown
                )
            found += [
                failure_at(tap, array, expected, shown)
                for tap, array in trace.items()
                if fails(tap, array, expected)
            ]
    return found


def fails(tap, array, expected):
    """Whether a place fails."""
    truth, envelope = expected.isolated[tap], expected.isolated_envelope[tap]
    return judge(array, truth, envelope, expected.dtype).verdict == "FAIL"


def explained(expectations, faults, visible=None):
    """The one finding that accounts for all that fails."""
    failed = failures(expectations, faults, visible)
    assert failed
    (finding,) = findings(failed)
    assert finding.stages == finding.of == len(failed)
    return finding


def changed(expected, tap, array):
    """A place that computes an array of one's own."""
    return failure_at(tap, np.ascontiguousarray(array), expected, list(expected.isolated))
