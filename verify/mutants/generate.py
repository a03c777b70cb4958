"""Every mutant of a graph."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from reference.taps import short_name
from verify.mutants import arrangement, fewer_bits, functions, held, literals, masks, operands
from verify.mutants.change import SHAPES, Mutant, Site, Source
from verify.mutants.reach import reach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from verify.graph.form import Graph
    from verify.mutants.change import Change
    from verify.mutants.forced import Forced

KINDS = {
    "operand": "an operand dropped: a bias, a residual, a scale",
    "operation": "an operation left out",
    "swap": "two operands exchanged",
    "value": "another value of the same shape as an operand",
    "operator": "another operator",
    "number": "another number: epsilon, scale, constant",
    "table": "another table of numbers",
    "mask": "another mask: shifted, of other limits, of another fill",
    "activation": "another activation",
    "reduction": "another reduction",
    "axis": "along another axis",
    "norm": "a norm with a part wrong",
    "permutation": "axes in another order",
    "grouping": "an axis split or merged the other way round",
    "order": "parts in another order, heads exchanged",
    "slice": "another slice",
    "index": "other rows of a table",
    "position": "other positions",
    "weight": "another weight, or the same one laid out otherwise",
    "cast": "fewer bits on the way",
}
"""What a mutant of each kind computes."""

OPERATORS: tuple[Callable[[Site], Iterator[Change]], ...] = (
    operands.left_out,
    operands.exchanged,
    operands.another,
    functions.operators,
    functions.activations,
    functions.reductions,
    functions.axes,
    functions.norms,
    literals.numbers,
    literals.attributes,
    literals.whole_numbers,
    literals.tables,
    masks.bands,
    masks.conditions,
    arrangement.permutations,
    arrangement.regrouped,
    arrangement.joined,
    arrangement.parted,
    arrangement.slices,
    arrangement.indices,
    arrangement.ranges,
    arrangement.repeats,
    held.weights,
    fewer_bits.casts,
)
"""What makes changes of an operation."""


def mutants_of(forced: Forced, taps: Mapping[str, Sequence[int]]) -> list[Mutant]:
    """Every mutant of a candidate's forced graph; see `mutants`.

    Args:
        forced: it.
        taps: those that are judged.
    """
    return mutants(forced.graph, taps, forced.given, forced.declared)


def mutants(
    graph: Graph,
    taps: Mapping[str, Sequence[int]],
    given: Mapping[int, tuple[int, str]] | None = None,
    declared: str = "float32",
) -> list[Mutant]:
    """Every mutant of a graph, in the order of its operations.

    Operations that compute shapes alone are left as they are: another shape is not a program. So
    are those that reach no tap, and what happens inside control flow.

    Args:
        graph: a forced graph.
        taps: in the order of execution, each with the numbers of the values that it shows.
        given: as `edit.Source` takes it.
        declared: the precision that the candidate declares.
    """
    reached, source = reach(graph, taps), Source(graph, given, declared)
    counts: Counter[tuple[str, str]] = Counter()
    found = []
    for index, operation in enumerate(graph.operations):
        stages = reached.of(operation)
        if not stages or operation.kind in SHAPES:
            continue
        for change in _changes(Site(source, index)):
            key = stages[0], change.kind
            counts[key] += 1
            name = f"{short_name(stages[0])} {change.kind} {counts[key]}"
            found.append(Mutant(name, stages[0], stages, index, operation, change))
    return found


def _changes(site: Site) -> Iterator[Change]:
    for operator in OPERATORS:
        yield from operator(site)
