"""Mutants of graphs made by hand."""

import numpy as np

from tests.verify.graph.helpers import staged
from verify.graph.evaluate import evaluate
from verify.mutants.generate import mutants


def of(build, *types, kind=None):
    """A graph with one tap, `out`, and its mutants; of one kind, if named."""
    graph = staged(build, *types)
    found = mutants(graph, {"out": graph.outputs})
    return graph, [mutant for mutant in found if kind in (None, mutant.kind)]


def results(build, types, inputs, kind, weights=None):
    """What each mutant of a kind computes, by what it says of itself; a second one ends in #2."""
    graph, found = of(build, *types, kind=kind)
    computed = {}
    for mutant in found:
        name, count = mutant.change.found, 1
        while name in computed:
            count += 1
            name = f"{mutant.change.found} #{count}"
        computed[name] = evaluate(mutant.applied_to(graph), inputs, weights).outputs[0]
    return computed


def close(a, b):
    """Whether two arrays are the same but for rounding."""
    return np.allclose(a, b, rtol=1e-12, atol=1e-12)
