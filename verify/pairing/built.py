"""A candidate built in this process: what it consists of, and its graphs.

`verify.pairing.candidate_apart` does the same in a process of the candidate's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from max import nn
from max.experimental.nn import Linear, Module
from max.experimental.tensor import Tensor
from max.graph import DeviceRef, Weight

from impl.model import GPT2LMHead
from impl.runtime import build
from reference.taps import is_input, module_of
from verify.candidate.calls import modules_of
from verify.candidate.graph_api import GraphModel
from verify.candidate.guard import CandidateError, a, compiling, guarded
from verify.candidate.model_graphs import Candidate
from verify.candidate.result import Taking
from verify.candidate.signature import check_signature
from verify.candidate.staging import Staging
from verify.pairing.outline import BATCH, LENGTH, Call, CandidateOutline, Parameter, numbers
from verify.pairing.padding import GraphWithoutPadding, WithoutPadding, asked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from max.driver import Device
    from max.dtype import DType
    from max.graph import Module as Program
    from max.graph import TensorType, TensorValue

    from reference.trace import Array
    from verify.candidate.staging import Staged
    from verify.graph.adapter import Noted

RESULT = "(result)"
"""Names what the model itself returns."""


class Tracing(Protocol):
    """What traces a candidate, here or in another process."""

    def candidate(self, cut: Collection[str], result: str | None) -> Candidate:
        """Its graphs, as `Staging.staged` makes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How a candidate is built.

    Attributes:
        name: what it is called in messages.
        config: what its factory is called with.
        dtype: of its parameters, by name.
        output: `logits`, or `hidden` for a model that returns what its last LayerNorm returns.
        padded_vocab: whether it has rows and columns beyond the vocabulary.
    """

    name: str
    config: Any
    dtype: DType
    output: str = "logits"
    padded_vocab: bool = False


class WithHead(Module[[Tensor], Tensor]):
    """A model that returns hidden states, followed by GPT-2's head: the harness's own."""

    def __init__(self, model: Any, vocab_size: int, n_embd: int, dtype: DType) -> None:
        self.model = model
        self.taking = Taking("hidden", n_embd)
        self.lm_head = GPT2LMHead(Tensor.zeros([vocab_size, n_embd], dtype=dtype))

    def forward(self, input_ids: Tensor) -> Tensor:
        """Token ids to logits."""
        return self.lm_head(self.taking(self.model(input_ids)))


class GraphWithHead:
    """The same for a model of the graph API."""

    def __init__(
        self, model: Any, vocab_size: int, n_embd: int, dtype: DType, device: Device
    ) -> None:
        self.model = model
        self._taking = Taking("hidden", n_embd)
        self.lm_head = _GraphHead(vocab_size, n_embd, dtype, DeviceRef.from_device(device))

    def __call__(self, input_ids: TensorValue) -> TensorValue:
        """Token ids to logits."""
        return self.lm_head(self._taking(self.model(input_ids)).__tensorvalue__())

    @property
    def taking(self) -> Taking:
        """What is taken of what the model returns."""
        return self._taking


class _GraphHead:
    def __init__(self, vocab_size: int, n_embd: int, dtype: DType, device: DeviceRef) -> None:
        self.weight = Weight("weight", dtype, [vocab_size, n_embd], device)

    def __call__(self, hidden: TensorValue) -> TensorValue:
        return hidden @ self.weight.T


WRAPPERS = (WithHead, GraphWithHead, WithoutPadding, GraphWithoutPadding)
"""The harness's own modules around a candidate."""


def built_here(wanted: Wanted, factory: Callable[[Any], Any], device: Device) -> Here:
    """Build a candidate in this process.

    Args:
        wanted: how.
        factory: called with the configuration, returns a tree of MAX modules, or a callable over
            `max.graph.ops`.
        device: where it runs.

    Raises:
        CandidateError: where its code raises, makes something else than a model, or a model of the
            graph API without weights.
    """

    def make(config: Any) -> Any:
        with guarded(f"{wanted.name}(config)"):
            model = factory(config)
        return _whole(wanted, model, device)

    return Here(wanted.name, build(wanted.config, device, wanted.dtype, factory=make), device)


def _whole(wanted: Wanted, model: Any, device: Device) -> Any:
    """A candidate with the harness's own module around it, where one is asked for."""
    config, dtype = wanted.config, wanted.dtype
    hidden, padded = wanted.output == "hidden", wanted.padded_vocab
    if isinstance(model, Module):
        if hidden:
            return WithHead(model, config.vocab_size, config.n_embd, dtype)
        return WithoutPadding(model, config.vocab_size) if padded else model
    _check_graph_model(wanted.name, model, device)
    if hidden:
        model = GraphWithHead(model, config.vocab_size, config.n_embd, dtype, device)
    elif padded:
        model = GraphWithoutPadding(model, config.vocab_size)
    return GraphModel(model)


def _check_graph_model(name: str, model: Any, device: Device) -> None:
    """Refuse what is no model: of `max.experimental.nn`, of `max.nn`, or a plain callable."""
    if not callable(model) or isinstance(model, type):
        raise CandidateError(
            f"{name}(config) returns {a(model)}: no module of max.experimental.nn or of "
            "max.nn, and no callable over max.graph.ops"
        )
    if not GraphModel(model).parameters:
        raise CandidateError(
            f"{name}(config) returns {a(model)} that holds no weight: make each a "
            "max.graph.Weight, in an attribute, list or dict, for verify to give it values"
        )
    _check_device(model, device)


def _check_device(model: Any, device: Device) -> None:
    """Refuse a model none of whose weights is on the device that it is verified on."""
    devices = {str(weight.device) for _, weight in GraphModel(model).parameters}
    wanted = DeviceRef.from_device(device)
    if str(wanted) not in devices:
        raise CandidateError(
            f"its weights are on {' and '.join(sorted(devices))}, and it is verified on {wanted}: "
            "choose another --device, or make them there"
        )


class Here:
    """A model whose code runs in this process.

    Args:
        name: what it is called in messages.
        model: its module tree, or what stands for a model of the graph API.
        device: where it runs.
        types: of what it takes; token ids unless given.
        prefix: begins the names of its graphs and parameters.
        shared: a program that shall have its forced graph besides.
    """

    def __init__(
        self, name: str, model: Any, device: Device, *, types: list[TensorType] | None = None,
        prefix: str = "", shared: Program | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.model = model
        self.device = device
        self._types = types
        self._prefix = prefix
        self._shared = shared
        self._taking = Taking()

    def sharing(self, prefix: str, shared: Program) -> Here:
        """The same, its forced graph in a shared program besides, under names of its own."""
        return Here(
            self.name, self.model, self.device, types=self._types, prefix=prefix, shared=shared
        )

    def outline(self) -> CandidateOutline:
        """What it consists of, where it must return one tensor.

        Raises:
            CandidateError: where it does not.
        """
        staging = self._staging()
        passed_on: set[str] = set()
        seen = staging.seen(RESULT, passed_on)
        shapes = {tap: numbers(kind.shape) for tap, kind in seen.items()}
        parameters, tied = parameters_of(staging.model)
        return CandidateOutline(
            parameters=tuple(parameters),
            calls=tuple(_calls(shapes, passed_on)),
            gives=shapes[RESULT],
            tied=tied,
            said=self._taking.said,
        )

    def examined(self, shape: Sequence[int], output: str = "logits") -> CandidateOutline:
        """What it consists of, where it must return logits, among other things perhaps.

        Args:
            shape: of the logits for `outline.BATCH` rows of `outline.LENGTH` tokens.
            output: what its user says that it returns.

        Raises:
            CandidateError: where its forward raises, or returns something else than logits.
        """
        own = self.model.model if isinstance(self.model, GraphModel) else self.model
        self._taking = Taking("logits", shape[-1])
        if isinstance(own, WRAPPERS):  # what the model itself returns is taken there
            own, self._taking = own.model, own.taking
        check_signature(self.name, own)
        with guarded(self.calling):
            outline = self.outline()
        if outline.gives != tuple(shape):
            raise CandidateError(_wrong_shape(self.name, output, outline.gives, tuple(shape)))
        return outline

    @property
    def calling(self) -> str:
        """What is done when it is traced, as a message has it."""
        own = "(config)" if isinstance(self.model, GraphModel) else ".forward"
        return f"{self.name}{own}(input_ids)"

    def values(self, names: Sequence[str]) -> dict[str, Array]:
        """The values that the model itself gives to some of its parameters, a stored mask say.

        MAX computes them one by one, which can take a minute.

        Raises:
            CandidateError: where one has none.
        """
        if isinstance(self.model, GraphModel):
            return {name: _given_value(self.model, name) for name in names}
        tensors = dict(self.model.parameters)
        with guarded(f"the value of {self.name}'s {names[0]}"):
            return {name: np.array(tensors[name].to_numpy(), copy=True) for name in names}

    def _staging(self) -> Staging:
        return Staging(
            self.model, self.device, types=self._types, taking=self._taking, name=self._prefix
        )

    def staged(self, cut: Collection[str], result: str | None) -> Staged:
        """Its graphs, as `Staging.staged` makes them."""
        with compiling(self.name):
            return self._staging().staged(cut, result, self._shared)

    def candidate(self, cut: Collection[str], result: str | None) -> Candidate:
        """The same, to be evaluated or compiled."""
        return Candidate(self.staged(cut, result), self.device)

    def shipped(self, *, last: bool) -> tuple[Noted, list[Path]]:
        """Its plain graph alone, as `Staging.shipped` makes it, with its libraries."""
        with compiling(self.name):
            return self._staging().shipped(last=last)


def _wrong_shape(name: str, output: str, found: Sequence[int], wanted: Sequence[int]) -> str:
    text = (
        f"{name}.forward(input_ids) returns shape {list(found)} for token ids of shape "
        f"{[BATCH, LENGTH]}; logits have {list(wanted)}"
    )
    if output != "logits" or len(found) != 3 or found[:2] != wanted[:2]:
        return text
    if padded := asked(found[2], wanted[2]):
        return f"{text} ({padded})"
    return f"{text} (for a model that returns hidden states: --output hidden)"


def _given_value(model: GraphModel, name: str) -> Array:
    """What a model of the graph API holds in a weight that the reference lacks."""
    value = model.value_of(name)
    if value is None:
        raise CandidateError(
            f"its weight {name} has no counterpart in the reference and no value: make it a "
            "constant of the graph, or pair it with --pairing"
        )
    return value


def parameters_of(model: Any) -> tuple[list[Parameter], dict[str, str]]:
    """Every parameter, and the names that share another one's tensor."""
    owners = {"": model, **dict(modules_of(model))}
    first: dict[int, str] = {}
    parameters, tied = [], {}
    for name, tensor in model.parameters:
        if first.setdefault(id(tensor), name) != name:
            tied[name] = first[id(tensor)]
        path, _, last = name.rpartition(".")
        owner = owners.get(path)
        parameters.append(
            Parameter(
                name=name,
                shape=numbers(tensor.shape),
                linear=isinstance(owner, Linear | nn.Linear) and last == "weight",
                owner=type(owner).__name__,
                dtype=tensor.dtype.name,
            )
        )
    return parameters, tied


def _calls(seen: Mapping[str, Any], passed_on: Collection[str]) -> list[Call]:
    """Calls in the order in which they begin; a call without input begins where it ends."""
    calls: dict[str, Call] = {}
    open_calls: list[str] = []
    for tap, shape in seen.items():
        name = module_of(tap)
        within = open_calls[-1] if open_calls else ""
        if is_input(tap):
            calls[name] = Call(
                name=name, takes=shape, gives=None, within=within, takes_all=tap in passed_on
            )
            open_calls.append(name)
        elif name != RESULT:
            known = calls.setdefault(name, Call(name=name, takes=None, gives=None, within=within))
            calls[name] = replace(known, gives=shape)
            if name in open_calls:
                del open_calls[open_calls.index(name) :]
    return list(calls.values())
