"""How far a compiled result is from what its graph means.

Right is the graph in float64, on the very arrays that the compiled program was run on. What is
allowed is measured, as everywhere: the same graph, evaluated in the dtypes that it declares, on
these arrays and on some whose last bits are drawn anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from verify.graph.errors import GraphError
from verify.graph.evaluate import evaluate
from verify.graph.form import is_floating
from verify.judge.acceptance import EXACT, RMS_FACTOR, Envelope, judge
from verify.judge.metrics import rms, ulp_at
from verify.truth.envelope import moved, widest

if TYPE_CHECKING:
    from reference.trace import Array
    from verify.reduce.specimen import Specimen

DRAWS = 4
"""Evaluations in the declared dtypes. Each draws all roundings anew, and what is looked for lies
far beyond the worst of them."""


@dataclass(frozen=True, slots=True)
class Standard:
    """What a compiled result is compared with.

    Attributes:
        right: in float64, or whole numbers that must be equal.
        envelope: the worst error of evaluations in the declared dtypes.
        dtype: what the graph declares of its output.
    """

    right: Array
    envelope: Envelope
    dtype: str

    @property
    def allowed(self) -> float:
        """The largest rms error that the rule allows, as a share of the rms of what is right."""
        size = rms(_finite(self.right))
        if not is_floating(self.dtype) or not size:
            return 0.0
        return (RMS_FACTOR * self.envelope.rms + ulp_at(size, self.dtype) / 2) / size


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far a result is from what is right.

    Attributes:
        used: error over allowed; above 1 is wrong, NaN and infinity are as wrong as can be.
        error: the rms of the error, as a share of the rms of what is right.
    """

    used: float
    error: float


def standard(specimen: Specimen) -> Standard:
    """What the compiled graph of a specimen is compared with.

    Raises:
        GraphError: if it cannot be evaluated, or means NaN.
    """
    dtype = specimen.output.dtype
    right = specimen.right()
    if not is_floating(dtype):
        return Standard(right, EXACT, dtype)
    if np.isnan(right).any():
        raise GraphError("the graph means NaN here")
    errors = [_error(_draw(specimen, seed)) for seed in range(DRAWS)]
    return Standard(right, widest(errors), dtype)


def _draw(specimen: Specimen, seed: int) -> tuple[Array, Array]:
    """What the graph gives in its own dtypes, and in float64, on moved arrays."""
    rng = np.random.default_rng(seed)
    arrays = tuple(
        moved(one, rng) if seed and is_floating(one.dtype.name) else one for one in specimen.arrays
    )
    own = evaluate(specimen.graph, arrays, specimen.weights, "declared").outputs[0]
    return own, evaluate(specimen.graph, arrays, specimen.weights).outputs[0]


def _error(pair: tuple[Array, Array]) -> Envelope:
    own, right = _comparable(*pair)
    error = np.abs(own - right)
    return Envelope(rms(error), float(error.max(initial=0.0)))


def deviation(found: Array, expected: Standard) -> Deviation:
    """Compare a compiled result with what its graph means.

    Args:
        found: the result.
        expected: of the same specimen.
    """
    if not is_floating(expected.dtype):
        wrong = found.shape != expected.right.shape or bool((found != expected.right).any())
        return Deviation(float("inf") if wrong else 0.0, float(wrong))
    own, right = _comparable(found, expected.right)
    judged = judge(own.astype(found.dtype), right, expected.envelope, expected.dtype)
    if judged.errors is None:
        return Deviation(float("inf"), float("inf"))
    used = float("inf") if judged.used is None or np.isnan(judged.used) else judged.used
    size = rms(right)
    return Deviation(used, rms(own - right) / size if size else rms(own - right))


def _comparable(found: Array, right: Array) -> tuple[Array, Array]:
    """Both in float64, zero where both are the same infinity."""
    found, right = found.astype(np.float64), right.astype(np.float64)
    if found.shape != right.shape:
        return found, right
    same = np.isinf(right) & (found == right)
    return np.where(same, 0.0, found), np.where(same, 0.0, right)


def _finite(array: Array) -> Array:
    return np.where(np.isinf(array), 0.0, array) if array.dtype.kind == "f" else array
