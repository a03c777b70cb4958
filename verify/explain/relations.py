"""How a wrong result relates to what is known: times a factor, a sum of other activations, clamped.

Nothing here knows what a stage computes, so that it serves every place of every architecture.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from reference.oracle import Oracle
from reference.taps import INPUT, block_of, in_words, is_input, with_layer
from verify.explain.block_sums import told_by_place, told_by_sum
from verify.explain.closed_forms import FACTORS, in_numbers, same, short
from verify.explain.compositions import RIGHT, compositions
from verify.explain.explanation import Explanation
from verify.faults.planted import computed_in
from verify.judge.metrics import rms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reference.trace import Array
    from verify.explain.failure import Failure

NOTHING = 1e-6
"""A coefficient below this counts as 0, and one so near to 1 as 1."""

INDEPENDENT = 1e-6
"""An activation counts as new if so much of it, relatively, lies outside the span of the others."""

MOST_TERMS = 4
"""A sum of more activations explains nothing."""

CAPS = (50.0, 30.0, 20.0, 10.0, 100.0)
"""By which logits are capped softly: Gemma's 30 and 50, and others that are round."""

BISECTIONS = 200


@dataclass(frozen=True, slots=True)
class Relation:
    """What a wrong result is.

    Attributes:
        id: of the kind of relation.
        text: in words.
        expected: what it should be, in the same words; "" where that would say nothing.
        result: what it would be exactly.
        factor: the number, where it is the right result times a number.
    """

    id: str
    text: str
    expected: str
    result: Array
    factor: float | None = None


def relation(failure: Failure) -> Relation | None:
    """The first relation that explains a failure; None if none does."""
    if not failure.comparable:
        return None
    return next((r for r in _relations(failure) if failure.explained_by(r.result)), None)


def relations(failures: Mapping[int | None, Sequence[Failure]]) -> list[Explanation]:
    """Relations that explain the failures of a place, those of several blocks together.

    Args:
        failures: by block, the most telling first.
    """
    telling = {own: several[0] for own, several in failures.items()}
    known = {own: found for own, f in telling.items() if (found := relation(f)) is not None}
    place = with_layer(next(iter(telling.values())).tap, "{layer}")
    alike: dict[tuple[str, str], list[int | None]] = {}
    for own, found in known.items():
        text = "" if found.factor is not None else _anywhere(found.text, telling[own])
        alike.setdefault((found.id, text), []).append(own)
    return [
        Explanation(
            id=id_,
            found=_factors(telling, known, owns) or known[owns[0]].text,
            expected=known[owns[0]].expected,
            layers=tuple(owns),
            left=partial(_left, place, id_, text),
        )
        for (id_, text), owns in alike.items()
    ]


def _anywhere(text: str, failure: Failure) -> str:
    """A text that is the same in every block."""
    block = in_words(block_of(failure.tap))
    return re.sub(rf"\b{re.escape(block)}\b", "the block", text) if block else text


def _left(place: str, id_: str, text: str, failure: Failure) -> float:
    """What a relation of a kind leaves of a failure's error; infinite where it does not hold."""
    found = relation(failure) if with_layer(failure.tap, "{layer}") == place else None
    if found is None or found.id != id_:
        return math.inf
    # The range of a clamped result depends on the input; a factor may depend on the block.
    varies = id_ in ("factor", "clamp", "cap")
    same_text = varies or _anywhere(found.text, failure) == text
    return failure.left(found.result) if same_text else math.inf


def _factors(
    telling: Mapping[int | None, Failure],
    known: Mapping[int | None, Relation],
    owns: list[int | None],
) -> str:
    """Factors of several blocks in words."""
    values = {own or 0: factor for own in owns if (factor := known[own].factor) is not None}
    if not values:
        return ""
    return f"the right result times {_numbers(telling[owns[0]], values)}"


def _numbers(failure: Failure, values: dict[int, float]) -> str:
    """Factors by block in words, with the formula of a GPT-2's sizes that gives them."""
    oracle = failure.expected.oracle
    if isinstance(oracle, Oracle):
        return in_numbers(values, oracle.config, FACTORS)
    return ", ".join(dict.fromkeys(map(short, values.values())))


def _relations(failure: Failure) -> Iterator[Relation]:
    found, truth = failure.found.astype(np.float64), failure.truth
    yield from _constant(found)
    yield from _factor(failure, found, truth)
    yield from _elsewhere(failure)
    yield from _sum(failure, found)
    yield from _clamped(found, truth)
    yield from _capped(found, truth)
    yield from _shifted(found, truth)
    yield from _heads(failure, found, truth)
    for id_, text, result in compositions(failure):
        yield Relation(id_, text, "", result)


def _constant(found: Array) -> Iterator[Relation]:
    first = float(found.flat[0])
    text = "zeros everywhere" if first == 0 else f"{short(first)} everywhere"
    yield Relation("constant", text, "", np.full_like(found, first))


def _factor(failure: Failure, found: Array, truth: Array) -> Iterator[Relation]:
    whole = float(np.vdot(truth, truth))
    factor = float(np.vdot(truth, found)) / whole if whole else 0.0
    if abs(factor) > NOTHING:
        text = f"the right result times {_numbers(failure, {failure.layer or 0: factor})}"
        yield Relation("factor", text, "", factor * truth, factor)


def _elsewhere(failure: Failure) -> Iterator[Relation]:
    """What another place holds: of this block, or the same place of another one."""
    neighbours = list(_neighbours(failure))
    equal = (n for n, a in neighbours if not is_input(n) and np.array_equal(a, failure.truth))
    own = in_words(next(equal, failure.tap))
    for name, array in neighbours:
        if array.shape == failure.truth.shape and name != failure.tap and not is_input(name):
            text = in_words(name) + told_by_place(failure, name)
            yield Relation("elsewhere", text, own, array)
    for name, array in failure.expected.isolated.items():
        moved = failure.layer is not None and with_layer(name, failure.layer) == failure.tap
        if moved and name != failure.tap and array.shape == failure.truth.shape:
            text = in_words(name) + told_by_place(failure, name)
            yield Relation("elsewhere", text, own, array)


def _neighbours(failure: Failure) -> Iterator[tuple[str, Array]]:
    """Activations of the same block, or of what lies outside, as stages are fed with them."""
    block = computed_in(failure.tap)
    isolated, given = failure.expected.isolated, failure.expected.given
    for name in isolated:
        inside = computed_in(name) == block or name == f"{block}{INPUT}"
        inside |= not block and name == block_of(name)
        array = given.get(name, isolated[name])
        if inside and array.dtype.kind not in "iub" and array.shape[-1] == failure.truth.shape[-1]:
            yield name, array.astype(np.float64)


def _sum(failure: Failure, found: Array) -> Iterator[Relation]:
    """A sum of known activations, each with a factor."""
    terms = _independent(failure)
    if not terms:
        return
    table = np.stack([column for _, column in terms], axis=1)
    solved = np.linalg.lstsq(table, found.ravel(), rcond=None)[0]
    solved[np.abs(solved) <= NOTHING] = 0
    if 0 < np.count_nonzero(solved) <= MOST_TERMS:
        right = np.linalg.lstsq(table, failure.truth.ravel(), rcond=None)[0]
        fits = rms(table @ right - failure.truth.ravel()) <= NOTHING * rms(failure.truth)
        names = [name for name, _ in terms]
        expected = _terms(failure, names, right) if fits and RIGHT not in names else ""
        result = (table @ solved).reshape(found.shape)
        factors = dict(zip(names, solved.tolist(), strict=True))
        told = told_by_sum(failure, {name: factor for name, factor in factors.items() if factor})
        yield Relation("sum", _terms(failure, names, solved) + told, expected, result)


def _independent(failure: Failure) -> list[tuple[str, Array]]:
    """Activations of which none is a sum of those before it."""
    terms: list[tuple[str, Array]] = []
    basis: list[Array] = []
    # The right result comes last: what it is a sum of says more.
    for name, array in (*_terms_of(failure), (RIGHT, failure.truth)):
        rows = array.shape[0] in (1, *failure.truth.shape[:1])
        if array.shape[1:] != failure.truth.shape[1:] or not rows:
            continue
        column = np.broadcast_to(array, failure.truth.shape).ravel()
        rest = column.copy()
        for direction in basis:
            rest -= direction * (direction @ rest)
        size = float(np.linalg.norm(rest))
        if size > INDEPENDENT * float(np.linalg.norm(column)):
            basis.append(rest / size)
            terms.append((name, column))
    return terms


def _terms_of(failure: Failure) -> Iterator[tuple[str, Array]]:
    """What a sum may be made of: what the block is given, and what its larger modules return."""
    block = computed_in(failure.tap)
    for name, array in _neighbours(failure):
        depth = name.removeprefix(f"{block}.").count(".")
        given = name == f"{block}{INPUT}"
        module = not is_input(name) and name not in (block, failure.tap)
        if given or (module and (depth == 0 or not block)):
            yield name, array


def _terms(failure: Failure, names: list[str], factors: Array) -> str:
    """`h.0 + 0.5 x h.0.attn`."""
    texts = []
    for name, factor in zip(names, factors.tolist(), strict=True):
        if abs(factor) > NOTHING:
            number = _numbers(failure, {failure.layer or 0: factor})
            words = name if name == RIGHT else in_words(name)
            texts.append(words if same(factor, 1) else f"{number} x {words}")
    return " + ".join(texts)


def _clamped(found: Array, truth: Array) -> Iterator[Relation]:
    low, high = float(found.min()), float(found.max())
    above, below = float(truth.max()) > high, float(truth.min()) < low
    ends = [f"below {short(low)}"] * below + [f"above {short(high)}"] * above
    if ends:
        text = f"the right result clamped, nothing {' or '.join(ends)}"
        yield Relation("clamp", text, "", np.clip(truth, low, high))


def _capped(found: Array, truth: Array) -> Iterator[Relation]:
    """Capped softly: c tanh(x / c)."""
    for cap in (*CAPS, *_fitted_cap(found, truth)):
        text = f"the right result x capped, c tanh(x / c) with c = {short(cap)}"
        yield Relation("cap", text, "", cap * np.tanh(truth / cap))


def _fitted_cap(found: Array, truth: Array) -> Iterator[float]:
    """From the largest element: found = c tanh(x / c), solved by bisection."""
    at = np.unravel_index(int(np.abs(truth).argmax()), truth.shape)
    x, y = abs(float(truth[at])), abs(float(found[at]))
    if not 0 < y < x:
        return
    low, high = y, 1e6 * x
    for _ in range(BISECTIONS):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if middle * np.tanh(x / middle) < y else (low, middle)
    yield low


def _shifted(found: Array, truth: Array) -> Iterator[Relation]:
    """Each token holds what belongs to its neighbour."""
    if truth.ndim != 3 or truth.shape[1] < 3:
        return
    for step, where in ((1, "before"), (-1, "after")):
        result = np.roll(truth, step, axis=1)
        edge = 0 if step > 0 else -1
        result[:, edge] = found[:, edge]
        yield Relation("shift", f"at each token the result of the token {where} it", "", result)


def _heads(failure: Failure, found: Array, truth: Array) -> Iterator[Relation]:
    """Heads in another order."""
    oracle = failure.expected.oracle
    if not (failure.tap.endswith(f"attn.c_proj{INPUT}") and isinstance(oracle, Oracle)):
        return
    n_head = oracle.config.n_head
    mine, theirs = (x.reshape(*x.shape[:-1], n_head, -1) for x in (found, truth))
    order = [
        int(np.argmin([rms(mine[..., head, :] - theirs[..., other, :]) for other in range(n_head)]))
        for head in range(n_head)
    ]
    if order != list(range(n_head)):
        result = theirs[..., order, :].reshape(truth.shape)
        yield Relation("heads", f"heads in the order {order}", "heads in their order", result)
