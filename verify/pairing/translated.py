"""A candidate seen under the reference's names.

`PairedCandidate` translates: weights into the candidate's layout, given activations into what its
modules return, and what they computed back into the reference's places. Nothing in the candidate
changes.

An example: a candidate with `q_proj`, `k_proj` and `v_proj` in place of c_attn, and activations of
[batch x sequence, features]. For batch 2, 9 tokens and 128 features

    the reference has           way in                            the candidate has
    c_attn.weight [128, 384]    weights_of: a third, transposed   q_proj.weight [128, 128]
    c_attn  [2, 9, 384] given   substitutes: a third, two axes    q_proj returns [18, 128]

                                way back
    c_attn  [2, 9, 384]         read: thirds reshaped and joined  q_proj, k_proj, v_proj [18, 128]
    c_attn ← [2, 9, 128]        read: what one of them is given   q_proj ← [18, 128]

All three are given the same x, unless the candidate is wrong: then the one that differs is read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from impl.weights import from_hugging_face
from reference.dtypes import held_in
from reference.taps import INPUT, is_input
from verify.candidate.model_graphs import BoundCandidate, Candidate, Computing, EvaluatedCandidate
from verify.graph.form import is_floating, numpy_dtype
from verify.pairing.built import RESULT
from verify.pairing.counterpart import PARTS, Pairing, third
from verify.pairing.modules import fits
from verify.pairing.outline import BATCH
from verify.pairing.padding import with_zeros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reference.checkpoint import Checkpoint
    from reference.trace import Array, Trace
    from verify.graph.scope import Precision
    from verify.pairing.built import Tracing
    from verify.pairing.outline import Call, CandidateOutline, ReferenceOutline


class PairedCandidate:
    """A candidate compiled for verification, under the reference's names.

    Args:
        tracing: traces it.
        outline: what it consists of.
        pairing: what stands for what.
        reference: what it is compared with.
        own: values of parameters that have no counterpart.
    """

    def __init__(
        self,
        tracing: Tracing,
        outline: CandidateOutline,
        pairing: Pairing,
        reference: ReferenceOutline,
        *,
        own: Mapping[str, Array] | None = None,
    ) -> None:
        self.outline = outline
        self.pairing = pairing
        self.reference = reference
        self._own = dict(own or {})
        self._calls = {call.name: call for call in outline.calls}
        self._places = _complete(pairing, reference)
        head, last = reference.head[0], reference.places[reference.head[0]][-1]
        result = None if head in self._places or outline.gives[-1] != last else RESULT
        self.candidate = self._traced(tracing, result)
        self.given_taps = [place for place in reference.modules if place in self._places]
        self.readers = self._make_readers(result)
        self.forced_taps = [tap for tap in reference.places if tap in self.readers]

    def _traced(self, tracing: Tracing, result: str | None) -> Candidate:
        """The model's graphs, cut where a module has a counterpart."""
        cut = [call.name for call in self.outline.calls if self._is_cut(call.name)]
        return tracing.candidate(cut, result)

    def _is_cut(self, call: str) -> bool:
        return any(call in calls.values() for calls in self._places.values())

    def _make_readers(self, result: str | None) -> dict[str, list[str]]:
        """By the reference's tap: the candidate's taps that are read for it."""
        readers: dict[str, list[str]] = {self.reference.head[0]: [RESULT]} if result else {}
        for place, calls in self._places.items():
            readers[place] = list(calls.values())
            expected = self.reference.places.get(place + INPUT)
            takers = [self._calls[call] for call in calls.values()]
            if expected is not None and all(_takes(taker, expected) for taker in takers):
                readers[place + INPUT] = [call + INPUT for call in calls.values()]
        return readers

    @property
    def notes(self) -> list[str]:
        """What a user should know of how the candidate was read, in sentences."""
        return [self.outline.said] if self.outline.said else []

    def excused(self, expected: Mapping[str, str]) -> dict[str, str]:
        """Places of the reference that the candidate does not show, with the reason."""
        shown = set(self.forced_taps)
        return {
            tap: "not a separate module in the candidate: checked at the next visible tap"
            for tap, why in expected.items()
            if not why and tap not in shown
        }

    def use(self, pairing: Pairing) -> None:
        """Take another pairing of the same modules: weights, and thirds, may change places."""
        self.pairing = pairing
        self._places = _complete(pairing, self.reference)
        self.readers = self._make_readers(RESULT if RESULT in self.candidate.taps else "")

    def weights_of(self, weights: Mapping[str, Array]) -> dict[str, Array]:
        """The candidate's parameters from the reference's; tied ones share memory."""
        made: dict[str, Array] = {}
        for counterpart in self.pairing.weights.values():
            key = str(counterpart)
            if key not in made:
                made[key] = counterpart.take(weights, self.reference.n_layer)
        paired = {name: made[str(c)] for name, c in self.pairing.weights.items()}
        return self._as_declared(with_zeros(paired, self.outline.padding)) | self._own

    def _as_declared(self, weights: Mapping[str, Array]) -> dict[str, Array]:
        """Each in the dtype that its parameter declares; those that share memory go on sharing.

        MAX does not look: an array of another dtype would be read as if it were of that one.
        """
        declared = {p.name: p.dtype for p in self.outline.parameters if is_floating(p.dtype)}
        made: dict[tuple[int, str], Array] = {}
        for name, array in weights.items():
            dtype = declared.get(name, array.dtype.name)
            made.setdefault((id(array), dtype), array.astype(numpy_dtype(dtype), copy=False))
        return {
            name: made[id(array), declared.get(name, array.dtype.name)]
            for name, array in weights.items()
        }

    def bind(self, weights: Mapping[str, Array]) -> PairedBound:
        """The compiled program with weights by the candidate's names, as `weights_of` has them."""
        return PairedBound(self, self.candidate.bind(weights))

    def evaluated(
        self,
        weights: Mapping[str, Array],
        precision: Precision = "float64",
        *,
        rounding: bool = True,
    ) -> PairedBound:
        """The traced graphs with such weights, to be evaluated in NumPy; see `Candidate`."""
        return PairedBound(self, self.candidate.evaluated(weights, precision, rounding=rounding))

    def compile(self) -> None:
        """Compile it now rather than when it is first bound."""
        self.candidate.compile()

    def substitutes(self, ids: Array, given: Mapping[str, Array]) -> dict[str, Array]:
        """Given activations as the candidate's modules return them, by its own taps."""
        result = {}
        for place, calls in self._places.items():
            for part, call in calls.items():
                gives = self._calls[call].gives or ()
                result[call] = _as_own(third(given[place], part), gives, len(ids))
        return result

    def read(self, trace: Mapping[str, Array], ids: Array) -> Trace:
        """A trace under the reference's names, in its order of execution."""
        return {
            tap: self.joined(tap, [trace[own] for own in self.readers[tap]], ids)
            for tap in self.forced_taps
        }

    def joined(self, tap: str, arrays: list[Array], ids: Array) -> Array:
        """What the candidate's own taps show for one of the reference's, in its shape."""
        expected = _sized(self.reference.places[tap], ids)
        if len(arrays) > 1 and is_input(tap):  # query, key and value are given the same
            arrays = [_odd_one(arrays)]
        if len(arrays) > 1:
            expected = (*expected[:-1], expected[-1] // len(PARTS))
        arrays = [_as_theirs(array, expected) for array in arrays]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=-1)


def held_weights(
    candidate: Candidate | PairedCandidate, checkpoint: Checkpoint, dtype: str
) -> dict[str, Array]:
    """A checkpoint's weights as a candidate holds them, impl's own model or a paired one.

    Args:
        candidate: the model under test.
        checkpoint: weights under Hugging Face's names, rounded to `dtype`.
        dtype: that the candidate declares. A parameter of more bits holds the same numbers.
    """
    if isinstance(candidate, PairedCandidate):
        return candidate.weights_of(checkpoint.weights)
    return held_in(dtype, from_hugging_face(checkpoint.config, checkpoint.weights))


def without_spared(candidate: Candidate | PairedCandidate, checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint without the biases of keys that a candidate leaves out: the same model.

    Such a bias adds q b, one number, to every score of a query's row, and a softmax of scores that
    are all larger by the same is the same. Without it the candidate's stages can be compared.

    Args:
        candidate: the model under test.
        checkpoint: weights under Hugging Face's names.
    """
    spared = candidate.pairing.spared if isinstance(candidate, PairedCandidate) else ()
    if not spared:
        return checkpoint
    weights = dict(checkpoint.weights)
    for name in spared:
        weights[name] = weights[name].copy()
        third(weights[name], "key")[:] = 0
    return replace(checkpoint, weights=weights)


def _takes(call: Call, expected: tuple[int, ...]) -> bool:
    """Whether a call is given what the reference's is; not token ids in place of positions."""
    counts_itself = call.takes_all and expected[0] != BATCH
    return call.takes is not None and fits(call.takes, expected) and not counts_itself


def _complete(pairing: Pairing, reference: ReferenceOutline) -> dict[str, dict[str, str]]:
    """By place, the calls that stand for it or, together, for its thirds."""
    places: dict[str, dict[str, str]] = {}
    for call, counterpart in pairing.places.items():
        places.setdefault(counterpart.name, {})[counterpart.part] = call
    in_order = [place for place in reference.modules if place in places]
    whole = {place: {"": places[place][""]} for place in in_order if "" in places[place]}
    thirds = {
        place: {part: places[place][part] for part in PARTS}
        for place in in_order
        if places[place].keys() >= set(PARTS) and place not in whole
    }
    return {place: (whole | thirds)[place] for place in in_order if place in whole | thirds}


def _sized(shape: tuple[int, ...], ids: Array) -> tuple[int, ...]:
    """A place's shape for the batch and length of `ids`, the outline's having been `BATCH`."""
    lead = len(ids) if shape[0] == BATCH else 1  # position embeddings have one row for all
    return (lead, ids.shape[1], *shape[2:])


def _as_own(array: Array, gives: tuple[int, ...], batch: int) -> Array:
    """The reference's array in the form in which the candidate's module returns it."""
    if len(gives) == array.ndim and gives[0] == BATCH and len(array) == 1 != batch:
        return np.repeat(array, batch, axis=0)  # position embeddings, computed for every row
    if len(gives) < array.ndim:  # batch and sequence are one axis, or there is no batch
        return array.reshape(-1, *array.shape[-len(gives) + 1 :]) if len(gives) > 1 else array[0]
    return array


def _as_theirs(array: Array, expected: tuple[int, ...]) -> Array:
    """What a module of the candidate computed in the reference's shape, where that is possible."""
    if array.shape == expected:
        return array
    if array.size == np.prod(expected):
        return array.reshape(expected)
    # A row for each of the batch where the reference has one for all: equal rows are that one.
    same_rows = array.ndim == len(expected) and (array == array[:1]).all()
    return array[:1] if same_rows and array[:1].shape == expected else array


def _odd_one(arrays: list[Array]) -> Array:
    """Of what several modules are given, the one unlike the others; the first if they agree."""
    for index, array in enumerate(arrays):
        others = [other for place, other in enumerate(arrays) if place != index]
        agree = all(np.array_equal(other, others[0]) for other in others)
        if agree and not np.array_equal(array, others[0]):
            return array
    return arrays[0]


class PairedBound(BoundCandidate):
    """A paired candidate with its weights; what `BoundCandidate` tells, under other names."""

    program: Any

    def __init__(self, program: PairedCandidate, bound: BoundCandidate) -> None:
        self.program = program
        self.bound = bound

    def logits(self, ids: Array) -> Array:
        """Logits `[batch, sequence, vocab_size]` of the plain graph."""
        return self.bound.logits(ids)

    def trace(self, ids: Array) -> tuple[Array, Trace]:
        """The tapped graph's logits, and its trace."""
        logits, trace = self.bound.trace(ids)
        return logits, self.program.read(trace, ids)

    def forced_trace(self, ids: Array, given: Mapping[str, Array]) -> Trace:
        """What each stage computes on the given activations."""
        own = self.program.substitutes(ids, given)
        return self.program.read(self.bound.forced_trace(ids, own), ids)

    def moved(self, seed: int) -> PairedBound | None:
        """As `EvaluatedCandidate.moved`."""
        other = self.bound.moved(seed) if isinstance(self.bound, EvaluatedCandidate) else None
        return None if other is None else PairedBound(self.program, other)

    def computing(self, taps: Sequence[str], ids: Array, given: Mapping[str, Array]) -> Computing:
        """What computes the candidate's parts of some of the reference's taps."""
        if not isinstance(self.bound, EvaluatedCandidate):
            raise TypeError("the compiled program has no graph to evaluate")
        own = self.program.substitutes(ids, given)
        parts = [part for tap in taps for part in self.program.readers[tap]]
        computing = self.bound.computing(parts, ids, own)
        places = {call: str(c) for call, c in self.program.pairing.places.items()}
        names = {number: places.get(name, name) for number, name in computing.names.items()}
        return replace(computing, names=names)

    def parameters(self) -> dict[str, Array]:
        """Every parameter by the candidate's name, read back from the compiled program."""
        return self.bound.parameters()
