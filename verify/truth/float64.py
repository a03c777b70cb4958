"""What the mathematics of a case is compared with: float64 against float64.

A graph that is evaluated in float64 (`verify.graph`) leaves no room for the rounding of the
declared precision. What remains is float64's own, measured as every envelope is, by evaluations in
other orders. It lies ten orders of magnitude below the smallest fault: PyTorch takes no part, and
inputs are not repeated. NumPy evaluates both sides, so that what differs is the order of sums and
the form of each formula: products are summed in drawn orders (`Shuffled`), twice in each of two
forms. Where one row carries an error, a near-tie of a softmax mostly, it is drawn again
(`redraws`); and the blocks of a model are draws of the same stages, so that the envelope of a place
is the widest that any block has there, relative to the size of its results.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.oracle import Oracle
from reference.taps import with_layer
from verify.judge.acceptance import EXACT, Envelope
from verify.judge.metrics import rms
from verify.truth import envelope
from verify.truth.cases import LARGE_PARAMETERS, PROBE
from verify.truth.envelope import Sample, Stage
from verify.truth.expectation import Expectation
from verify.truth.float32 import FastExponentials, Pairwise, Reversed, Sequential
from verify.truth.probe import probe
from verify.truth.redraws import redraws

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reference.checkpoint import Checkpoint
    from reference.trace import Array, Trace
    from verify.truth.cases import Case

DTYPE = "float64"


class Shuffled(Oracle):
    """Products are summed in an order that is drawn, a fused product's too.

    Args:
        checkpoint: with float64 weights.
        seed: draws the order.
    """

    def __init__(self, checkpoint: Checkpoint, seed: int) -> None:
        super().__init__(checkpoint)
        self._seed = seed

    def matmul(self, a: Array, b: Array) -> Array:
        """The same products in another order."""
        order = np.random.default_rng([self._seed, a.shape[-1]]).permutation(a.shape[-1])
        return super().matmul(a[..., order], b[..., order, :])


class Fused(FastExponentials, Shuffled):
    """As fused kernels write it: exp2, LayerNorm in one pass, queries scaled before the scores."""

    normalise = Sequential.normalise
    attend = Reversed.attend


class BiasFirst(Oracle):
    """A sum that begins with the bias, as PyTorch's BLAS has it.

    Where products are small next to the bias, each of them is rounded to the bias' last place:
    eight times the error of a sum to which the bias comes last was seen.
    """

    def linear(self, x: Array, path: str) -> Array:
        """The bias is the product with a first feature that is 1 everywhere."""
        weight, bias = self.weights[f"{path}.weight"], self.weights[f"{path}.bias"]
        ones = np.ones((*x.shape[:-1], 1), self.dtype)
        return self.matmul(np.concatenate([ones, x], axis=-1), np.vstack([bias, weight]))


class OneChain(BiasFirst):
    """A sum as one chain over all products, as PyTorch's BLAS was seen to compute float64.

    Its error grows with the square root of K where NumPy's BLAS adds up blocks: 9.3e-16 and 6.5e-16
    of the result at K = 768, 2.1e-15 and 6.6e-16 at 4096 (PyTorch 2.13 with MKL on an AMD EPYC).
    """

    def matmul(self, a: Array, b: Array) -> Array:
        """Products with a matrix of weights one after another; those of attention as they are."""
        if b.ndim != 2:
            return super().matmul(a, b)
        rows, weight = a.reshape(-1, a.shape[-1]), np.ascontiguousarray(b)
        total = np.zeros((len(rows), weight.shape[1]), self.dtype)
        product = np.empty_like(total)
        for k, factors in enumerate(weight):
            np.multiply(rows[:, k, None], factors, out=product)
            total += product
        return total.reshape(*a.shape[:-1], weight.shape[1])


class Mathematics:
    """The oracle, and other orders of evaluation in float64, for one state of the weights.

    Args:
        checkpoint: configuration and weights, which are widened as they are.
        without: an order of evaluation that the envelope shall not know, so that it can be judged
            as a candidate is.
        further: orders of evaluation that only some of what is judged may have: PyTorch has, a
            graph that NumPy evaluates has not.
        kept: how many expectations are kept, for a caller who asks again for the same.
    """

    dtype = DTYPE

    def __init__(
        self,
        checkpoint: Checkpoint,
        without: type[Oracle] | None = None,
        further: Sequence[type[Oracle]] = (),
        kept: int = 0,
    ) -> None:
        self._kept = kept
        self.checkpoint = checkpoint
        wide = _widened(checkpoint)  # once, for the oracle and every other order
        self.oracle = Oracle(wide)
        self._known: dict[tuple[Any, ...], Expectation] = {}
        # In float64 `Blocked` is the oracle itself, which would add nothing.
        large = checkpoint.config.parameter_count > LARGE_PARAMETERS
        orders: list[Oracle] = [
            form(wide, seed)
            # Wide products are many draws at once.
            for seed in range(1 if large else 2)
            for form in (Shuffled, Fused)
        ]
        if not large:
            orders.append(Pairwise(wide, np.float64))
        orders += [order(wide) for order in further]
        self._orders = [order for order in orders if type(order) is not without]

    def expectation(
        self, case: Case, given_taps: Sequence[str], *, free: bool = True
    ) -> Expectation:
        """Compute everything that the case is compared with.

        Args:
            case: the input.
            given_taps: where the candidate's stages are cut, that is, its modules' outputs.
            free: whether the case is run free too; a probe never is.
        """
        key = case.name, case.seed, case.ids.tobytes(), tuple(given_taps), free
        if key in self._known:
            return self._known[key]
        found = self._expectation(case, given_taps, free=free)
        if self._kept:
            self._known[key] = found
            while len(self._known) > self._kept:
                del self._known[next(iter(self._known))]
        return found

    def _expectation(self, case: Case, given_taps: Sequence[str], *, free: bool) -> Expectation:
        truth = self.oracle.trace(case.ids)
        given = {tap: truth[tap] for tap in given_taps}
        if case.label == PROBE:
            given = probe(given, self.checkpoint.config)
        sample = Sample(1, case.ids, given)
        isolated = self.oracle.trace(case.ids, given)
        evaluations = [order.trace(case.ids, given) for order in self._orders]
        further = redraws(
            sample, isolated, evaluations, self.oracle, self._orders, case.seed, DTYPE
        )
        stages = envelope.isolated(sample, isolated, evaluations, further)
        expectation = Expectation(
            case=case,
            oracle=self.oracle,
            dtype=DTYPE,
            given=given,
            isolated=isolated,
            torch_isolated={},
            torch_free={},
            isolated_envelope=pooled(
                {tap: stage.envelope for tap, stage in stages.items()}, isolated
            ),
        )
        if case.label == PROBE or not free:
            return expectation
        return replace(
            expectation, free=truth, free_envelope=self._free(sample, truth, stages, case.seed)
        )

    def _free(
        self, sample: Sample, truth: Trace, stages: Mapping[str, Stage], seed: int
    ) -> dict[str, Envelope]:
        """How far whole runs stray, by what their stages add up to and by what they really did."""
        runs = [order.trace(sample.ids) for order in self._orders]
        return pooled(envelope.free(self.oracle, sample, truth, stages, seed, runs), truth)

    def expected_taps(self, ids: Array) -> dict[str, str]:
        """Every tap that the oracle has; none is excused."""
        return dict.fromkeys(self.oracle.trace(ids), "")


def _widened(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with float64 weights."""
    weights = {name: array.astype(np.float64) for name, array in checkpoint.weights.items()}
    return replace(checkpoint, weights=weights)


def pooled(envelopes: Mapping[str, Envelope], truth: Mapping[str, Array]) -> dict[str, Envelope]:
    """Envelopes that blocks share: the widest of a place, relative to the size of its results.

    A place whose evaluations are exact everywhere stays exact.

    Args:
        envelopes: by tap.
        truth: the results there.
    """
    sizes = {tap: rms(truth[tap].astype(float)) for tap in envelopes}
    relative: dict[str, list[Envelope]] = {}
    for tap, one in envelopes.items():
        if sizes[tap]:
            scaled = Envelope(one.rms / sizes[tap], one.max / sizes[tap])
            relative.setdefault(_pattern(tap), []).append(scaled)
    widest = {pattern: envelope.widest(found) for pattern, found in relative.items()}
    return {
        tap: Envelope(found.rms * sizes[tap], found.max * sizes[tap])
        if (found := widest.get(_pattern(tap), EXACT)).rms
        else EXACT
        for tap in envelopes
    }


def _pattern(tap: str) -> str:
    """The place in any block."""
    return with_layer(tap, "*")
