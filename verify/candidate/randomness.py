"""A candidate that draws random numbers computes no one result: dropout at inference, mostly."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from verify.candidate.guard import CandidateError
from verify.graph.errors import GraphError, RandomOperationError
from verify.graph.understood import random_operation

if TYPE_CHECKING:
    from verify.candidate.model_graphs import Candidate


def refuse_random(candidate: Candidate) -> None:
    """Refuse a candidate whose graph draws random numbers.

    Args:
        candidate: traced.

    Raises:
        CandidateError: with the operation, and the line of the source that makes it.
    """
    if (drawn := _drawn(candidate)) is not None:
        raise CandidateError(str(drawn))


def _drawn(candidate: Candidate) -> RandomOperationError | None:
    """The operation with its place, which takes another trace, where there is one."""
    with suppress(GraphError):  # a graph that cannot be read is refused where it is evaluated
        found = random_operation(candidate.graphs[f"{candidate.name}plain"])
        return found and random_operation(candidate.plain_again)
    return None
