"""The other way round: changes of one operation after which a stage that is wrong is right.

Where a bug is one operation, its repair is among the mutants of the wrong graph. A diagnosis that
needs no catalogue, for any architecture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verify.graph.errors import GraphError
from verify.mutants.generate import KINDS, mutants_of
from verify.mutants.judging import Judge, judged_taps

if TYPE_CHECKING:
    from verify.mutants.change import Mutant
    from verify.mutants.forced import Forced
    from verify.truth.expectation import Expectation

MOST = 500
"""Changes that are tried: a stage of a model that is cut at its modules has fewer."""


def repairs(expected: Expectation, forced: Forced, tap: str) -> list[Mutant]:
    """Mutants of a wrong graph that pass where it fails.

    Args:
        expected: what a case is compared with, in float64.
        forced: the candidate's forced graph.
        tap: where it fails alone.

    Returns:
        The simplest first: operands and operations left out come before other numbers and tables.
    """
    judge = Judge(expected, forced)
    found = mutants_of(forced, judged_taps(expected, forced))
    there = [mutant for mutant in found if mutant.stage == tap][:MOST]
    right = [mutant for mutant in there if _repairs(judge, mutant)]
    return sorted(right, key=lambda mutant: list(KINDS).index(mutant.kind))


def _repairs(judge: Judge, mutant: Mutant) -> bool:
    try:
        return judge.passes(mutant, mutant.stage)
    except GraphError:
        return False


def in_a_sentence(found: list[Mutant]) -> str:
    """What would make a stage right; empty where nothing does.

    Args:
        found: what `repairs` returned.
    """
    if not found:
        return ""
    more = f", or {len(found) - 1} other changes" if len(found) > 1 else ""
    return f"with one operation changed it is right ({found[0].described()}{more})"
