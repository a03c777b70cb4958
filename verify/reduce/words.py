"""What a phrase may ask for: operands, sizes, dtypes and numbers, as the text of a language."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from verify.graph.form import Operation, Size, Value, is_floating, resolved
from verify.graph.operations import CUSTOM
from verify.reduce.known import sizes_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference.trace import Array
    from verify.reduce.known import Known

Language = Literal["max", "numpy"]

SIGNS = {"add": "+", "mul": "*", "mul_no_wrap": "*", "div": "//", "div_s": "//"}
"""Operators of size expressions that Python writes."""

LETTERS = "abcdefgh"


class UnwritableError(ValueError):
    """An operation that has no phrase, or whose operands are not known. One sentence."""


class Words:
    """The words for one operation.

    Args:
        operation: it.
        language: what they belong to.
        names: of the values that have one.
        values: what each is declared as.
        known: see `verify.reduce.known`.
        sizes: what the symbols are; NumPy's text has numbers in their place.
        takes_numbers: whether Python's numbers may stand for scalar operands.
        is_operator: whether operands stand beside an operator, and not between commas.
    """

    def __init__(
        self,
        operation: Operation,
        language: Language,
        names: Mapping[int, str],
        values: Mapping[int, Value],
        known: Mapping[int, Known],
        sizes: Mapping[str, int],
        *,
        takes_numbers: bool = False,
        is_operator: bool = False,
    ) -> None:
        self.takes_numbers = takes_numbers
        self.is_operator = is_operator
        self.operation = operation
        self.language = language
        self._names = names
        self._values = values
        self._known = known
        self._sizes = sizes

    def __getitem__(self, word: str) -> str:
        """What stands for a word of a template."""
        if word in LETTERS:
            return self.operand(LETTERS.index(word))
        if word[0] == "n" and word[1:].isdigit():
            return self.number(int(word[1:]))
        if word == "shape":
            return self.shape(self.operation.results[0].shape or ())
        if word == "dtype":
            return self.dtype(self.operation.results[0].dtype)
        return repr(self.attribute(word))

    def operand(self, index: int) -> str:
        """An operand: its name, or what it is where it is a number."""
        number = self.operation.operands[index]
        if number in self._names:
            return self._names[number]
        known = self.known(index)
        if isinstance(known, np.ndarray):
            return self.constant(self._values[number], known, plain=self._plain(index))
        return self._computed_size(self._values[number], known)

    def _computed_size(self, value: Value, known: Known) -> str:
        """Sizes where a graph computes with them."""
        shape = self.shape(tuple(sizes_in(known)))
        text = f"ops.shape_to_tensor({shape})" if self.language == "max" else f"np.array({shape})"
        text = f"{text}.reshape(())" if value.shape == () else text
        if self.language == "numpy" or value.dtype == "int64":
            return text
        return f"ops.cast({text}, {self.dtype(value.dtype)})"

    def _plain(self, index: int) -> bool:
        """Whether Python's own number may stand for the operand: another has its dtype."""
        if self.language == "numpy":
            return True
        operands = self.operation.operands
        dtype = self._values[operands[index]].dtype
        others = [
            place
            for place, number in enumerate(operands)
            if place != index and self._values[number].dtype == dtype
        ]
        return self.takes_numbers and any(
            operands[place] in self._names or place < index for place in others
        )

    def constant(self, value: Value, array: Array, *, plain: bool) -> str:
        """A constant as an expression."""
        text = literal(array)
        if plain and array.ndim == 0:
            return f"({text})" if text.startswith("-") and self.is_operator else text
        if self.language == "numpy":
            return f"np.array({text}, {self.dtype(value.dtype)})"
        dtype = self.dtype(value.dtype)
        if array.ndim == 0:
            return f"ops.constant({text}, {dtype}, cpu)"
        if value.dtype == "bfloat16":  # which NumPy lacks
            wide = f"ops.constant(np.array({text}, np.float32), DType.float32, cpu)"
            return f"ops.cast({wide}, {dtype})"
        return f"ops.constant(np.array({text}, np.{value.dtype}), {dtype}, cpu)"

    def known(self, index: int) -> Known:
        """The numbers or sizes that an operand is.

        Raises:
            UnwritableError: if that depends on inputs.
        """
        number = self.operation.operands[index]
        if number not in self._known:
            raise UnwritableError(f"operand {index} of {self.operation.kind} is computed")
        return self._known[number]

    def number(self, index: int) -> str:
        """An operand's numbers or sizes."""
        known = self.known(index)
        if isinstance(known, np.ndarray):
            return literal(known)
        if isinstance(known, tuple):
            of_scalar = self._values[self.operation.operands[index]].shape == ()
            return self.size(known[0]) if of_scalar else self.shape(tuple(sizes_in(known)))
        return self.size(known)

    def attribute(self, name: str) -> Any:
        """An attribute, as it was before it was rounded."""
        attributes = self.operation.attributes
        return attributes.get("exact", {}).get(name, attributes[name])

    def shape_of(self, index: int) -> tuple[Size, ...]:
        """The declared shape of an operand."""
        return self._values[self.operation.operands[index]].shape or ()

    def dtype_of(self, index: int) -> str:
        """The declared dtype of an operand."""
        return self._values[self.operation.operands[index]].dtype

    def type_of(self, value: Value) -> str:
        """A `TensorType`."""
        return tensor_type(value)

    def shape(self, shape: tuple[Size, ...]) -> str:
        """Sizes as a list."""
        if self.language == "numpy":
            numbers = [self.size(size) for size in shape]
            return f"({numbers[0]},)" if len(numbers) == 1 else f"({', '.join(numbers)})"
        return shape_in_max(shape)

    def size(self, size: Size) -> str:
        """One size."""
        if self.language == "numpy":
            return str(resolved(size, self._sizes))
        return size_in_max(size)

    def dtype(self, dtype: str) -> str:
        """A dtype; NumPy computes in float64."""
        if self.language == "numpy":
            return (
                "np.float64"
                if is_floating(dtype)
                else f"np.{'bool_' if dtype == 'bool' else dtype}"
            )
        return f"DType.{dtype}"

    def meaning(self) -> str:
        """The name of the function that is a custom operation's meaning.

        Raises:
            UnwritableError: if it has none that can be named.
        """
        symbol = self.operation.attributes["symbol"]
        function = CUSTOM.get(symbol)
        if not inspect.isfunction(function) or function.__name__ == "<lambda>":
            raise UnwritableError(f"the custom operation {symbol} has no function as its meaning")
        return function.__name__


def size_in_max(size: Size) -> str:
    """A size as an expression of `Dim`."""
    if isinstance(size, int):
        return str(size)
    if isinstance(size, str):
        return f'Dim("{size}")'
    if size.operator not in SIGNS:
        raise UnwritableError(f"a size with {size.operator} cannot be written")
    sign = f" {SIGNS[size.operator]} "
    return f"({sign.join(map(size_in_max, size.operands))})"


def shape_in_max(shape: tuple[Size, ...]) -> str:
    """A shape as a list of numbers, names and expressions."""
    return f"[{', '.join(map(_dim_in_max, shape))}]"


def _dim_in_max(size: Size) -> str:
    return f'"{size}"' if isinstance(size, str) else size_in_max(size)


def tensor_type(value: Value) -> str:
    """A `TensorType` on the host."""
    return f"TensorType(DType.{value.dtype}, {shape_in_max(value.shape or ())}, cpu)"


def literal(array: Any) -> str:
    """Numbers as Python writes them, infinities by their names in NumPy."""
    array = np.asarray(array)
    if array.ndim:
        return f"[{', '.join(map(literal, array))}]"
    number = array.item() if array.dtype.kind in "biuf" else float(array)
    if isinstance(number, float) and math.isnan(number):
        return "np.nan"
    if isinstance(number, float) and math.isinf(number):
        return "np.inf" if number > 0 else "-np.inf"
    return repr(number)
