"""The check of step 14: a prompt, then tokens one by one and several at once, equal the whole.

The learner's graph takes token ids and the keys and values of P tokens, and returns logits and the
keys and values of P + S. It is evaluated in float64, then compiled.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from max.dtype import DType
from max.experimental.nn import Module
from max.experimental.tensor import Tensor
from max.graph import Module as Program
from max.graph import TensorType

from impl.runtime import build, input_type, open_device
from reference.oracle import Oracle
from reference.taps import LOGITS
from verify.candidate.guard import a, compiling, guarded
from verify.candidate.program import CompiledProgram
from verify.candidate.staging import stage, weightless
from verify.graph.adapter import noting, read
from verify.graph.evaluate import evaluate
from verify.judge.metrics import rms
from verify.pairing.built import parameters_of
from verify.pairing.outline import CandidateOutline, gpt2_outline
from verify.pairing.parameters import propose
from verify.steps.component import FUSED, SMALL, StepError, small_checkpoint
from verify.steps.lessons import lesson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reference.trace import Array

    Run = Callable[[Sequence[Array]], Sequence[Array]]
    """Token ids, keys and values to logits, keys and values."""

    Same = Callable[[Array, Array], bool]
    """Whether what was found is what is right, as far as it was computed exactly."""

ROWS, PROMPT = 2, 4
CUTS = (0, PROMPT, 5, 6, 9)
"""A prompt, two single tokens, and three at once."""

EXACT = 1e-6
"""Relative difference of a right graph in float64: constants that it holds in float32, such as eps,
move results by 1e-8 or less. The smallest mistake in a cache moves them by 1e-2."""


@dataclass(frozen=True, slots=True)
class Cached:
    """A traced model: its program, and its weights by name."""

    program: Program
    graph: Any
    weights: Mapping[str, Array]


def check_cache(factory: Any, *, quick: bool = False) -> None:
    """The graph's mathematics first, then what MAX compiles of it.

    Args:
        factory: the learner's class.
        quick: judge the mathematics alone; nothing is compiled.

    Raises:
        StepError: where what it returns is wrong, with the task that it is about.
        CandidateError: where its code raises, or cannot be compiled.
    """
    cached = _traced(factory)
    _judge(lambda arrays: evaluate(cached.graph, arrays, cached.weights).outputs, EXACT, np.float64)
    if quick:
        return
    with compiling("CachedGPT2"):
        bound = CompiledProgram(cached.program, open_device("cpu")).bind(cached.weights)
    _judge(lambda arrays: bound.run("cached", arrays), FUSED, np.float32)


def _traced(factory: Any) -> Cached:
    device, program = open_device("cpu"), Program()

    def make(config: Any) -> Any:
        with guarded("CachedGPT2(config)"):
            model = factory(config)
        if not isinstance(model, Module):
            raise StepError(
                f"CachedGPT2(config) returns {a(model)}, not a module",
                "derive the class from GPT2LMHeadModel of step 11",
            )
        return model

    model = weightless(build(SMALL, device, factory=make))
    shape = [SMALL.n_layer, "batch", SMALL.n_head, "past", SMALL.head_dim]
    held = TensorType(DType.float32, shape, device=device)

    def forward(*tensors: Tensor) -> list[Tensor]:
        with guarded("CachedGPT2.forward(input_ids, keys, values)"):
            returned = model(*tensors)
        parts = list(returned) if isinstance(returned, tuple | list) else [returned]
        if len(parts) != 3 or not all(isinstance(part, Tensor) for part in parts):
            what = ", ".join(a(part) for part in parts)
            raise StepError(
                f"forward returns {what}, not three tensors", "logits, keys, values, in this order"
            )
        return parts

    with noting(places=False) as notes:
        stage("cached", forward, [input_type(device), held, held], program)
        (graph,) = read(program, notes)
    return Cached(program, graph, _weights(model))


def _weights(model: Any) -> dict[str, Array]:
    """GPT-2's weights by the model's own names, as step 11 pairs them."""
    checkpoint = small_checkpoint()
    parameters, tied = parameters_of(model)
    reference = gpt2_outline(checkpoint)
    gives = reference.places[LOGITS]
    pairing = propose(CandidateOutline(tuple(parameters), (), gives, tied), reference)
    if pairing.unheld or len(pairing.weights) != len(parameters):
        extra = [p.name for p in parameters if p.name not in pairing.weights]
        raise StepError(
            f"its parameters are not GPT-2's: {', '.join([*pairing.unheld, *extra][:3])}",
            "it holds what GPT2LMHeadModel of step 11 holds, and nothing else",
        )
    taken = {
        name: counterpart.take(checkpoint.weights, SMALL.n_layer)
        for name, counterpart in pairing.weights.items()
    }
    return {name: np.ascontiguousarray(array, np.float32) for name, array in taken.items()}


def _wrong(task: int, problem: str, hint: str) -> StepError:
    about = lesson(14).tasks[task - 1]
    return StepError(problem, hint, hints=(hint, *about.hints), task=about)


class Whole:
    """What the float64 model computes for all tokens at once."""

    def __init__(self) -> None:
        self.ids = np.random.default_rng(0).integers(0, SMALL.vocab_size, (ROWS, CUTS[-1]))
        self.oracle = Oracle(small_checkpoint())
        self.trace = self.oracle.trace(self.ids)
        self.keys, self.values = self.held(self.trace)

    def held(self, trace: Mapping[str, Array]) -> tuple[Array, Array]:
        """Keys and values of all blocks: 2 x [L, B, H, S, head_dim]."""
        fused = np.stack(
            [trace[f"transformer.h.{layer}.attn.c_attn"] for layer in range(SMALL.n_layer)]
        )
        _, keys, values = np.split(fused, 3, axis=-1)  # [L, B, S, D]
        heads = (*keys.shape[:3], SMALL.n_head, SMALL.head_dim)
        return keys.reshape(heads).swapaxes(2, 3), values.reshape(heads).swapaxes(2, 3)


def _judge(run: Run, allowed: float, dtype: Any) -> None:
    whole = Whole()
    keys = np.zeros((SMALL.n_layer, ROWS, SMALL.n_head, 0, SMALL.head_dim), dtype)
    values = keys.copy()
    for start, end in pairwise(CUTS):
        logits, keys, values = run([whole.ids[:, start:end], keys, values])
        _judge_part(whole, start, end, (logits, keys, values), allowed)


def _judge_part(
    whole: Whole, start: int, end: int, found: tuple[Array, Array, Array], allowed: float
) -> None:
    logits, keys, values = found
    right = whole.trace[LOGITS][:, start:end]
    said = f"{end - start} new tokens after {start}"
    for name, array, task, shape in (
        ("keys", keys, 6, whole.keys[:, :, :, :end].shape),
        ("values", values, 6, whole.values[:, :, :, :end].shape),
        ("logits", logits, 4, right.shape),
    ):
        if array.shape != shape:
            raise _wrong(
                task, f"{name} have shape {list(array.shape)}, not {list(shape)}, for {said}",
                "[L, B, H, P + S, head_dim]" if task == 6 else "[B, S, V]: the new tokens alone",
            )  # fmt: skip

    def same(one: Array, other: Array) -> bool:
        return bool(rms(one - other) <= allowed * rms(other))

    _judge_held(whole, start, end, (keys, values), said, same)
    if not same(logits, right):
        raise _wrong(*_why_logits(whole, start, end, logits, same, said))


def _judge_held(
    whole: Whole, start: int, end: int, found: tuple[Array, Array], said: str, same: Same
) -> None:
    """Keys and values of each block: those before stay, those of the new tokens come after them."""
    for layer in range(SMALL.n_layer):
        right = whole.keys[layer, :, :, :end], whole.values[layer, :, :, :end]
        for name, array, own, other in (
            ("keys", found[0][layer], right[0], right[1]),
            ("values", found[1][layer], right[1], right[0]),
        ):
            if same(array, own):
                continue
            where = f"the {name} of block {layer}, for {said}"
            if same(array, other):
                raise _wrong(
                    6, f"{where}: they are the other ones: keys and values are exchanged",
                    "in which order does c_attn give them, and in which are they returned?",
                )  # fmt: skip
            if start and not same(array[:, :, :start], own[:, :, :start]):
                raise _wrong(*_why_old(whole, name, array, own, start, where, same))
            raise _wrong(
                *_why_new(whole, layer, name, start, end, array[:, :, start:], where, same)
            )


def _why_old(
    whole: Whole, name: str, array: Array, own: Array, start: int, where: str, same: Same
) -> tuple[int, str, str]:
    """Why the keys of tokens before are others than they were."""
    if same(array[:, :, -start:], own[:, :, :start]):
        return (
            6,
            f"{where}: the new ones stand before those that were cached",
            "tokens are in the order of the text: the mask and the next call count on it",
        )
    for layer, held in enumerate(whole.values if name == "values" else whole.keys):
        if same(array[:, :, :start], held[:, :, :start]):
            return (
                3,
                f"{where}: those that were cached are block {layer}'s",
                "each block goes on with its own",
            )
    return (
        6,
        f"{where}: those of the first {start} tokens have changed",
        "what is cached stays as it is, in front of the new ones",
    )


def _why_new(
    whole: Whole, layer: int, name: str, start: int, end: int, new: Array, where: str, same: Same
) -> tuple[int, str, str]:
    """Why the keys of new tokens are others than those of the whole sequence."""
    alone = whole.held(whole.oracle.trace(whole.ids[:, start:end]))[name == "values"]
    if layer == 0:
        for shift, said in ((-start, "from 0 again"), (-1, "one too low"), (1, "one too high")):
            if start + shift >= 0 and start and same(new, _at(whole, name, start, end, shift)):
                return (
                    1,
                    f"{where}: positions are counted {said}",
                    (f"the first new token's position is {start}: so many are cached"),
                )
        return (
            5,
            f"{where}: those of the new tokens are wrong",
            ("as in step 7: c_attn of the normalised stream, cut into heads"),
        )
    if start and same(new, alone[layer]):
        return (
            7,
            f"{where}: they are as if nothing had been cached",
            ("the new queries look at all keys, cached and new"),
        )
    return _why_mixed(start, end, where)


def _at(whole: Whole, name: str, start: int, end: int, shift: int) -> Array:
    """Keys or values of block 0, were the new tokens at other positions."""
    first = start + shift
    fill = np.zeros((ROWS, first), np.int64)
    trace = whole.oracle.trace(np.concatenate([fill, whole.ids[:, start:end]], axis=1))
    return whole.held(trace)[name == "values"][0][:, :, first:]


def _why_mixed(start: int, end: int, where: str) -> tuple[int, str, str]:
    """Block 0's keys are right, and what its attention made of them is not."""
    if not start:
        return (
            7,
            f"{where}: already the prompt, with nothing cached, is not what step 11 gives",
            ("go through steps 7 and 9 line by line: scale, mask, softmax, residuals"),
        )
    if end - start == 1:
        return (
            2,
            f"{where}: attention over cached keys is wrong",
            ("one new token may look at every cached key of its own block, and at itself"),
        )
    return (
        2,
        f"{where}: single tokens are right, several at once are not",
        (f"new token i is at position {start} + i: it may look at keys 0 to {start} + i"),
    )


def _why_logits(
    whole: Whole, start: int, end: int, logits: Array, same: Same, said: str
) -> tuple[int, str, str]:
    """Every block's keys and values are right, the logits not."""
    alone = whole.oracle.trace(whole.ids[:, start:end])[LOGITS]
    if start and same(logits, alone):
        return (
            7,
            f"logits for {said} are as if nothing had been cached",
            ("the new queries look at all keys, cached and new"),
        )
    return (
        4,
        f"logits for {said} are wrong, where keys and values are right",
        ("the last block's own attention and MLP, then ln_f, then the embedding's table"),
    )
