"""How each kind of operation is written: in the public operations of `max.graph`, and in NumPy.

A phrase is a template. `{a}`, `{b}`, ... are the operands; `{n0}`, `{n1}`, ... are operands whose
numbers stand in the graph, and so in the text; `{shape}` and `{dtype}` are the result's; anything
else is an attribute. What a template cannot say, a function does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.graph.form import is_floating
from verify.reduce.words import UnwritableError, Words

if TYPE_CHECKING:
    from verify.graph.form import Operation, Size
    from verify.reduce.known import Known

Say = Callable[[Words], str]


@dataclass(frozen=True, slots=True)
class Phrase:
    """How one kind of operation is written.

    Attributes:
        max: a template, or a function, of its expression in `max.graph`.
        numpy: the same in NumPy, where floating-point numbers are float64.
        static: the operands that stand in the text as numbers.
        broadcasts: whether operands of other shapes are repeated as NumPy does.
        takes_numbers: whether Python's numbers may stand for scalar operands.
        is_operator: whether operands stand beside an operator, and not between commas.
    """

    max: str | Say
    numpy: str | Say
    static: frozenset[int] = field(default=frozenset())
    broadcasts: bool = False
    takes_numbers: bool = False
    is_operator: bool = False


def _on_numbers(words: Words) -> str:
    """The sizes of a slice along each axis: `0:9, :, ::2`."""
    start, stop, step = (words.known(index) for index in (1, 2, 3))
    dims = words.shape_of(0)
    return ", ".join(
        _bounds(words, *one)
        for one in zip(_list(start), _list(stop), _list(step), dims, strict=True)
    )


def _list(known: Known) -> list[Any]:
    return list(known) if isinstance(known, tuple) else np.atleast_1d(known).tolist()


def _bounds(words: Words, start: Size, stop: Size, step: Size, dim: Size) -> str:
    """One axis of a slice; what NumPy supplies is left out."""
    first = "" if start == 0 else words.size(start)
    last = "" if stop == dim or (isinstance(stop, int) and stop > 2**40) else words.size(stop)
    return f"{first}:{last}" + ("" if step == 1 else f":{words.size(step)}")


def _sliced(words: Words) -> str:
    return f"{words['a']}[{_on_numbers(words)}]"


def _quotient(words: Words) -> str:
    if not is_floating(words.operation.results[0].dtype):
        raise UnwritableError("a quotient of integers cannot be written")
    return f"{words['a']} / {words['b']}"


def _cast_in_numpy(words: Words) -> str:
    """Nothing from float to float: in float64 no cast rounds."""
    dtype = words.operation.results[0].dtype
    if is_floating(dtype) and is_floating(words.dtype_of(0)):
        return words["a"]
    return f"{words['a']}.astype({words['dtype']})"


def _product(transposed: str) -> Say:
    def say(words: Words) -> str:
        second = words["b"]
        if words.operation.attributes.get("transpose_b"):
            second = transposed.format(second)
        return f"{words['a']} @ {second}"

    return say


def _band(words: Words) -> str:
    lower, upper, exclude = (int(np.asarray(words.known(index))) for index in (1, 2, 3))
    sides = [
        f"{name}={None if n < 0 else n}" for name, n in (("num_lower", lower), ("num_upper", upper))
    ]
    return f"ops.band_part({words['a']}, {', '.join(sides)}, exclude={bool(exclude)})"


def _band_in_numpy(words: Words) -> str:
    """Kept where neither bound is passed; a bound below zero is none."""
    lower, upper, exclude = (int(np.asarray(words.known(index))) for index in (1, 2, 3))
    rows, columns = words.shape_of(0)[-2:]
    below = f"np.arange({words.size(rows)})[:, None] - np.arange({words.size(columns)})"
    bounds = [f"(n <= {lower})"] if lower >= 0 else []
    bounds += [f"(-n <= {upper})"] if upper >= 0 else []
    kept = " & ".join(bounds) or "(n == n)"
    kept = kept.replace("n", f"(n := {below})", 1)
    chosen = f"0.0, {words['a']}" if exclude else f"{words['a']}, 0.0"
    return f"np.where({kept}, {chosen})"


def _range(words: Words) -> str:
    (length,) = words.operation.results[0].shape or (0,)
    ends = ", ".join(words.number(index) for index in (0, 1, 2))
    return f"ops.range({ends}, out_dim={words.size(length)}, dtype={words['dtype']}, device=cpu)"


def _padded(words: Words) -> str:
    amounts = np.asarray(words.known(1)).reshape(-1, 2).tolist()
    return f"np.pad({words['a']}, {amounts}, constant_values={words.number(2)})"


def _joined(template: str) -> Say:
    def say(words: Words) -> str:
        every = ", ".join(words.operand(index) for index in range(len(words.operation.operands)))
        return template.format(every, words["axis"])

    return say


def _rms_norm(words: Words) -> str:
    epsilon, offset = (float(words.attribute(name)) for name in ("epsilon", "weight_offset"))
    more = f", weight_offset={offset}" if offset else ""
    if words.attribute("multiply_before_cast"):
        more += ", multiply_before_cast=True"
    return f"ops.rms_norm({words['a']}, {words['b']}, {epsilon}{more})"


def _rms_norm_in_numpy(words: Words) -> str:
    epsilon, offset = (float(words.attribute(name)) for name in ("epsilon", "weight_offset"))
    weight = f"({words['b']} + {offset})" if offset else words["b"]
    x = words["a"]
    return f"{x} / np.sqrt(({x}**2).mean(-1, keepdims=True) + {epsilon}) * {weight}"


def _custom(words: Words) -> str:
    attributes = words.operation.attributes
    every = ", ".join(words.operand(index) for index in range(len(words.operation.operands)))
    types = ", ".join(map(words.type_of, words.operation.results))
    parameters = attributes.get("parameters") or {}
    more = f", {parameters!r}" if parameters else ""
    made = f'ops.custom("{attributes["symbol"]}", cpu, [{every}], [{types}]{more})'
    return f"{made}[0]" if len(words.operation.results) == 1 else made


def _meaning(words: Words) -> str:
    every = ", ".join(words.operand(index) for index in range(len(words.operation.operands)))
    return f"{words.meaning()}(None, {every})"


def _both(template: str) -> Phrase:
    """An operator that both languages have, and that repeats operands as NumPy does."""
    return Phrase(template, template, broadcasts=True, takes_numbers=True, is_operator=True)


def _named(own: str, theirs: str, *, broadcasts: bool = False) -> Phrase:
    return Phrase(own, theirs, broadcasts=broadcasts)


def _of_each(own: str, theirs: str) -> Phrase:
    """A function of one array."""
    return Phrase(f"ops.{own}({{a}})", f"{theirs}({{a}})")


def _along(own: str, theirs: str) -> Phrase:
    return Phrase(f"ops.{own}({{a}}, axis={{axis}})", f"{theirs}")


def _static(max_: str | Say, numpy: str | Say, *places: int) -> Phrase:
    return Phrase(max_, numpy, frozenset(places))


ERF = "np.vectorize(math.erf, otypes=[float])"
SOFTMAX = "(e := np.exp({a} - {a}.max({axis}, keepdims=True))) / e.sum({axis}, keepdims=True)"
LAYER_NORM = (
    "(d := {a} - {a}.mean(-1, keepdims=True)) "
    "/ np.sqrt((d**2).mean(-1, keepdims=True) + {n3}) * {b} + {c}"
)
RESHAPED = ("ops.reshape({a}, {shape})", "{a}.reshape({shape})")
REPEATED = ("ops.broadcast_to({a}, {shape})", "np.broadcast_to({a}, {shape})")
PRODUCT = Phrase(
    _product("ops.transpose({}, -1, -2)"), _product("{}.swapaxes(-1, -2)"), broadcasts=True
)

PHRASES: dict[str, Phrase] = {
    "mo.add": _both("{a} + {b}"),
    "mo.sub": _both("{a} - {b}"),
    "mo.mul": _both("{a} * {b}"),
    "mo.div": Phrase(_quotient, _quotient, broadcasts=True, takes_numbers=True, is_operator=True),
    "mo.mod": _both("{a} % {b}"),
    "mo.pow": _both("{a} ** {b}"),
    "mo.greater": _both("{a} > {b}"),
    "mo.greater_equal": _both("{a} >= {b}"),
    "mo.equal": Phrase("ops.equal({a}, {b})", "{a} == {b}", broadcasts=True, is_operator=True),
    "mo.not_equal": Phrase(
        "ops.not_equal({a}, {b})", "{a} != {b}", broadcasts=True, is_operator=True
    ),
    "mo.max": _named("ops.max({a}, {b})", "np.maximum({a}, {b})", broadcasts=True),
    "mo.min": _named("ops.min({a}, {b})", "np.minimum({a}, {b})", broadcasts=True),
    "mo.and": _named("ops.logical_and({a}, {b})", "{a} & {b}", broadcasts=True),
    "mo.or": _named("ops.logical_or({a}, {b})", "{a} | {b}", broadcasts=True),
    "mo.xor": _named("ops.logical_xor({a}, {b})", "{a} ^ {b}", broadcasts=True),
    "mo.not": _named("ops.logical_not({a})", "~{a}"),
    "mo.select": Phrase(
        "ops.where({a}, {b}, {c})",
        "np.where({a}, {b}, {c})",
        broadcasts=True,
        takes_numbers=True,
    ),
    "mo.abs": _of_each("abs", "np.abs"),
    "mo.negative": _of_each("negate", "np.negative"),
    "mo.sqrt": _of_each("sqrt", "np.sqrt"),
    "mo.rsqrt": _named("ops.rsqrt({a})", "1 / np.sqrt({a})"),
    "mo.exp": _of_each("exp", "np.exp"),
    "mo.log": _of_each("log", "np.log"),
    "mo.log1p": _of_each("log1p", "np.log1p"),
    "mo.sin": _of_each("sin", "np.sin"),
    "mo.cos": _of_each("cos", "np.cos"),
    "mo.tanh": _of_each("tanh", "np.tanh"),
    "mo.atanh": _of_each("atanh", "np.arctanh"),
    "mo.erf": _of_each("erf", ERF),
    "mo.floor": _of_each("floor", "np.floor"),
    "mo.ceil": _of_each("ceil", "np.ceil"),
    "mo.round": _of_each("round", "np.rint"),
    "mo.trunc": _of_each("trunc", "np.trunc"),
    "mo.is_nan": _of_each("is_nan", "np.isnan"),
    "mo.is_inf": _of_each("is_inf", "np.isinf"),
    "mo.relu": _named("ops.relu({a})", "np.maximum({a}, 0)"),
    "mo.sigmoid": _named("ops.sigmoid({a})", "1 / (1 + np.exp(-{a}))"),
    "mo.silu": _named("ops.silu({a})", "{a} / (1 + np.exp(-{a}))"),
    "mo.gelu": _named("ops.gelu({a})", f"{{a}} * (1 + {ERF}({{a}} / math.sqrt(2))) / 2"),
    "mo.gelu_tanh": _named(
        'ops.gelu({a}, approximate="tanh")',
        "{a} * (1 + np.tanh(math.sqrt(2 / math.pi) * ({a} + 0.044715 * {a}**3))) / 2",
    ),
    "mo.gelu_quick": _named(
        'ops.gelu({a}, approximate="quick")', "{a} / (1 + np.exp(-1.702 * {a}))"
    ),
    "mo.cast": Phrase("ops.cast({a}, {dtype})", _cast_in_numpy),
    "mo.matmul": PRODUCT,
    "mo.batch_matmul": PRODUCT,
    "mo.reduce.add": _along("sum", "{a}.sum({axis}, keepdims=True)"),
    "mo.reduce.mean": _along("mean", "{a}.mean({axis}, keepdims=True)"),
    "mo.reduce.mul": _along("prod", "{a}.prod({axis}, keepdims=True)"),
    "mo.reduce.max": _along("max", "{a}.max({axis}, keepdims=True)"),
    "mo.reduce.min": _along("min", "{a}.min({axis}, keepdims=True)"),
    "mo.reduce.arg_max": _along("argmax", "{a}.argmax({axis}, keepdims=True)"),
    "mo.reduce.arg_min": _along("argmin", "{a}.argmin({axis}, keepdims=True)"),
    "mo.reduce.softmax": _along("softmax", SOFTMAX),
    "mo.reduce.logsoftmax": _along("logsoftmax", f"np.log({SOFTMAX})"),
    "mo.reduce.layer_norm": _static("ops.layer_norm({a}, {b}, {c}, {n3})", LAYER_NORM, 3),
    "mo.reduce.rms_norm": Phrase(_rms_norm, _rms_norm_in_numpy),
    "mo.static.reshape": Phrase(*RESHAPED),
    "mo.reshape": _static(*RESHAPED, 1),
    "mo.static.broadcast_to": Phrase(*REPEATED),
    "mo.broadcast_to": _static(*REPEATED, 1),
    "mo.transpose": _static("ops.permute({a}, {n1})", "{a}.transpose({n1})", 1),
    "mo.rebind": Phrase("ops.rebind({a}, {shape})", "{a}"),
    "mo.slice": _static(_sliced, _sliced, 1, 2, 3),
    "mo.split": _static(
        "ops.split({a}, {n1}, axis={axis})",
        "np.split({a}, np.cumsum({n1})[:-1], axis={axis})",
        1,
    ),
    "mo.concat": Phrase(
        _joined("ops.concat([{}], axis={})"), _joined("np.concatenate([{}], axis={})")
    ),
    "mo.gather": _named("ops.gather({a}, {b}, axis={axis})", "np.take({a}, {b}, axis={axis})"),
    "mo.tile": _static("ops.tile({a}, {n1})", "np.tile({a}, {n1})", 1),
    "mo.pad.constant": _static("ops.pad({a}, {n1}, value={n2})", _padded, 1, 2),
    "mo.linalg.band_part": _static(_band, _band_in_numpy, 1, 2, 3),
    "mo.range": _static(_range, "np.arange({n0}, {n1}, {n2})", 0, 1, 2),
    "mo.custom": Phrase(_custom, _meaning),
}
"""By kind."""


def phrase(operation: Operation) -> Phrase:
    """How an operation is written.

    Raises:
        UnwritableError: if that is not known.
    """
    found = PHRASES.get(operation.kind)
    if found is None:
        raise UnwritableError(f"{operation.kind} cannot be written as an operation of max.graph")
    return found


def tensor_operands(operation: Operation) -> tuple[int, ...]:
    """The numbers of the operands that stand in the text as arrays; all, where none is known."""
    static = PHRASES[operation.kind].static if operation.kind in PHRASES else frozenset()
    return tuple(n for index, n in enumerate(operation.operands) if index not in static)
