"""A package as the checks of this room ask it: opened on a folder, in float64, nothing compiled."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from verify.graph.errors import GraphError
from verify.package.engine import evaluating
from verify.package.holders import holders
from verify.package.once import checked_once
from verify.package.opened import open_package, request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from reference.trace import Array
    from verify.package.engine import Engine
    from verify.package.opened import Opened

LONGEST = 300
"""Characters of a message that are shown."""

MAX_LENGTH = 128
"""Tokens of a request at most: one page of the cache."""


@dataclass(frozen=True, slots=True)
class Package:
    """How a package is opened.

    Attributes:
        v3: whether the architecture of `max.experimental.nn` is preferred.
        custom: folders of packages, as `max serve --custom-architectures` takes them.
        encoding: of the weights.
    """

    v3: bool
    custom: Sequence[str] = ()
    encoding: str = "float32"

    @contextmanager
    def opened(self, folder: Path) -> Iterator[tuple[Engine, Opened]]:
        """The package on a checkpoint, as long as this lasts."""
        with evaluating(places=False) as engine, checked_once():
            yield engine, open_package(
                folder, v3=self.v3, custom=self.custom, encoding=self.encoding,
                max_length=MAX_LENGTH,
            )  # fmt: skip

    def logits(self, folder: Path, batch: Sequence[Sequence[int]]) -> Array:
        """The logits of all tokens of a ragged batch, `[tokens, vocab_size]` in float64.

        Args:
            folder: a checkpoint.
            batch: token ids of each request.

        Raises:
            GraphError: for a package whose logits are not those of every token.
        """
        with self.opened(folder) as (engine, opened):
            requests = [request(ids, MAX_LENGTH) for ids in batch]
            for one in requests:
                opened.cache.claim(one)
                opened.cache.alloc(one)
            inputs = opened.model.prepare_initial_token_inputs(
                replica_batches=[requests],
                kv_cache_inputs=opened.cache.runtime_inputs([requests]),
            )
            found = engine.result(opened.model.execute(inputs).logits)
        if found.shape[0] != sum(map(len, batch)):
            raise GraphError(f"the package returns logits of {found.shape[0]} tokens")
        return found

    def holders(self, folder: Path, number: float) -> list[str]:
        """Weights of the operations that compute with a number; see `verify.package.holders`."""
        with self.opened(folder) as (engine, _):
            found = [name for model in engine.models for name in holders(model.graph, number)]
        return list(dict.fromkeys(found))


def first_line(error: BaseException) -> str:
    """The first line of an error's message, with its kind; its cause's, where it has none."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    if not lines and error.__cause__ is not None:
        return first_line(error.__cause__)
    said = f": {lines[0].strip()}" if lines else ""
    return f"{type(error).__name__}{said}"[:LONGEST]


def whole_message(error: BaseException) -> str:
    """Everything that an error and its causes say."""
    said = []
    seen: BaseException | None = error
    while seen is not None:
        said.append(str(seen))
        seen = seen.__cause__
    return "\n".join(said)
