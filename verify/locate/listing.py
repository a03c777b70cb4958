"""The operations of a failing stage as lines, and the first that departs from the reference."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from reference.oracle import Oracle
from reference.taps import in_words
from verify.locate.differences import Recognised, difference, shows_the_right_keys
from verify.locate.matching import matched
from verify.locate.overflow import origin
from verify.locate.quantities import quantities
from verify.locate.segment import CASTS, scalar, segment

if TYPE_CHECKING:
    from verify.candidate.model_graphs import Computing
    from verify.graph.form import Operation
    from verify.locate.segment import Segment
    from verify.truth.expectation import Expectation

MOST_LINES = 60
"""Operations that a listing keeps: of a longer one, those around the first that departs."""


@dataclass(frozen=True, slots=True)
class Line:
    """One operation.

    Attributes:
        kind: MAX's name of it, without `mo.`.
        operands: what it takes: quantities, weights and numbers by their names.
        shape: of its result, in the case at hand.
        place: file and line that made it; "" where that is not known.
        code: what stands there.
        quantity: of the reference, that its value is; "" for none.
        departs: whether it is the first that departs.
        file: the path of that file, and `line` in it, counted from 1; "" and 0 where not known.
    """

    kind: str
    operands: str
    shape: str
    place: str
    code: str
    quantity: str
    departs: bool
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """What computes a place, and where it departs from the reference.

    Attributes:
        tap, case: the place, and the input.
        lines: its operations, in their order.
        summary: up to where it matches, and what differs first, in a sentence; "" if all matches.
        dtype: what it departs in: float64, or the declared precision where that overflows.
        overflows: whether the summary tells what makes it NaN or infinite.
    """

    tap: str
    case: str
    lines: tuple[Line, ...]
    summary: str
    dtype: str = "float64"
    overflows: bool = False

    def record(self) -> dict[str, Any]:
        """As `graph` records have it (`reports/SCHEMA.md`)."""
        return {
            "record": "graph",
            "tap": self.tap,
            "case": self.case,
            "dtype": self.dtype,
            "summary": self.summary,
            "operations": [asdict(line) for line in self.lines],
        }

    def around(self, most: int) -> list[Line]:
        """The lines around the first that departs; of all, if none does, the last."""
        place = next((i for i, line in enumerate(self.lines) if line.departs), len(self.lines) - 1)
        first = max(0, min(place - most + 2, len(self.lines) - most))
        return list(self.lines[first : first + most])


def listing(tap: str, computing: Computing, expected: Expectation) -> Listing:
    """List what computes a place in a candidate's graph.

    Args:
        tap: the reference's name of it.
        computing: the graph, and what it takes.
        expected: what the case is compared with.

    Raises:
        verify.graph.errors.GraphError: where the graph cannot be evaluated.
    """
    of = _recognised(tap, computing, expected)
    departs, summary = _departure(of, spelled=isinstance(expected.oracle, Oracle))
    overflows = origin(of.found) is not None
    return Listing(tap, expected.case.name, _lines(of, departs), summary, overflows=overflows)


def overflowing(
    computing: Computing, declared: Computing, expected: Expectation, tap: str, dtype: str
) -> Listing | None:
    """List what computes a place that is right in float64, up to where it overflows.

    Args:
        computing: the graph, and what it takes, in float64.
        declared: the same at the precision that the graph declares.
        expected: what the case is compared with.
        tap: the reference's name of the place.
        dtype: the declared precision.

    Returns:
        The listing; None if nothing is NaN or infinite.

    Raises:
        verify.graph.errors.GraphError: where the graph cannot be evaluated.
    """
    made = origin(segment(declared, "declared"))
    if made is None:
        return None
    of = _recognised(tap, computing, expected)
    # Where float64 is rounded on the way, operations that round are numbered anew.
    alike = [op for op in of.found.operations if _is_line_of(op, made.operation)]
    departs = next(iter(alike), None)
    return Listing(tap, expected.case.name, _lines(of, departs), made.text, dtype, overflows=True)


def _is_line_of(operation: Operation, other: Operation) -> bool:
    return (operation.kind, operation.place) == (other.kind, other.place)


def _recognised(tap: str, computing: Computing, expected: Expectation) -> Recognised:
    found, right = segment(computing), expected.isolated[tap]
    known = quantities(tap, expected)
    return Recognised(found, known, matched(found, known, right), tap, right)


def _lines(of: Recognised, departs: Operation | None) -> tuple[Line, ...]:
    lines = (_line(of, op, departs=op is departs) for op in of.found.operations)
    return _shortened(tuple(lines))


def _shortened(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    if len(lines) <= MOST_LINES:
        return lines
    place = next((i for i, line in enumerate(lines) if line.departs), len(lines) - 1)
    first = max(0, min(place - MOST_LINES // 2, len(lines) - MOST_LINES))
    return lines[first : first + MOST_LINES]


def _departure(of: Recognised, *, spelled: bool) -> tuple[Operation | None, str]:
    """The operation that departs, and how; what makes a NaN comes first.

    Args:
        of: the segment.
        spelled: whether the reference's steps are known, and not only what its modules hold.
    """
    if made := origin(of.found):
        departs = _mask_of(of, made.operation)
        elsewhere = departs is not made.operation and departs.place
        mask = f"; the mask is made at {departs.place}" if elsewhere else ""
        return departs, f"{made.text}{mask}"
    if of.matches.departs is None:
        return None, _passed_on(of)
    if not spelled:
        return None, "the reference's own steps in here are not known, and nothing is matched"
    departs = _blamed(of, of.matches.departs)
    matches = _last_match(of, departs)
    head = f"it matches up to {matches}; first differs: " if matches else "first differs: "
    return departs, f"{head}{_kind(departs)}{_at(departs)}{difference(of, departs)}"


def _passed_on(of: Recognised) -> str:
    """What a place is that nothing computes, where it should be something else."""
    other = next((of.known[place].words for place in of.matches.mistaken.values()), "")
    if not other:
        return ""
    return f"{in_words(of.tap)} should be {of.own()}, and is {other}, which is passed on as it is"


def _mask_of(of: Recognised, operation: Operation) -> Operation:
    """What made the mask of a softmax that has a row without keys; else the operation itself."""
    makers = _makers(of.found)
    sums = [makers[n] for n in map(of.found.source, operation.operands) if n in makers]
    made = _blamed(of, sums[0]) if sums else operation
    return operation if sums and made is sums[0] else made


def _makers(found: Segment) -> dict[int, Operation]:
    """By number of a value, the operation that makes it."""
    return {value.number: op for op in found.operations for value in op.results}


def _blamed(of: Recognised, departs: Operation) -> Operation:
    """The operation that departs; for scores with a wrong mask, what made the mask."""
    if departs.kind not in ("mo.add", "mo.select"):
        return departs
    makers, found = _makers(of.found), of.found
    sides = [found.source(number) for number in departs.operands]
    made = [n for n in sides if n in makers and n not in found.data]
    return makers[made[0]] if len(made) == 1 and not shows_the_right_keys(of, made[0]) else departs


def _last_match(of: Recognised, departs: Operation) -> str:
    """The latest quantity before an operation, with its place."""
    latest = ""
    for operation in of.found.operations:
        if operation is departs:
            break
        if quantity := of.quantity(operation.results[0].number):
            latest = f"{quantity}{_at(operation)}"
    return latest


# ---- lines ---------------------------------------------------------------------------------------


def _line(of: Recognised, operation: Operation, *, departs: bool) -> Line:
    number, place = operation.results[0].number, operation.place
    array = of.found.values.get(number)
    return Line(
        kind=_kind(operation),
        operands=", ".join(_operands(of, operation)),
        shape="" if array is None else "x".join(map(str, array.shape)),
        place=str(place or ""),
        code=_unescaped(place.code) if place else "",
        quantity=of.quantity(number),
        departs=departs,
        file=place.file if place else "",
        line=place.line if place else 0,
    )


def _operands(of: Recognised, operation: Operation) -> list[str]:
    """What an operation takes, sizes and numbers of axes left out."""
    names = []
    for number in map(of.found.source, operation.operands):
        array = of.found.values.get(number)
        if array is not None and (array.dtype.kind == "f" or number in of.found.data):
            names.append(_name(of, number))
    return names


def _name(of: Recognised, number: int) -> str:
    """A value in a word: its quantity, what it is called, or its number."""
    if quantity := of.quantity(number):
        return quantity
    if number in of.found.names:
        return in_words(of.found.names[number])
    value = scalar(of.found, number)
    return "..." if value is None else f"{value:.6g}"


def _kind(operation: Operation) -> str:
    """MAX's name of an operation; of a cast also to what."""
    name = operation.kind.removeprefix("mo.")
    return f"{name} {operation.results[0].dtype}" if operation.kind in CASTS else name


def _unescaped(code: str) -> str:
    """Source as it stands in its file: MLIR prints a quote as a backslash and 22."""
    return re.sub(r"\\([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), code)


def _at(operation: Operation) -> str:
    return f" ({operation.place})" if operation.place else ""
