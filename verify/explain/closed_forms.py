"""Numbers in words: which formula of a model's sizes a fitted number is.

0.0883883  ->  1/sqrt(n_embd)              in a model of 128 features
0.5, 0.333, 0.25  ->  1/(layer + 1)        in blocks 1, 2 and 3
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from impl.config import GPT2Config

NEAR = 1e-6
"""A fitted number is a formula's if they differ by less, relatively: a constant that was rounded to
float32 is off by 6e-8, and the next formula is nearly always off by more."""

DIGITS = 6
"""Significant digits of a number that no formula gives."""


@dataclass(frozen=True, slots=True)
class Form:
    """A formula.

    Attributes:
        text: as a person writes it.
        value: of a model's sizes, in a block.
        plain: whether it is a number and no formula.
    """

    text: str
    value: Callable[[GPT2Config, int], float]

    plain: bool = False

    @property
    def by_layer(self) -> bool:
        """Whether blocks differ."""
        return "layer + 1" in self.text


def number(text: str) -> Form:
    """A form that is a plain number, written as it is."""
    value = float(text)
    return Form(text, lambda _, __: value, plain=True)


def _root(config: GPT2Config, _: int) -> float:
    return 1 / math.sqrt(config.head_dim)


SCALES: tuple[Form, ...] = (
    Form("1/sqrt(head_dim)", _root),
    number("1"),
    Form("1/head_dim", lambda c, _: 1 / c.head_dim),
    Form("1/sqrt(n_embd)", lambda c, _: 1 / math.sqrt(c.n_embd)),
    Form("1/sqrt(head_dim) / (layer + 1)", lambda c, i: _root(c, i) / (i + 1)),
    Form("1/sqrt(n_head)", lambda c, _: 1 / math.sqrt(c.n_head)),
    Form("1/n_embd", lambda c, _: 1 / c.n_embd),
    Form("sqrt(head_dim)", lambda c, _: math.sqrt(c.head_dim)),
    Form("1/sqrt(64)", lambda *_: 1 / 8),
    Form("head_dim^(-1/4)", lambda c, _: c.head_dim**-0.25),
    Form("1/sqrt(2 head_dim)", lambda c, i: _root(c, i) / math.sqrt(2)),
    Form("2/sqrt(head_dim)", lambda c, i: 2 * _root(c, i)),
    Form("1/(2 sqrt(head_dim))", lambda c, i: _root(c, i) / 2),
    Form("ln(2)/sqrt(head_dim)", lambda c, i: _root(c, i) * math.log(2)),
    Form("log2(e)/sqrt(head_dim)", lambda c, i: _root(c, i) * math.log2(math.e)),
    Form("1/sqrt(head_dim) / sqrt(layer + 1)", lambda c, i: _root(c, i) / math.sqrt(i + 1)),
    Form("1/sqrt(head_dim) * (layer + 1)", lambda c, i: _root(c, i) * (i + 1)),
    Form("1/sqrt(n_embd) / (layer + 1)", lambda c, i: 1 / math.sqrt(c.n_embd) / (i + 1)),
    Form("1/(layer + 1)", lambda _, i: 1 / (i + 1)),
)
"""What scores may be multiplied by. 64 is the head_dim of the four GPT-2s that were published."""

FACTORS: tuple[Form, ...] = (
    number("2"),
    Form("1/2", lambda *_: 0.5),
    number("-1"),
    Form("sqrt(n_embd)", lambda c, _: math.sqrt(c.n_embd)),
    Form("1/sqrt(n_embd)", lambda c, _: 1 / math.sqrt(c.n_embd)),
    Form("1/sqrt(2 n_layer)", lambda c, _: 1 / math.sqrt(2 * c.n_layer)),
    Form("1/sqrt(n_layer)", lambda c, _: 1 / math.sqrt(c.n_layer)),
    Form("1/n_layer", lambda c, _: 1 / c.n_layer),
    Form("1/(layer + 1)", lambda _, i: 1 / (i + 1)),
    Form("1/sqrt(layer + 1)", lambda _, i: 1 / math.sqrt(i + 1)),
    Form("layer + 1", lambda _, i: i + 1),
    Form("1/0.9", lambda *_: 1 / 0.9),
    number("0.9"),
    Form("1/0.8", lambda *_: 1 / 0.8),
    Form("sqrt(2)", lambda *_: math.sqrt(2)),
    Form("1/sqrt(2)", lambda *_: 1 / math.sqrt(2)),
    Form("sqrt(head_dim)", lambda c, _: math.sqrt(c.head_dim)),
    Form("1/sqrt(head_dim)", lambda c, i: _root(c, i)),
    Form("head_dim", lambda c, _: c.head_dim),
    Form("1/head_dim", lambda c, _: 1 / c.head_dim),
    Form("n_head", lambda c, _: c.n_head),
    Form("1/n_head", lambda c, _: 1 / c.n_head),
    Form("n_embd", lambda c, _: c.n_embd),
    Form("1/n_embd", lambda c, _: 1 / c.n_embd),
)
"""What a result may be multiplied by; 1/0.9 is what dropout of 0.1 does to what it keeps."""


def same(a: float, b: float) -> bool:
    """Whether two numbers are one, but for the rounding of a constant."""
    return a == b or abs(a - b) <= NEAR * max(abs(a), abs(b))


def forms_of(values: Mapping[int, float], config: GPT2Config, forms: Sequence[Form]) -> list[Form]:
    """The formulas that give every one of these numbers.

    Args:
        values: by block.
        config: the model's sizes.
        forms: those to look through.
    """
    return [
        form
        for form in forms
        if all(same(value, form.value(config, layer)) for layer, value in values.items())
    ]


def short(value: float) -> str:
    """A number in a few digits: 0.176777, 1e-06, -65504."""
    return f"{value:.{DIGITS}g}"


def in_numbers(values: Mapping[int, float], config: GPT2Config, forms: Sequence[Form]) -> str:
    """Numbers by block in words: with the formula that gives them, where one does.

    Args:
        values: by block.
        config: the model's sizes.
        forms: formulas to look through, the likeliest first.
    """
    numbers = list(values.values())
    one = all(same(value, numbers[0]) for value in numbers)
    known = forms_of(values, config, forms)
    plain = [form for form in known if not form.by_layer] if one else []
    if chosen := (plain or known):
        text = chosen[0].text
        return f"{text} = {short(numbers[0])}" if one and not chosen[0].plain else text
    if one:
        return short(numbers[0])
    return ", ".join(f"{short(value)} in block {layer}" for layer, value in values.items())


def rounded_to(value: float, agrees: Callable[[float], bool]) -> float:
    """The shortest decimal near a fitted number that explains as well as the number does.

    Args:
        value: as it was fitted.
        agrees: whether a number explains.
    """
    for digits in range(1, 13):
        near = float(np.format_float_scientific(value, precision=digits - 1, unique=False))
        if abs(near - value) <= 1e-3 * abs(value) and agrees(near):
            return near
    return value
