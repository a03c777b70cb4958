"""The smallest part of a graph that MAX still computes wrongly.

    find      windows all over the graph, compiled alone: a fault that lies in a few operations
              shows in one of them, wherever it is. They grow until one is wrong, up to all of it
    minimise  operations become inputs with the values that NumPy computes there, or give what they
              take, one by one and together, until nothing can go
    shrink    sizes become smaller, symbols numbers

Everything that one step tries is compiled in one program. A specimen is wrong where its error is
far beyond what is allowed, and stays far beyond: a limit keeps the search from ending in another,
smaller fault than the one that it began with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from verify.reduce import edits, sizes
from verify.reduce.language import PHRASES
from verify.reduce.source import needed
from verify.reduce.trials import TimeUpError, programs
from verify.reduce.words import UnwritableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from verify.graph.form import Operation
    from verify.reduce.edits import Edit
    from verify.reduce.specimen import Specimen
    from verify.reduce.trials import Trial, Trials

FAR = 3.0
"""Errors over allowed from which a result is taken for wrong."""

FAR_ENOUGH = 100.0
"""No larger limit is asked for, however wrong the first specimen is."""

DEPTH = 12
"""Operations from the first to the last of the first windows. Every run of half as many lies whole
in one of them."""

NEAR = (1, 2, 3, 4, 6, 8)
"""Depths that are tried at once when a window is made smaller."""


class NothingWrongError(ValueError):
    """A graph that MAX computes as it is meant. One sentence."""


@dataclass(frozen=True, slots=True)
class Found:
    """A specimen that is computed wrongly.

    Attributes:
        specimen: it.
        trial: what became of it.
    """

    specimen: Specimen
    trial: Trial

    @property
    def weight(self) -> tuple[int, int, int]:
        """How large it is: operations, inputs and symbols, numbers."""
        graph = self.specimen.graph
        return (
            len(needed(graph)),
            len(graph.inputs) + len(sizes.symbols_of(self.specimen)),
            sum(array.size for array in self.specimen.arrays),
        )


class Search:
    """Reduces a specimen.

    Args:
        trials: compiles and judges.
        keep: called with every smaller specimen as soon as it is found.
        say: called with a sentence for each step.
    """

    def __init__(
        self,
        trials: Trials,
        keep: Callable[[Found], None] = lambda _: None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.trials = trials
        self.limit = FAR
        self.keep = keep
        self._say = say
        self.smallest: Found | None = None

    def run(self, specimen: Specimen) -> Found:
        """The smallest specimen that is found before the time is over.

        Raises:
            NothingWrongError: if no part of the graph is computed wrongly.
            TimeUpError: if the time is over before a part is found that is.
        """
        try:
            found = self.find(specimen)
            return self.shrink(self.minimise(found))
        except TimeUpError:
            if self.smallest is None:
                raise
            return self.smallest

    # ---- finding ---------------------------------------------------------------------------------

    def find(self, specimen: Specimen) -> Found:
        """The smallest window that is computed wrongly."""
        whole = writable(edits.tidied(specimen))
        values = edits.all_values(whole)
        longest = 1 + max(edits.distances(whole).values(), default=0)
        depth = DEPTH
        while True:
            windows = [
                edits.window(whole, operation, depth, values) for operation in anchors(whole, depth)
            ]
            self._say(f"{len(windows)} windows of up to {depth} operations in a row")
            wrong = self.first_wrong(windows)
            if wrong:
                best = min(wrong, key=lambda one: one.weight)
                self.limit = max(FAR, min(FAR_ENOUGH, math.sqrt(best.trial.used)))
                return self.kept(best)
            if depth >= longest:
                raise NothingWrongError(
                    "MAX computes the graph as it is meant, whole and in every part that was tried"
                )
            depth *= 2

    # ---- fewer operations ------------------------------------------------------------------------

    def minimise(self, found: Found) -> Found:
        """Fewer operations, until none can go."""
        best = found
        near = [edits.near(best.specimen, depth) for depth in NEAR]
        best = self.best(best, near)
        while True:
            every = edits.single(best.specimen)
            self._say(f"{len(every)} ways to make {best.weight[0]} operations fewer")
            wrong = self.wrong_edits(best.specimen, every)
            if not wrong:
                return best
            best = self.together(best, wrong)

    def together(self, best: Found, wrong: Sequence[tuple[Edit, Found]]) -> Found:
        """The smallest that edits make which can each be made alone."""
        alone = min((found for _, found in wrong), key=lambda one: one.weight)
        ways = [edit for edit, _ in smallest_of_each(wrong)]
        groups = [ways, ways[: len(ways) // 2], ways[len(ways) // 2 :], ways[::2], ways[1::2]]
        groups += [[*ways[:index], *ways[index + 1 :]] for index in range(len(ways))]
        tried = [edits.applied(best.specimen, group) for group in groups if len(group) > 1]
        return self.best(self.kept(alone), tried)

    # ---- smaller sizes ---------------------------------------------------------------------------

    def shrink(self, found: Found) -> Found:
        """Smaller sizes."""
        best = found
        for step in (sizes.resizings, sizes.bindings):
            every = step(best.specimen)
            self._say(f"{len(every)} other sizes")
            wrong = self.wrong_edits(best.specimen, every)
            if wrong:
                best = self.together(best, wrong)
        return best

    # ---- trying ----------------------------------------------------------------------------------

    def wrong_edits(self, specimen: Specimen, every: Sequence[Edit]) -> list[tuple[Edit, Found]]:
        """The edits after which a specimen is still computed wrongly."""
        made = [(edit, one) for edit in every if (one := edits.applied(specimen, [edit]))]
        trials = self.judged([one for _, one in made])
        return [
            (edit, Found(one, trial))
            for (edit, _), (one, trial) in zip(made, trials, strict=True)
            if trial.used > self.limit
        ]

    def best(self, best: Found, specimens: Iterable[Specimen | None]) -> Found:
        """The smallest of a found specimen and those that are computed wrongly too."""
        wrong = self.wrong([one for one in specimens if one is not None])
        smallest = min([best, *wrong], key=lambda one: one.weight)
        return self.kept(smallest)

    def wrong(self, specimens: Sequence[Specimen]) -> list[Found]:
        """Those that are computed wrongly."""
        judged = self.judged(specimens)
        return [Found(one, trial) for one, trial in judged if trial.used > self.limit]

    def first_wrong(self, specimens: Sequence[Specimen]) -> list[Found]:
        """Those that are computed wrongly, in the first program where there are any."""
        for group in programs(specimens):
            wrong = self.wrong(group)
            if wrong:
                return wrong
        return []

    def judged(self, specimens: Sequence[Specimen]) -> list[tuple[Specimen, Trial]]:
        """Each specimen, on plain random numbers if it is wrong on them too."""
        pairs = [(one, sizes.plain(one)) for one in specimens]
        flat = self.trials.judged([one for pair in pairs for one in pair])
        result = []
        for (own, plain), first, second in zip(pairs, flat[::2], flat[1::2], strict=True):
            use_plain = second.used > self.limit
            result.append((plain, second) if use_plain else (own, first))
        return result

    def kept(self, found: Found) -> Found:
        """Remember a specimen, if it is smaller than what was known."""
        if self.smallest is None or found.weight < self.smallest.weight:
            self.smallest = found
            self.keep(found)
        return found


def smallest_of_each(wrong: Sequence[tuple[Edit, Found]]) -> list[tuple[Edit, Found]]:
    """Of edits about the same, the one that makes the smallest specimen; the smallest first."""
    chosen: dict[str, tuple[Edit, Found]] = {}
    for edit, found in sorted(wrong, key=lambda pair: pair[1].weight):
        chosen.setdefault(edit.about, (edit, found))
    return list(chosen.values())


def writable(specimen: Specimen) -> Specimen:
    """Operations that have no phrase become inputs.

    Raises:
        UnwritableError: if the output is the result of one.
    """
    while True:
        unknown = [one for one in needed(specimen.graph) if not _has_phrase(one)]
        if not unknown:
            return specimen
        outputs = set(specimen.graph.outputs)
        cut = {value.number for one in unknown for value in one.results}
        if outputs & cut:
            raise UnwritableError(f"{unknown[-1].kind} cannot be written as an operation of MAX")
        specimen = edits.cut(specimen, cut)


def _has_phrase(operation: Operation) -> bool:
    return operation.kind in PHRASES or operation.kind == "mo.constant.external"


def anchors(specimen: Specimen, depth: int) -> list[Operation]:
    """Operations that windows of a depth end at.

    Each operation lies in the second half of a window, so that the operations before it, half as
    many as the window is deep, lie in it too.
    """
    graph = specimen.graph
    covered: set[Operation] = set()
    found = []
    for operation in reversed(needed(graph)):
        if operation not in covered:
            found.append(operation)
            block = replace(graph.block, outputs=(operation.results[0].number,))
            part = replace(specimen, graph=replace(graph, block=block))
            distance = edits.distances(part)
            covered.update(one for one in distance if distance[one] < depth // 2)
    return found
