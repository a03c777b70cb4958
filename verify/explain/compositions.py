"""A wrong result that is a known function of known activations.

Tried where neither a fault of the place nor a factor or a sum explains it: another norm, a norm or
a layer of another input, an activation after the right result, a product of two activations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from reference.oracle import Oracle
from reference.taps import INPUT, LOGITS, block_of, in_words, is_input, layer_of, module_of
from verify.explain.activation_faults import gelu, softmax
from verify.explain.block_sums import told_by_norm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reference.trace import Array
    from verify.explain.failure import Failure

RIGHT = "the right result"

FUNCTIONS: tuple[tuple[str, Callable[[Array], Array]], ...] = (
    ("gelu", gelu),
    ("gelu by erf", lambda x: 0.5 * x * (1 + special.erf(x / np.sqrt(2)))),
    ("silu", lambda x: x * special.expit(x)),
    ("tanh", np.tanh),
    ("sigmoid", special.expit),
    ("softmax over the last axis", softmax),
    ("log softmax over the last axis", lambda x: special.log_softmax(x, axis=-1)),
    ("exp", np.exp),
    ("sin", np.sin),
    ("the square", np.square),
    (
        "the unit vector",
        lambda x: x / np.sqrt((x * x).sum(axis=-1, keepdims=True)),
    ),
    (
        "the running sum along the sequence",
        lambda x: np.cumsum(x, axis=-2) if x.ndim > 1 else x,
    ),
)
"""What people apply once too often; `max(x, 0)` is known as a clamp."""


def compositions(failure: Failure) -> Iterator[tuple[str, str, Array]]:
    """What a result may be: an id, a text, and the array.

    Args:
        failure: of a GPT-2; of any other model nothing is known.
    """
    if not isinstance(failure.expected.oracle, Oracle):
        return
    with np.errstate(all="ignore"):
        for name, function in FUNCTIONS:
            result = function(failure.truth)
            yield "applied", f"{name} of {RIGHT}", result
        yield from _norms(failure)
        yield from _of_other_inputs(failure)
        yield from _tables(failure)
        yield from _products(failure)


def _known(failure: Failure) -> Iterator[tuple[str, Array]]:
    """Activations that a stage of the same block may be given by mistake, sums among them."""
    block = block_of(failure.tap)
    isolated, given = failure.expected.isolated, failure.expected.given
    held: dict[str, Array] = {}
    for name in isolated:
        if block_of(name) == block or name == f"{block}{INPUT}":
            array = given.get(name, isolated[name])
            if array.dtype.kind == "f" and array.ndim == 3:
                held[name] = array
    yield from ((in_words(name), array) for name, array in held.items())
    stream, middle = held.get(f"{block}{INPUT}"), held.get(f"{block}.ln_2{INPUT}")
    for name, base in ((f"{block}{INPUT}", stream), (f"{block}.ln_2{INPUT}", middle)):
        for part in ("attn", "mlp"):
            added = held.get(f"{block}.{part}")
            if base is not None and added is not None:
                yield f"{in_words(name)} + {in_words(f'{block}.{part}')}", base + added


def _norms(failure: Failure) -> Iterator[tuple[str, str, Array]]:
    """A LayerNorm of the model, of something else or of the right result."""
    model = failure.expected.oracle
    width = model.config.n_embd
    for path in _norms_near(failure):
        for name, array in (*_known(failure), (RIGHT, failure.truth)):
            if array.shape[-1] == width and array.shape == failure.truth.shape:
                text = f"{in_words(path)} of {name}{told_by_norm(failure, path, name)}"
                yield "norm_of", text, model.layer_norm(array, path)
    yield from _added_norms(failure)
    if failure.truth.shape[-1] == width:
        yield "norm_of", f"{RIGHT} normalised", model.normalise(failure.truth)


def _added_norms(failure: Failure) -> Iterator[tuple[str, str, Array]]:
    """The stream and a norm of what is added to it."""
    block, model = block_of(failure.tap), failure.expected.oracle
    part = {block: "mlp", f"{block}.ln_2{INPUT}": "attn"}.get(failure.tap)
    held = {**failure.expected.isolated, **failure.expected.given}
    base, added = held.get(f"{block}.ln_2{INPUT}"), held.get(f"{block}.{part}")
    if part == "attn":
        base = held.get(f"{block}{INPUT}")
    if part and base is not None and added is not None:
        for norm in (f"{block}.ln_1", f"{block}.ln_2"):
            text = f"the stream + {in_words(norm)} of {part} (what {part} returns is normalised)"
            yield "norm_of", text, base + model.layer_norm(added, norm)


def _norms_near(failure: Failure) -> list[str]:
    layer = layer_of(failure.tap)
    if layer is None:
        return ["transformer.ln_f"]
    return [f"transformer.h.{layer}.ln_1", f"transformer.h.{layer}.ln_2", "transformer.ln_f"]


def _of_other_inputs(failure: Failure) -> Iterator[tuple[str, str, Array]]:
    """The place's own layer, of another input."""
    path = module_of(failure.tap)
    model = failure.expected.oracle
    layer = _layer(failure, path)
    own = failure.expected.given.get(path + INPUT, failure.expected.isolated.get(path + INPUT))
    if is_input(failure.tap) or layer is None:
        return
    last = f"{path}.c_proj"
    mixed = failure.expected.isolated.get(last + INPUT)
    if mixed is not None and mixed.shape == failure.truth.shape:
        yield "left_out", f"what {in_words(last)} is given: {in_words(last)} is left out", mixed
    inputs = [*_known(failure), (RIGHT, failure.truth)]
    if own is not None:
        inputs += [(f"{name} of its input", function(own)) for name, function in FUNCTIONS]
        if own.shape[-1] == model.config.n_embd:
            inputs += [
                (f"{in_words(norm)} of its input", model.layer_norm(own, norm))
                for norm in _norms_near(failure)
            ]
    for name, array in inputs:
        try:
            result = layer(array)
        except ValueError:  # of another width
            continue
        yield "layer_of", f"{in_words(path)} of {name}", result


def _layer(failure: Failure, path: str) -> Callable[[Array], Array] | None:
    model = failure.expected.oracle
    if path == LOGITS:
        return lambda x: model.head(x, path)
    linear = path if f"{path}.weight" in model.weights else f"{path}.c_proj"
    if f"{linear}.bias" not in model.weights or ".ln_" in path:
        return None
    return lambda x: model.linear(x, linear)


def _tables(failure: Failure) -> Iterator[tuple[str, str, Array]]:
    """Rows of a table by other numbers."""
    path, model = module_of(failure.tap), failure.expected.oracle
    ids = failure.expected.case.ids
    if path == LOGITS:
        wte = model.weights["transformer.wte.weight"]
        hidden = failure.expected.given.get("transformer", failure.expected.isolated.get(path))
        if hidden is not None and hidden.shape[-1] == wte.shape[-1]:
            yield (
                "layer_of",
                f"{path} of hidden + wte of the token ids",
                (hidden + wte[ids]) @ wte.T,
            )
            unit = wte / np.sqrt((wte * wte).sum(axis=-1, keepdims=True))
            yield "layer_of", f"{path} by the unit vectors of wte", hidden @ unit.T
    if path == "transformer.wte":
        table = model.weights[f"{path}.weight"]
        for step, text in ((1, "the id after it"), (-1, "the id before it")):
            yield "rows", f"the row of {text}", table[(ids + step) % len(table)]
        yield (
            "rows",
            "the rows of the batch's first row",
            np.broadcast_to(table[ids[:1]], (*ids.shape, table.shape[1])),
        )
    if path == "transformer.wpe":
        table = model.weights[f"{path}.weight"]
        places = np.arange(ids.shape[-1])[None]
        backwards = places[:, ::-1]
        for text, numbers in (
            ("the positions backwards", backwards),
            ("position 0 for every token", 0 * places),
            ("every position twice", places // 2),
            ("positions one too early, and the last row for the first", places - 1),
            ("the last rows of the table", len(table) - places - 1),
            ("the batch's row numbers for positions", np.arange(len(ids))[:, None] + 0 * places),
        ):
            yield "rows", text, table[numbers % len(table)]


def _products(failure: Failure) -> Iterator[tuple[str, str, Array]]:
    """The product, or the larger, of two activations that are added."""
    held = dict(_neighbours(failure))
    names = list(held)
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            yield "product", f"{first} times {second}", held[first] * held[second]
            larger = np.maximum(held[first], held[second])
            yield "larger", f"the larger of {first} and {second}", larger


def _neighbours(failure: Failure) -> Iterator[tuple[str, Array]]:
    isolated, given = failure.expected.isolated, failure.expected.given
    block = block_of(failure.tap)
    names = (
        (f"{block}{INPUT}", f"{block}.attn", f"{block}.ln_2{INPUT}", f"{block}.mlp")
        if block and failure.tap != f"transformer.h.0{INPUT}"
        else ("transformer.wte", "transformer.wpe")
    )
    for name in names:
        if name in isolated:
            array = given.get(name, isolated[name]).astype(np.float64)
            if array.shape[1:] == failure.truth.shape[1:]:
                yield in_words(name), array
