"""Faults: wrong variants of one stage, each standing for a bug that was really shipped.

A fault is the float64 oracle with one method replaced in one place. Planted, it shows what the rule
can notice; laid beside a failing candidate, it explains what the candidate computes instead
(`verify.diagnosis`). `verify.catalogue` lists them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from reference.dtypes import DTYPES, is_floating
from reference.oracle import Oracle
from reference.trace import INPUT, Recorder
from verify.metrics import rms, ulp_at
from verify.rule import Judgement, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import numpy.typing as npt

    from reference.trace import Array, Trace
    from verify.rule import Envelope

MARGIN = 2.0
"""Error over allowed that a fault has to reach; less means the rule only just notices it."""

LEAST_ULP = 0.01
"""A fault whose result is nowhere farther off than this, in units in the last place, is none here:
the float64 computations themselves stay a million times below it."""

Where = Literal["first", "middle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A wrong variant of one stage.

    Attributes:
        id: its name in tables.
        tap: the place that must be blamed; `{layer}` stands for the block's number.
        method: the method of the oracle that is replaced.
        replace: called as `replace(model, original, *arguments)` in place of the method.
        within: path inside which the method is replaced; `{layer}` as above, "" for everywhere.
        expected: what GPT-2 computes, as a formula or in words.
        found: what the fault computes instead.
        seen_in: where this really happened, or `synthetic`.
        where: the block to plant it in.
        least_length, least_tokens, least_batch: inputs below these cannot show it.
        full_length: only an input of n_positions tokens can show it.
        dtypes: the declared precisions in which it is a fault; in others it is a legitimate way.
    """

    id: str
    tap: str
    method: str
    replace: Callable[..., Any]
    within: str
    expected: str
    found: str
    seen_in: str
    where: Where = "middle"
    least_length: int = 1
    least_tokens: int = 1
    least_batch: int = 1
    full_length: bool = False
    dtypes: tuple[str, ...] = tuple(DTYPES)

    def layer(self, n_layer: int) -> int:
        """The block in which it is planted."""
        return 0 if self.where == "first" else n_layer // 2

    def blamed(self, layer: int) -> str:
        """The tap that must be blamed, for a block's number."""
        return self.tap.format(layer=layer)

    def fits(self, ids: Array, n_positions: int) -> bool:
        """Whether an input of this shape can show it at all."""
        batch, length = ids.shape
        return (
            length >= self.least_length
            and ids.size >= self.least_tokens
            and batch >= self.least_batch
            and (length == n_positions or not self.full_length)
        )


class Planted(Oracle):
    """The oracle with one fault in one block; it shares the weights of the one it is made from.

    Args:
        oracle: the float64 model.
        fault: what to plant.
        layer: in which block; None for every one, which `trace` alone can show.
    """

    _PARTS = (
        "transformer", "block", "attention", "attend", "mlp",
        "activation", "head", "linear", "layer_norm", "embedding",
    )  # fmt: skip

    def __init__(self, oracle: Oracle, fault: Fault, layer: int | None) -> None:
        vars(self).update(vars(oracle))
        self._path = ""
        self._given_blocks: Mapping[str, Array] = {}
        for name in self._PARTS:
            setattr(self, name, self._entering(getattr(self, name)))
        self._replace(fault, fault.within.format(layer="*" if layer is None else layer))

    def stage(
        self, tap: str, ids: Array, truth: Mapping[str, Array], given: Mapping[str, Array]
    ) -> Trace:
        """The forced trace of the smallest part of the model that holds `tap`.

        A block is computed alone, on the truth's own input; what lies outside blocks is computed
        with every block's result given and its inside left out.
        """
        block = _block_of(tap)
        inside = {name: array for name, array in given.items() if _block_of(name) == block}
        self.tap = recorder = Recorder(inside)
        if block:
            self.call(block, self.block, truth[block + INPUT])
        else:
            self._given_blocks = {name: given[name] for name in given if _is_block(name)}
            self.language_model(ids)
        return {name: array for name, array in recorder.trace.items() if _block_of(name) == block}

    def seen(
        self,
        tap: str,
        ids: Array,
        truth: Mapping[str, Array],
        given: Mapping[str, Array],
        visible: Collection[str],
    ) -> Trace:
        """The same at the places that a candidate shows, from a larger part where it must be.

        Args:
            tap: where the fault is planted.
            ids: as `stage` takes them.
            truth: as `stage` takes it.
            given: as `stage` takes it.
            visible: the candidate's places.
        """
        trace = self.stage(tap, ids, truth, given)
        behind = list(trace)[list(trace).index(tap) :]
        if not any(place in visible for place in behind):
            trace = self.whole(ids, given)
        return {place: array for place, array in trace.items() if place in visible}

    def whole(self, ids: Array, given: Mapping[str, Array]) -> Trace:
        """The forced trace of the whole model; a fault may leave out modules that are given."""
        self.tap = recorder = Recorder(given)
        self.language_model(ids)
        return recorder.trace

    def block(self, x: Array, path: str) -> Array:
        """A block, or its given result where only what lies outside blocks is wanted."""
        if path in self._given_blocks:
            return self._given_blocks[path].astype(self.dtype)
        return super().block(x, path)

    def _entering(self, part: Callable[[Array, str], Array]) -> Callable[[Array, str], Array]:
        """The part, remembering its path for methods that are not told it."""

        def entered(x: Array, path: str) -> Array:
            before, self._path = self._path, path
            try:
                return part(x, path)
            finally:
                self._path = before

        return entered

    def _replace(self, fault: Fault, within: str) -> None:
        original = getattr(self, fault.method)

        def method(*arguments: Any) -> Any:
            path = arguments[-1] if isinstance(arguments[-1], str) else self._path
            if not within or fnmatchcase(path, within):
                return fault.replace(self, original, *arguments)
            return original(*arguments)

        setattr(self, fault.method, method)


def _is_block(tap: str) -> bool:
    return _block_of(tap) == tap


def _block_of(tap: str) -> str:
    """`transformer.h.3` of `transformer.h.3.mlp.act`; "" outside blocks."""
    parts = tap.removesuffix(INPUT).split(".")
    inside = len(parts) > 2 and parts[1] == "h" and not (len(parts) == 3 and tap.endswith(INPUT))
    return ".".join(parts[:3]) if inside else ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the rule made of one fault on one input.

    Attributes:
        fault: its id.
        expected: the tap that must be blamed.
        blamed: the first tap that failed; None where none did.
        margin: error over allowed at the expected tap.
        applicable: False where the fault changes nothing that the dtype can hold.
        by: what told it, the rule's `bounds` or a matched `filter`.
    """

    fault: str
    expected: str
    blamed: str | None
    margin: float
    applicable: bool
    by: str = "bounds"

    @property
    def caught(self) -> bool:
        """Whether anything failed."""
        return self.blamed is not None

    @property
    def told(self) -> bool:
        """Whether it was caught, blamed on the right place, and by a safe margin."""
        return self.blamed == self.expected and self.margin >= MARGIN


def sight(
    fault: Fault,
    layer: int,
    trace: Mapping[str, Array],
    truth: Mapping[str, Array],
    envelopes: Mapping[str, Envelope],
    dtype: npt.DTypeLike,
) -> Sighting:
    """Judge a faulty stage's trace as a candidate's, rounded to the candidate's dtype.

    Args:
        fault: what was planted.
        layer: in which block.
        trace: what it computed, tap by tap in the order of execution; where its own place is not
            among them, it must be blamed on the first place that it reaches.
        truth: the forced trace of the float64 oracle.
        envelopes: of each stage in isolation.
        dtype: the candidate's.
    """
    expected = fault.blamed(layer)
    judgements: dict[str, Judgement] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for tap, found in trace.items():
            kind = dtype if is_floating(found) else found.dtype
            judgements[tap] = judge(found.astype(kind), truth[tap], envelopes[tap], dtype)
        if expected not in trace:
            reached = (tap for tap, found in trace.items() if _differs(found, truth[tap], dtype))
            expected = next(reached, list(trace)[-1])
        applicable = _differs(trace[expected], truth[expected], dtype)
    failed = [tap for tap, judgement in judgements.items() if judgement.verdict == "FAIL"]
    return Sighting(
        fault=fault.id,
        expected=expected,
        blamed=failed[0] if failed else None,
        margin=_margin(judgements[expected]),
        applicable=applicable,
    )


def _differs(found: Array, truth: Array, dtype: npt.DTypeLike) -> bool:
    """Whether a float64 result differs by anything that the dtype could ever show."""
    if found.shape != truth.shape:
        return True
    least = LEAST_ULP * ulp_at(rms(truth.astype(float)), dtype)
    return not bool((np.abs(found - truth) <= least).all())


def _margin(judgement: Judgement) -> float:
    """Error over allowed; a result that is not finite, or of another shape, is infinitely far."""
    if judgement.verdict == "FAIL" and (judgement.used is None or np.isnan(judgement.used)):
        return float("inf")
    return judgement.used or 0.0
