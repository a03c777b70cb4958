"""Does MAX compute what the package's graph means?

The package is opened as it is served, compiled by MAX, and asked the scenarios of
`verify.package.computing.served` again, in its own precision. What is allowed is measured: how far
transformers' own model in that precision, in several orders of its sums, strays from float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference.decoder import ORDERS, Decoder
from verify.candidate.program import to_array
from verify.package.computing.served import Served, Standards
from verify.package.opening.driven import Requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from max.driver import Buffer

    from reference.trace import Array
    from verify.judge.verdict import Check
    from verify.package.opening.opened import Opened

MODE = "served"


class Compiled:
    """MAX's own engine, in place of `verify.package.opening.evaluated_engine.Engine`."""

    models: tuple[Any, ...] = ()

    @staticmethod
    def result(buffer: Buffer) -> Array:
        """A copy on the host of what a buffer holds."""
        return to_array(buffer)

    def inputs_of(self, execute: Callable[[], Any]) -> Sequence[Array]:
        """Of a compiled graph nothing is asked but results."""
        raise NotImplementedError

    def forget(self) -> None:
        """MAX's own manager hands out pages, whatever they held."""


def compiled_checks(
    opened: Opened, model: Any, oracle: Decoder, *, longest: int, seed: int
) -> Iterator[Check]:
    """One check for each scenario.

    Args:
        opened: the package, compiled.
        model: of transformers, in float32.
        oracle: the same in float64.
        longest: tokens that the model has positions for.
        seed: draws token ids.
    """
    others = [Decoder(model), *(Decoder(model, order) for order in ORDERS)]
    standards = Standards(oracle, others, oracle.head, dtype="float32", mode=MODE)
    yield from Served(Requests(opened, Compiled()), standards, seed).checks(longest)
