"""What is asked of every family: PyTorch's numbers, and what MAX's compiler makes of the graph."""

import pytest

from tests.verify.graph.families.family import array_of, difference, wide
from verify.graph.evaluate import evaluate

FLOAT64 = 1e-12
"""What two float64 evaluations of a few hundred terms may differ by, as `difference` takes it."""


def cases(families):
    """Each family with each of its sets of inputs."""
    return pytest.mark.parametrize(
        ("family", "index"),
        [
            pytest.param(family, index, id=f"{family.name}-{index}")
            for family in families
            for index in range(len(family.inputs))
        ],
    )


def compiled(families):
    """Each family whose graph is compiled."""
    return pytest.mark.parametrize(
        "family", [pytest.param(one, id=one.name) for one in families if one.compiled]
    )


def assert_meant(staged, family, index):
    """In float64, the evaluated graph is what PyTorch or NumPy makes of the same inputs."""
    arrays = [wide(array) for array in family.inputs[index]]
    found = evaluate(staged.graphs[family.name], arrays).outputs
    truth = family.truth(*arrays)
    results = dict(zip(staged.names[family.name], found, strict=True))
    assert truth.keys() <= results.keys()
    differences = {
        name: said
        for name, value in truth.items()
        if value is not None
        and (said := difference(results[name], array_of(value), FLOAT64, family.unit))
    }
    assert not differences


def assert_compiled(staged, run_compiled, family):
    """At the declared precision it is what MAX compiles, but where MAX is known to be unlike."""
    unlike = {}
    for arrays in family.inputs:
        graph = staged.graphs[family.name]
        found = evaluate(graph, list(arrays), precision="declared").outputs
        compiled = run_compiled(family.name, arrays)
        for name, ours, theirs in zip(staged.names[family.name], found, compiled, strict=True):
            assert ours.dtype == theirs.dtype
            if said := difference(theirs, ours, family.rounding, family.unit):
                unlike[name] = said
    assert unlike.keys() == family.unlike.keys(), unlike
