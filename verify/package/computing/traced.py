"""A package's graph as the rest of the harness sees a traced model.

The graph was read once, with what every module takes and returns as further outputs
(`verify.package.opening.module_calls`). The three graphs that a candidate has are edits of it:

- `plain`: token ids to logits
- `tapped`: the same with every stage's values
- `forced`: what a module returns is shown, and then replaced by a further input, so that each stage
  is computed alone

All take what the package's own batch processor and cache give the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from reference.taps import INPUT
from verify.candidate.model_graphs import EvaluatedCandidate
from verify.graph.form import Block, Graph, Operation, Value, numpy_dtype
from verify.graph.schedule import cut
from verify.pairing.built import RESULT
from verify.pairing.outline import BATCH, LENGTH, Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from reference.trace import Array, Trace
    from verify.candidate.model_graphs import Candidate
    from verify.graph.form import Size
    from verify.graph.scope import Precision
    from verify.package.opening.driven import Requests
    from verify.package.opening.evaluated_engine import EvaluatedModel
    from verify.package.opening.module_calls import Stage

TOKENS = BATCH * LENGTH
"""Tokens of the outline's ids."""


@dataclass(frozen=True, slots=True)
class Tap:
    """A place in the package's graph.

    Attributes:
        name: the call of a module, ended by `INPUT` for what it takes.
        number: of the value there.
    """

    name: str
    number: int


class PackageProgram:
    """The graph of an opened package, in place of `verify.candidate.staging.Candidate`.

    Args:
        requests: of the opened package; none may be live.
        cut: tells for a call whether the forced graph replaces what it returns.
    """

    name = ""

    def __init__(self, requests: Requests, cut: Callable[[str], bool]) -> None:
        self.requests = requests
        self.model: EvaluatedModel = requests.model
        self._logits = logits_output(requests)
        self.every_token = is_token_wise(self.model, self._logits)
        self.calls = token_wise(self.model)
        self._taps = list(self._places())
        self._cut = [stage for stage in self.calls if cut(stage.path)]

    def _places(self) -> Iterator[Tap]:
        outputs = self.model.graph.outputs
        for stage in self.calls:
            if stage.takes is not None:
                yield Tap(stage.path + INPUT, outputs[stage.takes])
            if stage.gives is not None:
                yield Tap(stage.path, outputs[stage.gives])
        if self.every_token:
            yield Tap(RESULT, outputs[self._logits])

    @property
    def places(self) -> Mapping[str, int]:
        """By its name, the number of the value at each place."""
        return {tap.name: tap.number for tap in self._taps}

    @property
    def taps(self) -> list[str]:
        """Every place that the tapped graph shows."""
        return [tap.name for tap in self._taps]

    @property
    def forced_taps(self) -> list[str]:
        """Every place that the forced graph shows."""
        return self.taps

    @property
    def given_taps(self) -> list[str]:
        """The calls whose results the forced graph takes."""
        return [stage.path for stage in self._cut]

    def dtype_at(self, call: str) -> str:
        """What a call's result is declared as."""
        stage = next(one for one in self._cut if one.path == call)
        assert stage.gives is not None
        return self.model.graph.values()[self.model.graph.outputs[stage.gives]].dtype

    @property
    def input_names(self) -> list[str]:
        """What each graph takes, before any activations."""
        return [f"input {index}" for index in range(len(self.model.graph.inputs))]

    @cached_property
    def graphs(self) -> Mapping[str, Graph]:
        """The three graphs by name."""
        read = self.model.graph
        logits = read.outputs[self._logits]
        plain = cut(read, [logits])
        tapped = cut(read, [logits, *(tap.number for tap in self._taps)])
        return {"plain": plain, "tapped": tapped, "forced": self._forced}

    @property
    def placed(self) -> Graph:
        """The forced graph, whose operations know the lines that made them."""
        return self._forced

    @cached_property
    def _forced(self) -> Graph:
        """The graph with a further input for each stage that is cut.

        Where an outer module returns what an inner one did, the inner is cut first: the outer then
        returns what has been put in the inner's place, and is cut in turn.
        """
        read = self.model.graph
        free = max(read.values()) + 1
        shown: dict[str, int] = {tap.name: tap.number for tap in self._taps}
        now: dict[int, int] = {}
        more: list[Value] = []
        values = read.values()
        for index, stage in enumerate(self._cut):
            assert stage.gives is not None
            number = read.outputs[stage.gives]
            shown[stage.path] = now.get(number, number)
            shape = _without_expressions(values[number], index)
            more.append(replace(values[number], number=free + index, shape=shape))
            now[number] = free + index
        for stage in self.calls:
            if stage.takes is not None:
                number = read.outputs[stage.takes]
                shown[stage.path + INPUT] = now.get(number, number)
            if stage not in self._cut and stage.gives is not None:
                number = read.outputs[stage.gives]
                shown[stage.path] = now.get(number, number)
        if self.every_token:
            logits = read.outputs[self._logits]
            shown[RESULT] = now.get(logits, logits)
        block = Block(
            inputs=(*read.block.inputs, *more),
            operations=tuple(_renamed(each, now) for each in read.operations),
            outputs=tuple(shown[tap.name] for tap in self._taps),
        )
        whole = replace(read, block=block)
        return cut(whole, list(block.outputs))

    def inputs(self, ids: Array) -> list[Array]:
        """What the graph is given for the prefill of token ids `[batch, sequence]`."""
        return list(_inputs(self.requests, ids.tobytes(), ids.shape))

    def evaluated(
        self, weights: Mapping[str, Array], precision: Precision = "float64", *,
        rounding: bool = True,
    ) -> EvaluatedPackage:  # fmt: skip
        """The graphs with these weights, to be evaluated in NumPy."""
        return EvaluatedPackage(cast("Candidate", self), weights, precision, rounding=rounding)


class EvaluatedPackage(EvaluatedCandidate):
    """A package's graphs, evaluated on token ids `[batch, sequence]` that are prefilled at once."""

    program: Any

    def logits(self, ids: Array) -> Array:
        """Logits `[batch, sequence, vocab_size]`; of each prefix where the last token alone has."""
        if self.program.every_token:
            return super().logits(ids).reshape(*ids.shape, -1)
        prefixes = (ids[:, : end + 1] for end in range(ids.shape[1]))
        return np.stack([super(EvaluatedPackage, self).logits(one) for one in prefixes], axis=1)

    def trace(self, ids: Array) -> tuple[Array, Trace]:
        """The tapped graph's logits, and its trace."""
        logits, trace = super().trace(ids)
        return logits.reshape(len(ids), -1, logits.shape[-1]), trace

    def _as_taken(self, tap: str, array: Array) -> Array:
        if self._precision == "float64":
            return array
        return array.astype(numpy_dtype(self.program.dtype_at(tap)), copy=False)


@lru_cache(maxsize=16)
def _inputs(requests: Requests, ids: bytes, shape: tuple[int, int]) -> tuple[Array, ...]:
    return requests.prepared(np.frombuffer(ids, np.int64).reshape(shape))


def logits_output(requests: Requests) -> int:
    """Which of the graph's outputs the package returns as the logits of every token."""
    one = requests.begin(np.zeros(3, np.int64))
    passed = requests.run([(one, 3)])
    requests.end(one)
    own = passed.outputs[: requests.model.stages.returned]
    return next(
        index for index, array in enumerate(own)
        if isinstance(array, np.ndarray) and np.array_equal(array, passed.logits[0])
    )  # fmt: skip


def is_token_wise(model: EvaluatedModel, position: int) -> bool:
    """Whether one of the graph's outputs has a row for each token of the batch."""
    shape = model.graph.values()[model.graph.outputs[position]].shape
    return bool(shape) and shape[0] == _tokens(model)  # type: ignore[index]


def _tokens(model: EvaluatedModel) -> Size:
    """How many tokens the graph takes: the size of its token ids."""
    return next(
        value.shape[0] for value in model.graph.inputs
        if value.sort == "tensor" and value.dtype == "int64" and value.shape
    )  # fmt: skip


def token_wise(model: EvaluatedModel) -> list[Stage]:
    """The calls of modules that return a row for each token of the batch."""

    def of_tokens(position: int | None) -> bool:
        return position is not None and is_token_wise(model, position)

    calls = [stage for stage in model.stages.calls if stage.path and of_tokens(stage.gives)]
    return [stage if of_tokens(stage.takes) else replace(stage, takes=None) for stage in calls]


def outlined(program: PackageProgram | EvaluatedModel) -> list[Call]:
    """The calls as pairing needs them, with shapes for `TOKENS` tokens."""
    model = program.model if isinstance(program, PackageProgram) else program
    values = model.graph.values()

    def shape(position: int | None) -> tuple[int, ...] | None:
        if position is None:
            return None
        sizes = values[model.graph.outputs[position]].shape or ()
        return (TOKENS, *(size if isinstance(size, int) else 0 for size in sizes[1:]))

    return [
        Call(name=stage.path, takes=shape(stage.takes), gives=shape(stage.gives))
        for stage in token_wise(model)
    ]


def _without_expressions(value: Value, index: int) -> tuple[Any, ...]:
    """The shape with a symbol for each computed size: no graph takes an expression as an input."""
    return tuple(
        size if isinstance(size, int | str) else f"given{index}_{axis}"
        for axis, size in enumerate(value.shape or ())
    )


def _renamed(operation: Operation, now: Mapping[int, int]) -> Operation:
    """The operation with other values in place of some that it takes."""
    operands = tuple(now.get(number, number) for number in operation.operands)
    blocks = tuple(
        replace(
            block,
            operations=tuple(_renamed(each, now) for each in block.operations),
            outputs=tuple(now.get(number, number) for number in block.outputs),
        )
        for block in operation.blocks
    )
    if operands == operation.operands and not blocks:
        return operation
    return replace(operation, operands=operands, blocks=blocks)
