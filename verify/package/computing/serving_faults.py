"""Faults of serving, planted in a package's graph: what the scenarios would have noticed.

Each changes what the graph gives to operations on the cache: positions, pages, layers, rows. Such
mistakes leave a whole prompt alone, or a first request, right. Every fault is run through the
scenarios of `verify.package.computing.served` until one of them fails, and must be noticed there by
a margin.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.faults.sighting import MARGIN
from verify.graph.form import Operation
from verify.graph.operations.registry import CUSTOM, custom
from verify.judge.verdict import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reference.trace import Array
    from verify.graph.form import Graph
    from verify.graph.scope import Scope
    from verify.package.computing.served import Served
    from verify.package.opening.driven import Requests

MODE = "math-power"

CHANGED = "verify.changed"
"""The custom operation that changes an operand: its attribute `fault` names how."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of serving.

    Attributes:
        id: short.
        text: what is wrong, for tables.
        operand: of the operations on the cache, by the name that their meanings give it.
        change: makes the wrong operand of the right one.
        reads: whether operations that only read the cache are changed, or those that store too.
    """

    id: str
    text: str
    operand: str
    change: Callable[[Array], Array]
    stores: bool = True
    reads: bool = True


def _first_page(pages: Array) -> Array:
    return np.repeat(pages[:, :1], pages.shape[1], axis=1)


def _rolled(array: Array) -> Array:
    return np.roll(array, 1, axis=0)


FAULTS = (
    Fault("decode_position_0", "positions begin at 0 in every pass", "cached", np.zeros_like,
          reads=False),
    Fault("decode_position_late", "positions are one too large after the first pass", "cached",
          lambda cached: np.where(cached > 0, cached + 1, cached), reads=False),
    Fault("cache_unread", "attention sees the tokens of this pass alone", "cached", np.zeros_like,
          stores=False),
    Fault("cache_short", "attention takes the cache for one token shorter than it is", "cached",
          lambda cached: np.maximum(cached, 1) - 1, stores=False),
    Fault("other_row", "attention reads the cache of another row", "pages", _rolled,
          stores=False),
    Fault("page_end", "tokens beyond a page's end are read from the first page", "pages",
          _first_page, stores=False),
    Fault("page_overwritten", "tokens beyond a page's end overwrite the first page", "pages",
          _first_page),
    Fault("layer_0", "every layer reads the first layer's cache", "layer", np.zeros_like,
          stores=False),
)  # fmt: skip


@custom(CHANGED)
def changed(scope: Scope, array: Array) -> Array:
    """What a fault makes of an operand."""
    fault = next(one for one in FAULTS if one.id == scope["fault"])
    return fault.change(array).astype(array.dtype)


def with_fault(graph: Graph, fault: Fault) -> Graph | None:
    """The graph with a fault in every operation that it applies to; None where there is none."""
    free = max(graph.values()) + 1
    made: list[Operation] = []
    for operation in graph.operations:
        at = _operand(operation, fault)
        if at is None:
            made.append(operation)
            continue
        right = operation.operands[at]
        wrong = replace(graph.values()[right], number=free)
        made.append(
            Operation("mo.custom", (right,), (wrong,), {"symbol": CHANGED, "fault": fault.id})
        )
        operands = (*operation.operands[:at], free, *operation.operands[at + 1 :])
        made.append(replace(operation, operands=operands))
        free += 1
    return graph.with_operations(made) if len(made) > len(graph.operations) else None


def _operand(operation: Operation, fault: Fault) -> int | None:
    """Which operand of an operation a fault changes; None where it does not apply."""
    meaning = CUSTOM.get(operation.attributes.get("symbol", ""))
    if operation.kind != "mo.custom" or meaning is None:
        return None
    names = list(inspect.signature(meaning).parameters)[1:]
    if "cell" not in names or fault.operand not in names:
        return None
    applies = fault.stores if STORES in operation.attributes["symbol"] else fault.reads
    return names.index(fault.operand) if applies else None


STORES = "store"
"""Is part of the symbol of an operation that writes to the cache."""


def power_checks(requests: Requests, served: Served, longest: int) -> Iterator[Check]:
    """One check for each fault: whether a scenario notices it.

    Args:
        requests: of the opened package; none may be live.
        served: its scenarios.
        longest: tokens that the model has positions for.
    """
    for fault in FAULTS:
        wrong = with_fault(requests.model.graph, fault)
        if wrong is None:
            continue
        with _graph(requests, wrong):
            yield _noticed(fault, list(served.checks(longest, stop=True)))


@contextmanager
def _graph(requests: Requests, graph: Graph) -> Iterator[None]:
    """Another graph in place of the package's own, as long as this lasts."""
    model = requests.model
    right, model.graph = model.graph, graph
    requests.engine.forget()
    try:
        yield
    finally:
        model.graph = right
        requests.engine.forget()


def _noticed(fault: Fault, checks: list[Check]) -> Check:
    failed = [check for check in checks if check.verdict == "FAIL"]
    margin = max((check.used or 0.0 for check in failed), default=0.0)
    caught = margin >= MARGIN or any(check.used is None for check in failed)
    details: dict[str, Any] = {
        "margin": margin if np.isfinite(margin) else str(margin),
        "blamed": failed[0].tap if failed else None,
        "in": failed[0].case if failed else None,
        "text": fault.text,
    }
    message = "" if caught else f"{fault.text}: no scenario notices it"
    return Check(
        case=fault.id, mode=MODE, tap=failed[0].tap if failed else "",
        verdict="PASS" if caught else "UNDERPOWERED", regime="given", device="cpu",
        message=message, details=details,
    )  # fmt: skip
