"""The failing stages of a run, kept until it can be said what they have in common."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from reference.taps import in_words
from verify.explain.diagnosis import Finding, failure_at, findings, most_telling
from verify.graph.errors import GraphError
from verify.judge.finite import is_finite
from verify.locate.listing import Listing, listing, overflowing
from verify.locate.lost_bits import rounding_at_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from reference.trace import Array
    from verify.candidate.model_graphs import Computing
    from verify.explain.failure import Failure
    from verify.truth.expectation import Expectation

ROUNDED = "rounded"
"""The id of a finding that is read from the graph: rounding to fewer bits than declared."""

MOST_BYTES = 2 << 30
"""Activations that are kept of failing cases; stages of further cases are counted alone."""


@dataclass(slots=True)
class Collected:
    """Failing stages; it grows while a run goes on.

    Attributes:
        failures: those that are kept.
        further: how many more there are, whose activations would take too much memory.
        graphs: by failure, what gives the graph that computes its place.
        declared: the same at the precision that the graph declares, for what is NaN or infinite in
            a compiled program.
        overflow: what lists the graph of a place that is right in float64 and overflows in the
            declared precision; None where there is none.
    """

    failures: list[Failure] = field(default_factory=list)
    further: int = 0
    graphs: dict[int, Callable[[], Computing]] = field(default_factory=dict)
    declared: dict[int, Callable[[], Computing]] = field(default_factory=dict)
    overflow: Callable[[], Listing | None] | None = None
    _bytes: int = 0

    def add(
        self,
        taps: Iterable[str],
        found: Mapping[str, Array],
        expected: Expectation,
        visible: Collection[str],
        computing: Callable[[str], Computing] | None = None,
        declared: Callable[[str], Computing] | None = None,
    ) -> None:
        """Keep the failing stages of a case.

        Args:
            taps: those that failed in isolation.
            found: the candidate's forced trace.
            expected: what it was compared with.
            visible: the places that the candidate shows.
            computing: gives the graph that computes a place; None where there is none.
            declared: gives the same at the precision that the graph declares.
        """
        failed = list(taps)
        if not failed:
            return
        traces = (expected.isolated, expected.given, expected.free, found)
        self._bytes += sum(array.nbytes for trace in traces for array in trace.values())
        if self._bytes > MOST_BYTES and self.failures:
            self.further += len(failed)
            return
        for tap in failed:
            failure = failure_at(tap, found[tap], expected, visible)
            self.failures.append(failure)
            if computing:
                self.graphs[id(failure)] = partial(computing, tap)
            if declared:
                self.declared[id(failure)] = partial(declared, tap)

    def explained(self) -> tuple[list[Finding], Listing | None]:
        """What the failing stages have in common, and the graph of the first of them."""
        every = len(self.failures) + self.further
        found = [replace(finding, of=every) for finding in findings(self.failures)]
        try:
            if found:
                found[0] = self._rounded(found[0])
                return _with_reason(found, self._listing(found[0]))
            return found, self.overflow() if self.overflow else None
        except GraphError:
            return found, None

    def of_first_place(self) -> Failure | None:
        """The most telling failure of the first place that fails; None where nothing does."""
        order = {t: i for f in self.failures for i, t in enumerate(f.expected.isolated)}
        first = min(self.failures, key=lambda failure: order[failure.tap], default=None)
        if first is None:
            return None
        return most_telling([failure for failure in self.failures if failure.tap == first.tap])

    def _telling(self, finding: Finding) -> Failure | None:
        """Of a finding's place, the case that tells most and has a graph."""
        of_place = [f for f in self.failures if f.tap == finding.tap and id(f) in self.graphs]
        return most_telling(of_place) if of_place else None

    def _rounded(self, finding: Finding) -> Finding:
        """A mere description, replaced by the rounding that the graph shows, where that is all."""
        failure = None if finding.ids else self._telling(finding)
        if failure is None:
            return finding
        graph = self.graphs[id(failure)]()
        words = rounding_at_fault(failure.tap, graph, failure.expected)
        if not words:
            return finding
        text = f"{in_words(failure.tap)}: found {words} [{ROUNDED}]"
        return replace(finding, text=text, ids=(ROUNDED,))

    def _listing(self, finding: Finding) -> Listing | None:
        """The graph of the first failing place, in the case that tells most."""
        failure = self._telling(finding)
        if failure is None:
            return None
        computing, expected = self.graphs[id(failure)](), failure.expected
        if id(failure) in self.declared and not is_finite(failure.found):
            narrow = self.declared[id(failure)]()
            made = overflowing(computing, narrow, expected, failure.tap, expected.dtype)
            if made is not None:
                return made
        return listing(failure.tap, computing, expected)


def _with_reason(
    found: list[Finding], graph: Listing | None
) -> tuple[list[Finding], Listing | None]:
    """The first finding with why its place is NaN or infinite, where its graph shows that."""
    if graph is None or not graph.overflows or graph.summary in found[0].text:
        return found, graph
    first = replace(found[0], text=f"{found[0].text}; {graph.summary}")
    return [first, *found[1:]], graph
