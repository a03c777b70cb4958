"""The smallest part of a graph that MAX still computes wrongly.

    find      windows all over the graph, compiled alone: a fault that lies in a few operations
              shows in one of them, wherever it is. They grow until one is wrong, up to all of it
    minimise  operations become inputs with the values that NumPy computes there, or give what they
              take, one by one and together, until nothing can go
    shrink    sizes become smaller, symbols numbers
    enlarge   where what is left is hardly beyond rounding, as a long sum's error is in a short
              one: other sizes show it better

Everything that one step tries is compiled in one program. A specimen is wrong where its error is
beyond a limit, the root of how wrong the whole was: the search cannot end in another, smaller fault
than the one that it began with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reports.tables.numbers import multiple
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

PROVEN = 3.0
"""Errors over allowed from which a specimen proves that MAX is wrong."""

CLEAR = 10.0
"""Errors over allowed from which no other sizes are looked for that show it better."""

LIMITS = (1.0, 100.0)
"""The least and the largest error over allowed from which a result is taken for wrong."""

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
        self.limit = PROVEN
        self.keep = keep
        self._say = say
        self.smallest: Found | None = None

    def run(self, specimen: Specimen, used: float = PROVEN**2) -> Found:
        """The smallest specimen that is found before the time is over.

        Args:
            specimen: it is computed wrongly, or at least seems to be.
            used: its error over allowed.

        Raises:
            NothingWrongError: if no part of the graph is computed wrongly.
            TimeUpError: if the time is over before a part is found that is.
        """
        try:
            self.limit = limit_for(used)
            found = self.enlarge(self.shrink(self.minimise(self.find(specimen))))
            if found.trial.used < PROVEN:
                raise NothingWrongError(
                    f"what MAX computes is {multiple(found.trial.used)} what rounding explains, in "
                    "the worst part that was found: that proves nothing"
                )
            return found
        except TimeUpError:
            if self.smallest is None or self.smallest.trial.used < PROVEN:
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
                self.limit = limit_for(max(one.trial.used for one in wrong))
                as_wrong = (one for one in wrong if one.trial.used >= self.limit)
                return self.kept(min(as_wrong, key=lambda one: one.weight))
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

    def enlarge(self, found: Found) -> Found:
        """Other sizes, where they show a small fault better."""
        if found.trial.used >= CLEAR:
            return found
        every = sizes.enlargings(found.specimen)
        self._say(f"{len(every)} larger sizes, to show it better")
        larger = [found, *(one for _, one in self.wrong_edits(found.specimen, every))]
        best = max(larger, key=lambda one: one.trial.used)
        self.smallest = best
        if best.trial.used >= PROVEN:
            self.keep(best)
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
            if found.trial.used >= PROVEN:
                self.keep(found)
        return found


def limit_for(used: float) -> float:
    """The error over allowed that a part of something must have, to be wrong in the same way."""
    least, most = LIMITS
    return max(least, min(most, math.sqrt(used)))


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
