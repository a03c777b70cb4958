"""Ragged batches over a paged cache: what the custom operations of MAX's text decoders share.

A batch is ragged: the tokens of all requests stand one after the other, those of request b at
`offsets[b]` to `offsets[b + 1]`. Before this pass it has `cached[b]` tokens, so that its i-th token
has the position `cached[b] + i`. Keys and values are kept in pages,

    blocks[page, key or value, layer, token in page, head, feature]

and the token at position p of request b lies in page `table[b, p // size]`, at `p % size`.

Every operation on the cache takes it as six operands: the blocks, the distance between pages in
memory (not needed here), `cached`, `table`, and the longest prompt and the longest cache of the
batch (not needed here). More of them belong to a quantised cache, which is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference.trace import Array

KEY, VALUE = 0, 1


@dataclass(frozen=True, slots=True)
class Ragged:
    """Which tokens of a batch belong to whom, and where their keys and values lie.

    Attributes:
        blocks: `[page, 2, layer, token, kv head, feature]`; one in place of two where values are
            not kept.
        offsets: uint32 `[batch + 1]`.
        cached: uint32 `[batch]`, tokens before this pass.
        table: uint32 `[batch, pages]`.
        layer: whose keys and values are meant.
    """

    blocks: Array
    offsets: Array
    cached: Array
    table: Array
    layer: int

    @property
    def page(self) -> int:
        """Tokens of a page."""
        return int(self.blocks.shape[3])

    @property
    def heads(self) -> tuple[int, int]:
        """Heads of keys and values, and features of each."""
        return int(self.blocks.shape[4]), int(self.blocks.shape[5])

    def requests(self) -> Iterator[tuple[slice, Array, Array]]:
        """Of each request its tokens, their positions, and its pages."""
        for row, (first, last) in enumerate(zip(self.offsets[:-1], self.offsets[1:], strict=True)):
            new = int(last) - int(first)
            positions = int(self.cached[row]) + np.arange(new)
            yield slice(int(first), int(last)), positions, self.table[row]

    def positions(self) -> Array:
        """The position of every token of the batch in its request."""
        return np.concatenate([np.zeros(0, np.int64), *(own for _, own, _ in self.requests())])

    def store(self, part: int, array: Array) -> None:
        """Write keys or values of this pass, `[tokens, head, feature]`, into the blocks."""
        for tokens, positions, pages in self.requests():
            page, token = self._at(positions, pages)
            self.blocks[page, part, self.layer, token] = array[tokens]

    def load(self, part: int, pages: Array, positions: Array) -> Array:
        """Keys or values of a request at these positions, `[positions, head, feature]`."""
        page, token = self._at(positions, pages)
        loaded: Array = self.blocks[page, part, self.layer, token]
        return loaded.astype(np.float32) if loaded.dtype.itemsize < 4 else loaded

    def new(self, part: int) -> Array:
        """Keys or values of this pass as they are in the blocks, `[tokens, head, feature]`."""
        of_each = [self.load(part, pages, own) for _, own, pages in self.requests()]
        return np.concatenate(of_each) if of_each else np.zeros((0, *self.heads))

    def _at(self, positions: Array, pages: Array) -> tuple[Array, Array]:
        return pages[positions // self.page].astype(np.int64), positions % self.page
