"""A graph as text: a graph of `max.graph`, or a formula in NumPy, one operation a line."""

from __future__ import annotations

import inspect
import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from verify.graph.operations import CUSTOM
from verify.reduce.known import known_values
from verify.reduce.language import phrase, tensor_operands
from verify.reduce.words import UnwritableError, Words, tensor_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from verify.graph.form import Graph, Operation, Value
    from verify.reduce.words import Language

LETTERS = "abcdefghijklmnopqrstuvw"
"""Names of inputs, as far as they go."""


@dataclass(frozen=True, slots=True)
class Source:
    """A graph as text.

    Attributes:
        inputs: names of what it takes.
        lines: one for each operation.
        outputs: names of what it returns.
    """

    inputs: tuple[str, ...]
    lines: tuple[str, ...]
    outputs: tuple[str, ...]


def written(
    graph: Graph,
    language: Language,
    sizes: Mapping[str, int] | None = None,
    weights: str = "",
) -> Source:
    """The text of a graph, without what surrounds it.

    Args:
        graph: without control flow and buffers.
        language: `max` or `numpy`.
        sizes: what the symbols are, for NumPy.
        weights: begins the names of weights.

    Raises:
        UnwritableError: for an operation that has no phrase.
        verify.graph.errors.UnresolvedSizeError: for a symbol that is not given.
    """
    return _Writer(graph, language, sizes or {}, weights).source()


class _Writer:
    """Writes one graph."""

    def __init__(
        self, graph: Graph, language: Language, sizes: Mapping[str, int], weights: str
    ) -> None:
        self.weights = weights
        self.names_of_weights = list(weights_of(graph))
        self.graph = graph
        self.language = language
        self.sizes = sizes
        self.known = known_values(graph)
        self.values: dict[int, Value] = {value.number: value for value in graph.inputs}
        self.names = {value.number: given_name(i) for i, value in enumerate(graph.inputs)}
        self.count: dict[str, int] = {}

    def source(self) -> Source:
        inputs = tuple(self.names.values())
        live = set(needed(self.graph))
        lines = []
        for operation in self.graph.operations:
            self.values.update((value.number, value) for value in operation.results)
            if operation in live:
                lines.append(self.line(operation))
        if any(number not in self.names for number in self.graph.outputs):
            raise UnwritableError("the graph returns a number that stands in it")
        return Source(inputs, tuple(lines), tuple(self.names[n] for n in self.graph.outputs))

    def line(self, operation: Operation) -> str:
        text = self.expression(operation)
        made = [self.new_name(operation) for _ in operation.results]
        self.names.update(zip((v.number for v in operation.results), made, strict=True))
        return f"{', '.join(made)} = {text}"

    def expression(self, operation: Operation) -> str:
        if operation.kind == "mo.constant.external":
            return self.weight(operation)
        how = phrase(operation)
        words = Words(
            operation, self.language, self.names, self.values, self.known, self.sizes,
            takes_numbers=how.takes_numbers, is_operator=how.is_operator,
        )  # fmt: skip
        say = how.max if self.language == "max" else how.numpy
        return say.format_map(words) if isinstance(say, str) else say(words)

    def weight(self, operation: Operation) -> str:
        name = f"{self.weights}w{self.names_of_weights.index(operation.attributes['name'])}"
        if self.language == "numpy":
            return f'weights["{name}"]'
        return f'ops.constant_external("{name}", {tensor_type(operation.results[0])})'

    def new_name(self, operation: Operation) -> str:
        """`softmax1`, `softmax2`: the last word of the kind."""
        word = operation.kind.rpartition(".")[2]
        if operation.kind == "mo.custom":
            word = re.sub(r"\W", "_", operation.attributes["symbol"])
        self.count[word] = self.count.get(word, 0) + 1
        return f"{word}{self.count[word]}"


def given_name(index: int) -> str:
    """The name of an input."""
    return LETTERS[index] if index < len(LETTERS) else f"given{index}"


def needed(graph: Graph) -> list[Operation]:
    """The operations that a text has a line for, in the order in which they run."""
    known = known_values(graph)
    wanted = set(graph.outputs)
    live = []
    for operation in reversed(graph.operations):
        made = {value.number for value in operation.results}
        if made & wanted and not made & known.keys():
            live.append(operation)
            wanted.update(tensor_operands(operation))
    return live[::-1]


def weights_of(graph: Graph) -> dict[str, Value]:
    """The weights that a graph reads, by name, in the order in which texts number them."""
    return {
        one.attributes["name"]: one.results[0]
        for one in needed(graph)
        if one.kind == "mo.constant.external"
    }


def in_max(graph: Graph, name: str, weights: str = "") -> str:
    """Statements that add a graph to `program`, with `cpu` for the host.

    Args:
        graph: without control flow and buffers.
        name: of the graph in the program.
        weights: begins the names of weights, which are `w0`, `w1`, ...

    Raises:
        UnwritableError: for an operation that has no phrase.
    """
    source = written(graph, "max", weights=weights)
    types = ", ".join(tensor_type(value) for value in graph.inputs)
    own = any(operation.kind == "mo.custom" for operation in needed(graph))
    more = ", custom_extensions=libraries" if own else ""
    lines = [
        f'with Graph("{name}", input_types=[{types}], module=program{more}) as graph:',
        *indented(taken(source)),
        *indented(source.lines),
        f"    graph.output({', '.join(source.outputs)})",
    ]
    return "\n".join(lines) + "\n"


def taken(source: Source) -> list[str]:
    """The line that names the inputs."""
    if not source.inputs:
        return []
    comma = "," if len(source.inputs) == 1 else ""
    return [f"{', '.join(source.inputs)}{comma} = (value.tensor for value in graph.inputs)"]


def meanings(graph: Graph) -> list[str]:
    """The functions that are the meanings of a graph's custom operations, as lines."""
    symbols = [one.attributes["symbol"] for one in needed(graph) if one.kind == "mo.custom"]
    return [line for symbol in dict.fromkeys(symbols) for line in (*meaning_lines(symbol), "", "")]


def meaning_lines(symbol: str) -> list[str]:
    """The function that is a custom operation's meaning, as it stands in its file."""
    text = textwrap.dedent(inspect.getsource(CUSTOM[symbol]))
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("def "))
    return lines[start:]


def indented(lines: Iterable[str]) -> list[str]:
    """Lines one level deeper."""
    return [f"    {line}" for line in lines]
