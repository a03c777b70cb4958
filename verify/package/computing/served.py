"""Is it the same mathematics as it is served: uneven rows, chunks, decoding, pages, prefixes?

A forward pass over whole sequences says nothing of the positions of a decoded token, of a page's
end, or of whose cache a row reads. So requests are run as a server runs them, several in a batch at
different stages, each pass by the package's own batch processor and MAX's own manager of the cache,
and every logit is compared with transformers' on the whole sequence, in float64. Where a pass is
wrong, the first module that is tells what to look at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from reference.decoder import DRAWN
from reference.taps import INPUT, is_input, short_name
from verify.judge.acceptance import Envelope, judge
from verify.judge.metrics import rms
from verify.judge.verdict import Check
from verify.package.opening.opened import PAGE
from verify.truth.float64 import DTYPE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reference.decoder import Decoder
    from reference.trace import Array, Trace
    from verify.package.opening.driven import Passed, Request, Requests

MODE = "math-served"

ORDERS = ("reversed", DRAWN)
"""Orders of evaluation in float64 that measure what logits may stray by."""

DIFFERS = 1e-9
"""Relative error in float64 from which a module's result is wrong: right ones are at 1e-13."""


@dataclass(frozen=True, slots=True)
class Row:
    """A request.

    Attributes:
        length: of all of its tokens.
        prompt: how many of them are given at once.
        like: the row whose first page of tokens it begins with; None for none.
    """

    length: int
    prompt: int
    like: int | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a server does.

    Attributes:
        name: in a few words.
        rows: the requests.
        passes: each with the rows that take part, and how many tokens each goes on by; 0 ends a
            request.
    """

    name: str
    rows: tuple[Row, ...]
    passes: tuple[tuple[tuple[int, int], ...], ...]

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return max(row.length for row in self.rows)


def _steps(*rows: int, count: int = 3) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Steps of decoding, all rows in each."""
    return tuple(tuple((row, 1) for row in rows) for _ in range(count))


SCENARIOS = (
    Scenario(
        "uneven rows",
        (Row(4, 1), Row(8, 5), Row(36, 33)),
        (((0, 1), (1, 5), (2, 33)), *_steps(2, 0, 1)),
    ),
    Scenario(
        "a prompt in chunks beside a row that decodes",
        (Row(44, 40), Row(12, 3)),
        (((0, 7), (1, 3)), ((1, 1), (0, 19)), ((0, 14), (1, 1)), *_steps(0, 1)),
    ),
    Scenario(
        "around a page's end",
        tuple(Row(PAGE + extra + 3, PAGE + extra) for extra in (-1, 0, 1)),
        (tuple((row, PAGE + row - 1) for row in range(3)), *_steps(0, 1, 2)),
    ),
    Scenario(
        "chunks across pages",
        (Row(PAGE + 22, PAGE + 20), Row(9, 5)),
        (((0, PAGE - 2), (1, 5)), ((0, 3), (1, 1)), ((1, 1), (0, 19)), *_steps(0, 1, count=2)),
    ),
    Scenario(
        "a prefix that another row has left in the cache",
        (Row(PAGE + 6, PAGE + 2), Row(PAGE + 14, PAGE + 11, like=0), Row(7, 4)),
        (
            ((0, PAGE + 2),), *_steps(0, count=2), ((0, 0),),
            ((2, 4), (1, PAGE + 11)), *_steps(1, 2),
        ),
    ),
)  # fmt: skip
"""What every package is asked."""


@dataclass(frozen=True, slots=True)
class Standards:
    """What a package's logits are compared with.

    Attributes:
        oracle: transformers in float64.
        others: legitimate evaluations in the package's precision, which tell how far it may stray.
        head: the tap of what the model returns.
        dtype: the package's precision.
        mode: what the checks are called.
    """

    oracle: Decoder
    others: Sequence[Decoder]
    head: str
    dtype: str = DTYPE
    mode: str = MODE


class Served:
    """The scenarios of one package.

    Args:
        requests: of the opened package; none may be live.
        standards: what it is compared with.
        seed: draws token ids.
        readers: by the reference's tap, the package's own that are read for it.
    """

    def __init__(
        self, requests: Requests, standards: Standards, seed: int,
        readers: Mapping[str, Sequence[str]] | None = None,
    ) -> None:  # fmt: skip
        self.requests, self._standards, self._seed = requests, standards, seed
        self._readers = readers or {}
        self._positions = _positions(requests) if readers else {}

    def checks(self, longest: int, *, stop: bool = False) -> Iterator[Check]:
        """One check for each scenario.

        Args:
            longest: tokens that the model has positions for; longer scenarios are skipped.
            stop: whether to end at the first scenario that fails.
        """
        for number, scenario in enumerate(SCENARIOS):
            check = Check(case=scenario.name, mode=self._standards.mode, tap=self._standards.head,
                          verdict="PASS", regime="given", device="cpu")  # fmt: skip
            if scenario.longest > longest:
                reason = f"the model has {longest} positions, and this takes {scenario.longest}"
                yield replace(check, verdict="SKIP", message=reason)
                continue
            found = self._scenario(scenario, number, check)
            yield found
            if stop and found.verdict == "FAIL":
                return

    def _scenario(self, scenario: Scenario, number: int, check: Check) -> Check:
        self.requests.reset()
        ids = self._ids(scenario, number)
        trace = self._standards.oracle.trace(ids)
        bounds = self._bounds(ids, trace)
        live: dict[int, Request] = {}
        worst = check
        try:
            for turn in scenario.passes:
                batch = [self._go_on(scenario, ids, live, row, count) for row, count in turn]
                going = [(row, request) for row, request in zip(turn, batch, strict=True) if row[1]]
                if not going:
                    continue
                passed = self.requests.run([(request, row[1]) for row, request in going])
                rows = [row for (row, _), _ in going]
                found = self._judged(check, rows, passed, trace, bounds)
                if found.verdict == "FAIL":
                    return found
                worst = max(worst, found, key=lambda one: one.used or 0.0)
        finally:
            self.requests.end()
        return worst

    def _go_on(
        self, scenario: Scenario, ids: Array, live: dict[int, Request], row: int, count: int
    ) -> Request:
        """The request of a row, begun where it is not yet, ended where it goes on by nothing."""
        if row not in live:
            own = scenario.rows[row]
            live[row] = self.requests.begin(ids[row, : own.length], own.prompt)
        if not count:
            self.requests.end(live[row])
        return live[row]

    def _ids(self, scenario: Scenario, number: int) -> Array:
        """Token ids of all rows, `[rows, longest]`."""
        rng = np.random.default_rng([self._seed, number])
        vocabulary = self._standards.oracle.model.config.vocab_size
        ids = rng.integers(0, vocabulary, (len(scenario.rows), scenario.longest), dtype=np.int64)
        for at, row in enumerate(scenario.rows):
            if row.like is not None:
                ids[at, :PAGE] = ids[row.like, :PAGE]
        return ids

    def _bounds(self, ids: Array, trace: Trace) -> Array:
        """What logits stray by at each position, `[rows, longest, 2]`: rms and largest."""
        head = self._standards.head
        errors = [other.trace(ids)[head] - trace[head] for other in self._standards.others]
        sizes = [(np.sqrt((e**2).mean(axis=-1)), np.abs(e).max(axis=-1)) for e in errors]
        return np.stack([np.max(each, axis=0) for each in zip(*sizes, strict=True)], axis=-1)

    def _judged(
        self, check: Check, rows: Sequence[int], passed: Passed, trace: Trace, bounds: Array
    ) -> Check:
        """The worst row of a pass."""
        head, dtype = self._standards.head, self._standards.dtype
        worst = check
        for row, logits, (first, end) in zip(rows, passed.logits, passed.spans, strict=True):
            allowed = bounds[row, :end].max(axis=0)
            envelope = Envelope(float(allowed[0]), float(allowed[1]))
            expected = trace[head][row, end - len(logits) : end]
            verdict = judge(logits, expected, envelope, dtype)
            own = replace(check, used=verdict.used, batch=len(rows), length=end - first,
                          verdict=verdict.verdict)  # fmt: skip
            if verdict.verdict != "PASS":
                where = f"row {row + 1} of {len(bounds)}, {in_words(first, end)}"
                blamed = self._first_wrong(rows, passed, trace)
                message = f"{where}: {verdict.message}{_first(blamed)}"
                return replace(own, message=message, tap=blamed or own.tap)
            worst = max(worst, own, key=lambda one: one.used or 0.0)
        return worst

    def _first_wrong(self, rows: Sequence[int], passed: Passed, trace: Trace) -> str:
        """The first place of the reference where this pass differs; "" where none does."""
        for tap, readers in self._readers.items():
            if tap not in trace or any(own not in self._positions for own in readers):
                continue
            expected = np.concatenate(
                [trace[tap][row, a:b] for row, (a, b) in zip(rows, passed.spans, strict=True)]
            )
            found = passed.outputs[self._positions[readers[0]]]
            if found.size == expected.size and differs(found.reshape(expected.shape), expected):
                return tap
        return ""


def _positions(requests: Requests) -> Mapping[str, int]:
    """By a tap of the package, its position among the graph's outputs."""
    found: dict[str, int] = {}
    for stage in requests.model.stages.calls:
        if stage.takes is not None:
            found[stage.path + INPUT] = stage.takes
        if stage.gives is not None:
            found[stage.path] = stage.gives
    return found


def differs(found: Array, expected: Array) -> bool:
    """Whether float64 shows two arrays of one shape to be different values."""
    if not np.issubdtype(expected.dtype, np.floating):
        return not np.array_equal(found, expected)
    size = rms(expected)
    return not rms(found - expected) <= DIFFERS * size


def in_words(first: int, end: int) -> str:
    """A span of positions for a sentence."""
    if end - first == 1:
        return f"the token at position {first}"
    return f"positions {first} to {end - 1}"


def _first(tap: str) -> str:
    if not tap:
        return ""
    what = f"what {short_name(tap).removesuffix(' ←')} is given" if is_input(tap) else tap
    return f"; it begins at {what}"
