"""The families' graphs, staged once and compiled once."""

from dataclasses import dataclass

import pytest
from max.driver import CPU
from max.engine import InferenceSession
from max.graph import Module

from tests.verify.graph.families import (
    casts,
    elementwise,
    indexing,
    products,
    reductions,
    shapes,
    windows,
)
from tests.verify.graph.families.family import to_array, to_buffer
from verify.graph.adapter import noting, read

FAMILIES = [
    family
    for module in (casts, elementwise, indexing, products, reductions, shapes, windows)
    for family in module.FAMILIES
]


@dataclass
class Staged:
    program: object  # what shall be compiled
    graphs: dict
    names: dict


def stage_all(families):
    """Families' graphs, by their names, with the names of their results."""
    compiled, others = Module(), Module()
    with noting(places=False) as notes:
        names = {
            family.name: family.stage(compiled if family.compiled else others)
            for family in families
        }
    found = [*read(compiled, notes), *read(others, notes)]
    return Staged(compiled, {graph.name: graph for graph in found}, names)


def compile_all(staged):
    """Runs a family's graph as MAX compiled it."""
    session = InferenceSession(devices=[CPU()])
    models = session.init_all(session.compile(staged.program), weights_registry={})

    def run(name, arrays):
        return [to_array(out) for out in models[name].execute(*map(to_buffer, arrays))]

    return run


@pytest.fixture(scope="session")
def staged():
    """Every family's graph."""
    return stage_all(FAMILIES)


@pytest.fixture(scope="session")
def run_compiled(staged):
    """Runs a family's graph as MAX compiled it."""
    return compile_all(staged)
