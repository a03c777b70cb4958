"""A compiler with a planted defect, in NumPy: what a search is tried on without a minute a program.

It computes a graph as the graph means it, in the declared dtypes, but for the pattern that it gets
wrong. What the search does with it is what it does with MAX's.
"""

from verify.graph.errors import GraphError
from verify.graph.evaluate import evaluate
from verify.reduce.deviation import deviation, standard
from verify.reduce.source import in_max, needed
from verify.reduce.trials import TimeUpError, Trial
from verify.reduce.words import UnwritableError


def declared(specimen):
    """What the graph means in the dtypes that it declares."""
    return evaluate(specimen.graph, specimen.arrays, specimen.weights, "declared").outputs[0]


class PlantedTrials:
    """Trials whose compiler has a defect.

    Args:
        defect: gives for a specimen the one that is computed in its place.
        compute: computes it.
        most: programs after which the time is up.
    """

    def __init__(self, defect=lambda specimen: specimen, compute=declared, most=None):
        self.defect = defect
        self.compute = compute
        self.most = most
        self.programs = self.graphs = 0

    def judged(self, specimens):
        if self.most is not None and self.programs >= self.most:
            raise TimeUpError
        self.programs += 1
        self.graphs += len(specimens)
        return [self._trial(specimen) for specimen in specimens]

    def _trial(self, specimen):
        try:
            in_max(specimen.graph, "made")
            expected = standard(specimen)
            found = self.compute(self.defect(specimen))
        except (GraphError, UnwritableError) as error:
            return Trial(None, str(error))
        return Trial(deviation(found, expected))


def makers_of(specimen):
    return {value.number: one for one in needed(specimen.graph) for value in one.results}


def users_of(specimen):
    """By the number of a value, the operations that take it."""
    users = {}
    for operation in needed(specimen.graph):
        for number in operation.operands:
            users.setdefault(number, []).append(operation)
    return users
