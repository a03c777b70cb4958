"""The oracle with one fault in it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from reference.oracle import Oracle, without
from reference.taps import INPUT, block_of
from reference.trace import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from reference.trace import Array, Trace
    from verify.faults.base import Fault


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
        self,
        tap: str,
        ids: Array,
        truth: Mapping[str, Array],
        given: Mapping[str, Array],
        wanted: Collection[str] | None = None,
    ) -> Trace:
        """The forced trace of the smallest part of the model that holds `tap`.

        A block is computed alone, on the truth's own input; what is outside blocks is computed
        with every block's result given and its inside left out.

        Args:
            tap: where the fault is planted.
            ids: token ids.
            truth: a trace without the fault.
            given: what stages are fed with.
            wanted: the places that are asked for, None for all: what is given in a block, and
                holds none of them, is not computed.
        """
        block = computed_in(tap)
        inside = {name: array for name, array in given.items() if computed_in(name) == block}
        left_out = without(inside, wanted) if block and wanted is not None else {}
        self._left_out = left_out
        self.tap = recorder = Recorder({t: a for t, a in inside.items() if t not in left_out})
        if block:
            self.call(block, self.block, truth[block + INPUT])
        else:
            self._given_blocks = {name: given[name] for name in given if _is_block(name)}
            self.language_model(ids)
        return {name: array for name, array in recorder.trace.items() if computed_in(name) == block}

    def seen(
        self,
        tap: str,
        ids: Array,
        truth: Mapping[str, Array],
        given: Mapping[str, Array],
        visible: Collection[str],
        wanted: Collection[str] | None = None,
    ) -> Trace:
        """The same at the places that a candidate shows, from a larger part where it must be.

        Args:
            tap: where the fault is planted.
            ids: as `stage` takes them.
            truth: as `stage` takes it.
            given: as `stage` takes it.
            visible: the candidate's places.
            wanted: as `stage` takes it.
        """
        trace = self.stage(tap, ids, truth, given, wanted)
        if tap not in trace:  # cut off from what is wanted
            return {}
        after = list(trace)[list(trace).index(tap) :]
        if not any(place in visible for place in after):
            trace = self.whole(ids, given)
        return {place: array for place, array in trace.items() if place in visible}

    def whole(self, ids: Array, given: Mapping[str, Array]) -> Trace:
        """The forced trace of the whole model; a fault may leave out modules that are given."""
        self._left_out = {}
        self.tap = recorder = Recorder(given)
        self.language_model(ids)
        return recorder.trace

    def block(self, x: Array, path: str) -> Array:
        """A block, or its given result where only what is outside blocks is wanted."""
        if path in self._given_blocks:
            return self._given_blocks[path].astype(self.dtype)
        return super().block(x, path)

    def _entering(self, part: Callable[[Array, str], Array]) -> Callable[[Array, str], Array]:
        """The part, remembering its path for methods that do not take it."""

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
    return block_of(tap) == tap


def computed_in(tap: str) -> str:
    """The block that computes a tap; "" for what a block is given, which is computed before it."""
    block = block_of(tap)
    return "" if tap == f"{block}{INPUT}" else block
