"""What can keep a graph from being read or evaluated, each told in one sentence."""

from __future__ import annotations


class GraphError(ValueError):
    """A graph that cannot be read or evaluated. `str` is one sentence for the user."""


class UnknownOperationError(GraphError):
    """An operation without a meaning here: the graph can be judged compiled only."""


class RandomOperationError(GraphError):
    """An operation whose result no input decides."""


class UnresolvedSizeError(GraphError):
    """A symbolic size that neither an input nor an operation has given a number."""


class ShapeError(GraphError):
    """An array whose shape or dtype is not what the graph declares."""


class TooLargeError(GraphError):
    """More memory would be needed than may be taken."""
