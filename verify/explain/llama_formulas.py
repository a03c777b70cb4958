"""What people compute in place of a stage of a Llama-like decoder: formulas, checked before use.

A stage is written out as a formula of numbers and choices: a norm's epsilon, the base of rotary
embeddings, the activation of a gated MLP. Whether the formula is the reference's is not assumed: it
is used only where, with the configuration's own values, it gives the reference's result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from reference.taps import INPUT, is_input, module_of
from verify.explain.closed_forms import rounded_to, same, short
from verify.explain.explanation import Explanation
from verify.explain.families import PER_DECADE, least_squares
from verify.graph.operations.elementwise import gelu, gelu_tanh, silu
from verify.judge.metrics import rms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from reference.trace import Array
    from verify.explain.failure import Failure

AGREES = 1e-5
"""How near, relatively, a formula has to come to the reference to be its own: transformers keeps
the frequencies of rotary embeddings in float32, and any other formula is off by more."""

Values = dict[str, Any]
"""What a formula's numbers and choices are."""


@dataclass(frozen=True)
class Formula:
    """How a stage is computed.

    Attributes:
        compute: its result, with these numbers and choices.
        right: the reference's own.
        choices: by name, what else people choose, each with its words.
        numbers: by name, what a number is called, and values that are tried.
    """

    compute: Callable[[Values], Array]
    right: Values
    choices: Mapping[str, Mapping[Any, str]]
    numbers: Mapping[str, tuple[str, Sequence[float]]]


def formulas(failures: Mapping[int | None, Sequence[Failure]]) -> list[Explanation]:
    """Formulas with another number or choice that explain the failures of a place.

    Args:
        failures: by block, the most telling first.
    """
    held: dict[tuple[str, str], dict[int | None, Values]] = {}
    for own, (failure, *_) in failures.items():
        formula = formula_of(failure)
        for name, text, values in _other(formula, failure) if formula else ():
            held.setdefault((name, text), {})[own] = values
    return [_explanation(name, text, values, failures) for (name, text), values in held.items()]


def _explanation(
    name: str,
    text: str,
    values: dict[int | None, Values],
    failures: Mapping[int | None, Sequence[Failure]],
) -> Explanation:
    def left(failure: Failure) -> float:
        formula = formula_of(failure)
        own = values.get(failure.layer)
        if formula is None or own is None or not own.keys() <= formula.right.keys():
            return math.inf
        return failure.unexplained(formula.compute({**formula.right, **own}))

    first = failures[next(iter(values))][0]
    formula = formula_of(first)
    right = formula.right.get(name) if formula else None
    return Explanation(
        id=name,
        found=text,
        expected=f"{name} {short(right)}" if isinstance(right, float) else "",
        layers=tuple(values),
        left=left,
    )


def _other(formula: Formula, failure: Failure) -> Iterator[tuple[str, str, Values]]:
    """Each number or choice with which the formula gives what was found."""
    if not failure.comparable:
        return
    for name, choices in formula.choices.items():
        for choice, words in choices.items():
            if choice != formula.right[name]:
                values = {name: choice}
                if failure.explained_by(formula.compute({**formula.right, **values})):
                    yield name, words, values
    for name, (words, tried) in formula.numbers.items():
        if (value := _fitted(formula, name, tried, failure)) is not None:
            yield name, f"{words} {short(value)}", {name: value}


def _fitted(formula: Formula, name: str, tried: Sequence[float], failure: Failure) -> float | None:
    """The value of a number for which the formula gives what was found."""

    def computed(value: float) -> Array:
        return formula.compute({**formula.right, name: value})

    def explains(value: float) -> bool:
        return failure.explained_by(computed(value))

    others = [value for value in tried if not same(value, formula.right[name])]
    known = next((value for value in others if explains(value)), None)
    if known is not None:
        return known
    nearest = min(others, key=lambda value: failure.left(computed(value)))
    for start in (nearest, formula.right[name]):
        if (value := least_squares(computed, failure, start)) is not None:
            return rounded_to(value, explains)
    return None


# ---- which formula -------------------------------------------------------------------------------


def formula_of(failure: Failure) -> Formula | None:
    """The formula of a failing stage; None where none is known that is the reference's."""
    for make in (_norm, _activation, _gated, _attention):
        formula = make(failure)
        if formula is not None and _is_right(formula, failure):
            return formula
    return None


def _is_right(formula: Formula, failure: Failure) -> bool:
    found = formula.compute(formula.right)
    same_shape = found.shape == failure.truth.shape
    return same_shape and rms(found - failure.truth) <= AGREES * rms(failure.truth)


def parameter(failure: Failure, name: str) -> Array | None:
    """A parameter of the reference in float64; None where it has none of that name.

    Args:
        failure: of a decoder of transformers.
        name: as its `named_parameters` has it.
    """
    model = failure.expected.oracle.model
    found = dict(model.named_parameters()).get(name)
    return None if found is None else found.detach().double().numpy()


def _every(low: float, high: float) -> list[float]:
    """Numbers of every size, to begin a fit at."""
    count = int(PER_DECADE * math.log10(high / low)) + 1
    return np.geomspace(low, high, count).tolist()


def _taken(failure: Failure, tap: str) -> Array | None:
    """An activation as stages are fed with it."""
    expected = failure.expected
    found = expected.given.get(tap, expected.isolated.get(tap))
    return None if found is None else found.astype(np.float64)


def _norm(failure: Failure) -> Formula | None:
    """LayerNorm, or RMSNorm where there is no bias."""
    tap = failure.tap
    weight, x = parameter(failure, f"{tap}.weight"), _taken(failure, tap + INPUT)
    if is_input(tap) or weight is None or x is None or weight.ndim != 1:
        return None
    bias = parameter(failure, f"{tap}.bias")
    config = failure.expected.oracle.model.config
    named = (v for k, v in config.to_dict().items() if k.endswith(("norm_eps", "norm_epsilon")))
    eps = float(next(named, 1e-6))

    def compute(values: Values) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True) if values["mean"] else x
        square = (centred**2).mean(axis=-1, keepdims=True)
        scale = 1 + weight if values["offset"] else weight
        result = centred / np.sqrt(square + values["eps"]) * scale
        return result if bias is None else result + bias

    return Formula(
        compute=compute,
        right={"eps": eps, "mean": bias is not None, "offset": False},
        choices={
            "mean": {True: "the mean is taken off (LayerNorm)", False: "the mean stays (RMSNorm)"},
            "offset": {True: "times 1 + weight"},
        },
        numbers={"eps": ("eps", (1e-5, 1e-6, 1e-12, 1e-8, 1e-3, *_every(1e-9, 1.0)))},
    )


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "silu": silu,
    "gelu_pytorch_tanh": gelu_tanh,
    "gelu": gelu,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": special.expit,
    "tanh": np.tanh,
    "none": lambda x: x,
}  # fmt: skip
"""By transformers' names."""


def _activation(failure: Failure) -> Formula | None:
    """act(gate), where it is a module of its own."""
    act = getattr(failure.expected.oracle.model.config, "hidden_act", "")
    x = _taken(failure, failure.tap + INPUT)
    if not failure.tap.endswith(".act_fn") or act not in ACTIVATIONS or x is None:
        return None
    return Formula(
        compute=lambda values: ACTIVATIONS[values["activation"]](x),
        right={"activation": act},
        choices={
            "activation": {name: f"{name}(x)" if name != "none" else "x" for name in ACTIVATIONS}
        },
        numbers={},
    )


def _gated(failure: Failure) -> Formula | None:
    """act(gate) up."""
    if not failure.tap.endswith(f".down_proj{INPUT}"):
        return None
    place = module_of(failure.tap).removesuffix(".down_proj")
    gate, up = (_taken(failure, f"{place}.{name}_proj") for name in ("gate", "up"))
    act = getattr(failure.expected.oracle.model.config, "hidden_act", "silu")
    if gate is None or up is None or act not in ACTIVATIONS:
        return None
    bent = failure.expected.given.get(f"{place}.act_fn")

    def compute(values: Values) -> Array:
        if bent is not None and values == {"activation": act, "order": "own"}:
            return bent.astype(np.float64) * up
        first, second = (up, gate) if values["order"] == "swapped" else (gate, up)
        return ACTIVATIONS[values["activation"]](first) * second

    return Formula(
        compute=compute,
        right={"activation": act, "order": "own"},
        choices={
            "activation": {
                name: f"{name}(gate) up" if name != "none" else "gate up, without an activation"
                for name in ACTIVATIONS
            },
            "order": {"swapped": f"{act}(up) gate: the two projections exchanged"},
        },
        numbers={},
    )


def _attention(failure: Failure) -> Formula | None:
    """softmax(rotated q rotated k^T scale + mask) v, with keys and values shared by heads."""
    if not failure.tap.endswith(f".o_proj{INPUT}"):
        return None
    place = module_of(failure.tap).removesuffix(".o_proj")
    q, k, v = (_taken(failure, f"{place}.{name}_proj") for name in "qkv")
    config = failure.expected.oracle.model.config
    rope = getattr(config, "rope_parameters", None) or {}
    base = rope.get("rope_theta", getattr(config, "rope_theta", None))
    if q is None or k is None or v is None or base is None:
        return None
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    size = q.shape[-1] // heads

    def compute(values: Values) -> Array:
        parts = (_split(q, heads), _split(k, groups), _split(v, groups))
        return _attended(parts, values)

    return Formula(
        compute=compute,
        right={
            "base": float(base), "scale": size**-0.5, "rotation": "halves", "mask": "causal",
            "sharing": "repeated",
        },
        choices={
            "rotation": {
                "backwards": "rotary embeddings that turn backwards",
                "pairs": "rotary embeddings of neighbouring features, not of halves",
                "none": "no rotary embeddings",
                "keys": "rotary embeddings of the keys alone",
                "queries": "rotary embeddings of the queries alone",
            },
            "mask": {"none": "no mask: every key is seen", "late": "the next key is seen too"},
            "sharing": {"tiled": "key heads in turn (0, 1, 0, 1), not repeated (0, 0, 1, 1)"},
        },
        numbers={
            "base": ("rotary embeddings of base", (1e4, 5e5, 1e6, 1e5, 1e3, *_every(1e2, 1e7))),
            "scale": (
                "scores times",
                (1.0, 1 / size, q.shape[-1] ** -0.5, *_every(1e-3, 10.0)),
            ),
        },
    )  # fmt: skip


def _split(x: Array, heads: int) -> Array:
    """`[B, S, H K]` to `[B, H, S, K]`."""
    batch, length, width = x.shape
    return x.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)


def _attended(parts: tuple[Array, Array, Array], values: Values) -> Array:
    query, key, value = parts
    turn = values["rotation"]
    query = query if turn in ("none", "keys") else _rotated(query, values)
    key = key if turn in ("none", "queries") else _rotated(key, values)
    each = query.shape[1] // key.shape[1]
    share: Callable[[Array], Array] = (
        (lambda x: np.tile(x, (1, each, 1, 1)))
        if values["sharing"] == "tiled"
        else (lambda x: np.repeat(x, each, axis=1))
    )
    scores = query @ share(key).swapaxes(-1, -2) * values["scale"]
    length = scores.shape[-1]
    offset = {"causal": 1, "late": 2, "none": length + 1}[values["mask"]]
    scores = np.where(np.triu(np.ones((length, length), bool), k=offset), -np.inf, scores)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = weights / weights.sum(axis=-1, keepdims=True) @ share(value)
    batch, heads, _, size = mixed.shape
    return mixed.transpose(0, 2, 1, 3).reshape(batch, length, heads * size)


def _rotated(x: Array, values: Values) -> Array:
    """Each pair of features turned by position times frequency: `[B, H, S, K]`."""
    size = x.shape[-1]
    angles = np.arange(x.shape[-2])[:, None] * float(values["base"]) ** (
        -np.arange(0, size, 2) / size
    )
    cos, sin = np.cos(angles), np.sin(angles)
    sin = -sin if values["rotation"] == "backwards" else sin
    if values["rotation"] == "pairs":
        first, second = x[..., 0::2], x[..., 1::2]
        turned = np.stack([first * cos - second * sin, second * cos + first * sin], axis=-1)
        return turned.reshape(x.shape)
    first, second = x[..., : size // 2], x[..., size // 2 :]
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
