"""A package as the checks of this room ask it: opened on a folder, in float64, nothing compiled."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from verify.package.opening.driven import Requests
from verify.package.opening.evaluated_engine import evaluating
from verify.package.opening.once import checked_once
from verify.package.opening.opened import open_package
from verify.package.reading.holders import holders

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from reference.trace import Array
    from verify.package.opening.evaluated_engine import Engine
    from verify.package.opening.opened import Opened

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
        encoding: of the weights; None for each checkpoint's own.
        echo: whether the logits of every token are asked for.
    """

    v3: bool
    custom: Sequence[str] = ()
    encoding: str | None = None
    echo: bool = True

    @contextmanager
    def opened(self, folder: Path) -> Iterator[tuple[Engine, Opened]]:
        """The package on a checkpoint, as long as this lasts."""
        with evaluating(places=False) as engine, checked_once():
            yield engine, open_package(
                folder, v3=self.v3, custom=self.custom, encoding=self.encoding,
                max_length=MAX_LENGTH, echo=self.echo,
            )  # fmt: skip

    def that_opens(self, folder: Path) -> Package:
        """The same, which asks for the last token's logits alone where the package has no others.

        Raises:
            Exception: what the package raises that opens neither way.
        """
        other = replace(self, echo=False)
        try:
            with self.opened(folder) as (engine, opened):
                return self if _shows_every_token(Requests(opened, engine, MAX_LENGTH)) else other
        except Exception:
            with other.opened(folder):
                return other

    def logits(self, folder: Path, batch: Sequence[Sequence[int]]) -> Array:
        """The logits of all tokens of a ragged batch, `[tokens, vocab_size]` in float64.

        Where the package returns those of the last token alone, tokens are decoded one by one.

        Args:
            folder: a checkpoint.
            batch: token ids of each request.

        Raises:
            GraphError: for a package whose logits are neither.
        """
        with self.opened(folder) as (engine, opened):
            requests = Requests(opened, engine, MAX_LENGTH)
            if self.echo:
                rows = [(requests.begin(ids), len(ids)) for ids in batch]
                return np.concatenate(requests.run(rows).logits)
            return np.concatenate(_one_by_one(requests, batch))

    def holders(self, folder: Path, number: float) -> list[str]:
        """Weights of the operations that compute with a number; see `reading.holders`."""
        with self.opened(folder) as (engine, _):
            found = [name for model in engine.models for name in holders(model.graph, number)]
        return list(dict.fromkeys(found))


def _shows_every_token(requests: Requests) -> bool:
    """Whether a pass of two tokens returns two rows of logits."""
    (logits,) = requests.run([(requests.begin([0, 1]), 2)]).logits
    return len(logits) == 2


def _one_by_one(requests: Requests, batch: Sequence[Sequence[int]]) -> list[Array]:
    """The logits of each request, whose tokens are given one after the other."""
    rows = [requests.begin(ids, prompt=1) for ids in batch]
    found: list[list[Array]] = [[] for _ in rows]
    for step in range(max(map(len, batch))):
        going = [at for at, ids in enumerate(batch) if step < len(ids)]
        passed = requests.run([(rows[at], 1) for at in going])
        for at, logits in zip(going, passed.logits, strict=True):
            found[at].append(logits)
    return [np.concatenate(one) for one in found]


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
